"""A shadow, read by the owner of the partition that it takes over: fenced, then its changelog and its outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from aiokafka.errors import KafkaError

from processor.evaluator.takeover import Takeover
from processor.kafka.batches import Place
from processor.kafka.log import Log, Reader
from processor.kafka.partition import OwnedPartition
from schemas.errors import LaurelError
from schemas.records import Record
from schemas.replays import Promote
from schemas.state import CONTROL_KEY, Control, decode_control
from schemas.topics import Names

STALL_S_MAX = 60.0
USERS_AT_ONCE = 200  # are replaced before anybody else has a turn
BYTES_MAX = 256 * 1024 * 1024  # of one transaction, which stands in memory and has the seconds of a checkpoint
UNTOLD_NAMED = 3


class Abandoned(Exception):  # noqa: N818 - what happened
    """The partition was released meanwhile: its next owner begins anew."""


class Takeovers:
    """What the promotions of this process's partitions are prepared with."""

    def __init__(self, log: Log, names: Names) -> None:
        self._log, self._names = log, names

    async def prepare(self, partition: OwnedPartition, record: Record) -> None:
        """Before an order is folded that promotes a shadow, or rehearses that: all that is to be read of it.

        Whatever is wrong with the shadow is a reason not to promote it, and none to end this process. Raises:
        Abandoned.
        """
        replays = partition.replays
        order = replays.promotion(record)
        if order is None:
            return
        try:
            reading = Reading(self._log, self._names, partition, order)
            replays.prepared = await reading.takeover(record, replays.prepared)
        except (LaurelError, KafkaError, TimeoutError, msgspec.MsgspecError) as refused:
            replays.prepared = str(refused) or repr(refused)


class Reading:
    """Of one partition of a shadow."""

    def __init__(self, log: Log, here: Names, partition: OwnedPartition, order: Promote) -> None:
        self._log, self._here, self._partition, self._order = log, here, partition, order
        self._names, self._writer = Names(order.shadow), partition.writer
        self._control = Control()
        self._rows: dict[bytes, bytes] = {}

    async def takeover(self, record: Record, rehearsed: Takeover | str | None) -> Takeover:
        """The one that was rehearsed, if the shadow stands as it did. Raises: LaurelError when the shadow cannot
        take over, Abandoned."""
        async with asyncio.timeout(STALL_S_MAX):
            await (await self._log.writer(self._names.transactional_id(self._partition.number))).close()
        async with self._log.reader() as reader:
            ends = await self._ends(reader)
            if isinstance(rehearsed, Takeover) and rehearsed.ends == ends:
                return rehearsed
            made = await self._made(reader, record)
        made.ends, made.told = ends, ends[self._names.outcomes]
        return made

    async def _ends(self, reader: Reader) -> dict[str, int]:
        """Of what the shadow writes."""
        number = self._partition.number
        found = await reader.bounds([(topic, number) for topic in (self._names.changelog, self._names.outcomes)])
        return {topic: extent.end for (topic, _), extent in found.items()}

    async def _made(self, reader: Reader, record: Record) -> Takeover:
        partition = self._partition
        async for records in self._read(reader, self._names.changelog):
            self._load(records)
        made = partition.replays.takeover(self._order, record, partition.places(), self._control)
        await self._replace(made)
        await self._hear(reader, made)
        self._refuse_untold(made)
        self._refuse_too_much(made)
        return made

    async def _hear(self, reader: Reader, made: Takeover) -> None:
        """The shadow first: of what both have told it is the shadow's word that its states are of."""
        goes_on_from, here = made.goes_on_from, self._here.outcomes
        await self._hear_all(reader, made, self._names.outcomes, goes_on_from or 0)
        if goes_on_from is not None:
            await self._hear_all(reader, made, here, 0)
        if made.endings.has_scopes:
            async for records in self._read(reader, here):
                for each in records:
                    made.endings.recall(each.key, each.value or b"")
            self._refuse_unsaid(made)
            made.endings.tell_scopes()

    async def _hear_all(self, reader: Reader, made: Takeover, topic: str, start: int) -> None:
        """As far as there is something to be heard, for it may be long."""
        if made.unheard:
            async for records in self._read(reader, topic, start):
                for each in records:
                    made.hear(each.key, each.value or b"")
                if not made.unheard:
                    break

    async def _read(self, reader: Reader, topic: str, start: int = 0) -> AsyncIterator[Sequence[Record]]:
        """A partition of a topic from here to where it ends now: who writes it is fenced, or waits for us."""
        place: Place = (topic, self._partition.number)
        clock = asyncio.get_running_loop().time
        begin, end = (await reader.bounds([place]))[place]
        position = max(begin, start)
        moved_at = clock()
        while position < end:
            self._go_on()
            chunk = await reader.read(place, position)
            if chunk is not None:
                yield chunk.records
                position, moved_at = chunk.end, clock()
            elif clock() - moved_at > STALL_S_MAX:
                raise LaurelError(f"{topic}-{place[1]} stands at {position} of {end} since {STALL_S_MAX:.0f} s")
            await asyncio.sleep(0)

    def _go_on(self) -> None:
        if self._partition.writer is not self._writer or not self._partition.is_open:
            raise Abandoned

    def _load(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.key == CONTROL_KEY and record.value is not None:
                self._control = decode_control(record.value)
            elif record.key is not None and record.value is not None:
                self._rows[record.key] = record.value
            elif record.key is not None:
                self._rows.pop(record.key, None)

    async def _replace(self, takeover: Takeover) -> None:
        evaluator = self._partition.evaluator
        for count, user in enumerate(dict.fromkeys([*evaluator.users(), *self._rows])):
            takeover.replace(user, evaluator.get(user), self._rows.pop(user, None))
            if count % USERS_AT_ONCE == 0:
                self._go_on()
                await asyncio.sleep(0)

    def _refuse_too_much(self, takeover: Takeover) -> None:
        """A checkpoint that runs out of its time would end every owner in turn, with the partition held."""
        size = takeover.size
        if size > BYTES_MAX:
            raise LaurelError(
                f"promoting partition {self._partition.number} takes {size:,} bytes, and one transaction at most "
                f"{BYTES_MAX:,}: start over in a namespace with more partitions"
            )

    def _refuse_unsaid(self, takeover: Takeover) -> None:
        unsaid = [*takeover.endings.unsaid]
        if unsaid:
            some = ", ".join(f"{user.decode()}: {identity}" for user, (identity, _) in unsaid[:UNTOLD_NAMED])
            raise LaurelError(
                f"{self._here.outcomes}-{self._partition.number} does not have the unlocks of {len(unsaid)} awards "
                f"with scopes that are to be revoked ({some}): it has lost records. Start over with --policy keep"
            )

    def _refuse_untold(self, takeover: Takeover) -> None:
        untold = [*takeover.untold]
        if untold:
            some = ", ".join(f"{user.decode()}: {gain[0]}" for user, gain in untold[:UNTOLD_NAMED])
            raise LaurelError(
                f"{self._names.outcomes}-{self._partition.number} does not have {len(untold)} of the awards that "
                f"the shadow's states hold ({some}): it has lost records. Start over with another shadow"
            )
