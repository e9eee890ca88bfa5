"""A stretch of a topic again: what was not counted then, and can be now, is folded as if it arrived now.

What was not counted are the records that dead letters name, and those of an event type that nobody knew then. Of
these are left out: what cannot be read now either, what was published again since, and what was folded late before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Literal, NamedTuple, Protocol

import msgspec

from processor.replay.job import Job, Meter, Task
from processor.replay.ports import Addressed, Part, Ports, Stretch
from processor.replay.wanted import decode_typed
from schemas.errors import BadRecord
from schemas.events import EventReader, Reading, check_partition, is_binary, structured
from schemas.records import Record
from schemas.replays import Done, End, Late, ReplayNote
from schemas.state import Control

Fate = Literal["counted", "readable", "refused", "unknown", "republished", "given"]
NAMELESS = "(no event)"

EventId = tuple[str, str, str]
"""User, source and id."""


class Span(NamedTuple):
    """Of a partition of the topic: what is folded again is [start, end); the topic ended at `until`."""

    start: int
    end: int
    until: int


class Before(NamedTuple):
    """What is known of a partition's records.

    Shapes: partition, of how many; refused, the offsets that dead letters name; unread maps an event type to the
    position before which nobody knew it; given, the offsets that were folded late before.
    """

    partition: tuple[int, int]
    refused: Collection[int]
    unread: Mapping[str, int]
    given: Collection[int]


class Stretches(Protocol):
    """What this asks of the world besides what every replay does. Read committed."""

    def records(self, stretch: Stretch) -> AsyncGenerator[Part, None]:
        """All records; the last part ends at the cut. Raises: Precondition when it is not held."""
        ...

    async def refused(self, topic: str, partition: int) -> Collection[int]:
        """The offsets that dead letters name."""
        ...

    async def orders(self, partition: int) -> Sequence[tuple[int, Late]]:
        """Every record that was ever sent late to the owner of this partition, and the offset of its order."""
        ...


class Sorting:
    """The records of a stretch, one partition's, sorted in the order of the log.

    Shapes: chosen are the offsets to be folded, in order; fates counts by (event type, fate), causes what is
    refused still by (event type, class).
    """

    def __init__(self, reader: EventReader, before: Before, end: int, users: Collection[str] | None) -> None:
        self._reader, self._before, self._end, self._users = reader, before, end, users
        self._open: dict[EventId, tuple[int, str]] = {}
        self._closed: set[EventId] = set()
        self._concerned: set[bytes | None] = set()
        self.fates: Counter[tuple[str, Fate]] = Counter()
        self.causes: Counter[tuple[str, str]] = Counter()

    @property
    def chosen(self) -> list[int]:
        return sorted(offset for offset, _ in self._open.values())

    def take(self, record: Record) -> None:
        """The next record. Behind the end of the stretch only what was published again is of interest."""
        if record.offset < self._end:
            self._sort(record)
        elif record.key in self._concerned and not self._is_lost(record):
            self._close(record)

    def _sort(self, record: Record) -> None:
        if self._users is not None and (record.key or b"").decode(errors="replace") not in self._users:
            return
        name = type_of(record)
        if not self._is_lost(record, name):
            self._close(record)
            self.fates[name, "unknown" if name not in self._known else "counted"] += 1
        elif record.offset in self._before.given:
            self._close(record, given=True)
            self.fates[name, "given"] += 1
        else:
            self.fates[name, self._fate(record, name)] += 1

    def _fate(self, record: Record, name: str) -> Fate:
        """Of what was not counted."""
        try:
            reading = self._reader.read(record)
            check_partition(record.key or b"", *self._before.partition)
        except BadRecord as bad:
            self.causes[name, bad.cause] += 1
            return "refused"
        if reading is None:
            return "unknown"
        event = id_of(reading)
        if event in self._open or event in self._closed:
            return "republished"
        self._open[event] = record.offset, name
        self._concerned.add(record.key)
        return "readable"

    def _close(self, record: Record, *, given: bool = False) -> None:
        """What was counted at a later place, or given late, is not folded again."""
        reading = self._read(record) if given or record.key in self._concerned else None
        if reading is None:
            return
        self._closed.add(id_of(reading))
        found = self._open.pop(id_of(reading), None)
        if found is not None:
            self.fates[found[1], "readable"] -= 1
            self.fates[found[1], "republished"] += 1

    def _read(self, record: Record) -> Reading | None:
        try:
            return self._reader.read(record)
        except BadRecord:
            return None

    def _is_lost(self, record: Record, name: str | None = None) -> bool:
        before = self._before
        if record.offset in before.refused:
            return True
        return bool(before.unread) and record.offset < before.unread.get(name or type_of(record), 0)

    @property
    def _known(self) -> set[str]:
        return {name for _, name in self._reader.keys}


def id_of(reading: Reading) -> EventId:
    _, event, _, _ = reading
    return event.subject, event.source, event.id


def type_of(record: Record) -> str:
    """The event type as it is written, whoever knows it."""
    try:
        value = structured(record) if record.headers and is_binary(record) else record.value
        return str(decode_typed(value).type)
    except (msgspec.MsgspecError, BadRecord, TypeError, ValueError, RecursionError):
        return NAMELESS


async def before(
    world: Stretches, topic: str, partition: tuple[int, int], control: Control, orders: str, own: str
) -> Before:
    """Shapes: partition, of how many; orders, the topic of replays' orders; own, the replay whose own orders do not
    count."""
    number, _ = partition
    earlier = {id: note.late[topic] for id, note in control.replays.items() if id != own and topic in note.late}
    given: set[int] = set()
    if earlier:
        undone = await world.refused(orders, number)
        given = {
            order.offset
            for at, order in await world.orders(number)
            if order.topic == topic and order.offset <= earlier.get(order.replay, -1) and at not in undone
        }
    return Before(partition, await world.refused(topic, number), control.unread.get(topic, {}), given)


async def sorted_out(world: Stretches, sorting: Sorting, topic: str, partition: int, span: Span) -> Sorting:
    """Read on, behind the stretch, only while something may have been published again."""
    for start, end in ((span.start, span.end), (span.end, span.until)):
        if start >= end or (start == span.end and not sorting.chosen):
            continue
        async with aclosing(world.records(Stretch(topic, partition, start, end))) as parts:
            async for part in parts:
                for record in part.records:
                    sorting.take(record)
    return sorting


class LateTask(NamedTuple):
    """Shapes: spans, by partition; users, whose records alone are folded; orders, the topic of replays' orders."""

    topic: str
    spans: Mapping[int, Span]
    users: Collection[str] | None
    orders: str


class LateJob(Job):
    """Any number of processes may run it: what they send is the same, in the same order."""

    def __init__(self, task: Task, ports: Ports, late: LateTask, world: Stretches, reader: EventReader) -> None:
        super().__init__(task, ports)
        self._late, self._world, self._reader = late, world, reader

    async def _send_bases(self, partition: int, note: ReplayNote) -> None:
        chosen = (await self._sorted(partition)).chosen
        if chosen:
            await self._send_late(partition, chosen)
        await self._send(partition, [Addressed(None, End(replay=self._task.replay, users=0))])

    async def _send_facts(self, partition: int, note: ReplayNote) -> None:
        await self._send(partition, [Addressed(None, Done(replay=self._task.replay))])

    async def _sorted(self, partition: int) -> Sorting:
        late, control = self._late, (await self._ports.notes.controls())[partition]
        place = partition, self._task.partitions
        known = await before(self._world, late.topic, place, control, late.orders, self._task.replay)
        span = late.spans[partition]
        sorting = Sorting(self._reader, known, span.end, late.users)
        return await sorted_out(self._world, sorting, late.topic, partition, span)

    async def _send_late(self, partition: int, chosen: Sequence[int]) -> None:
        stretch = Stretch(self._late.topic, partition, chosen[0], chosen[-1] + 1)
        meter, wanted = Meter(self._ports, partition, "filling", [stretch]), {*chosen}
        users: set[bytes | None] = set()
        async with aclosing(self._world.records(stretch)) as parts:
            async for part in parts:
                found = [record for record in part.records if record.offset in wanted]
                await self._send(partition, self._orders(partition, found))
                users.update(record.key for record in found)
                await meter.show(stretch.topic, part.end, len(users))
                await self._watch.go_on()
        await meter.finish(len(users))

    def _orders(self, partition: int, records: Sequence[Record]) -> Iterator[Addressed]:
        for record in records:
            yield Addressed(record.key, order_of(self._task.replay, self._late.topic, partition, record))


def order_of(replay: str, topic: str, partition: int, record: Record) -> Late:
    return Late(
        replay=replay,
        topic=topic,
        partition=partition,
        offset=record.offset,
        timestamp=record.timestamp,
        value=record.value,
        headers=list(record.headers),
    )
