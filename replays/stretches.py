"""What a stretch of a topic is folded again by: its records, the dead letters, and what was sent late before."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from datetime import datetime

from aiokafka.errors import OffsetOutOfRangeError

from broker.connections import consumer
from broker.positions import as_partitions, end_positions
from broker.reading import read_to_end
from processor.kafka.dead_letters import PREFIX
from processor.replay.late import Span
from processor.replay.ports import Part, Stretch
from schemas.errors import Precondition
from schemas.records import Record
from schemas.replays import Late, decode_order
from schemas.topics import Names

LATE_TAG = b"late"


class KafkaStretches:
    def __init__(self, bootstrap: str, names: Names) -> None:
        self._bootstrap, self._names = bootstrap, names

    async def records(self, stretch: Stretch) -> AsyncGenerator[Part, None]:
        place = stretch.topic, stretch.partition
        try:
            async for batch in read_to_end(self._bootstrap, [place], {place: stretch.start}):
                end = min(batch.end, stretch.cut)
                yield Part(end, [record for record in batch.records if record.offset < end])
                if end == stretch.cut:
                    return
        except OffsetOutOfRangeError:
            raise Precondition(
                f"{stretch.topic}-{stretch.partition} does not hold all of [{stretch.start}, {stretch.cut}) any "
                "more: cancel this replay, and start another of what is left"
            ) from None

    async def refused(self, topic: str, partition: int) -> Collection[int]:
        """The owner of a partition writes its dead letters where it writes its states."""
        place = self._names.dead_letters, partition
        return {
            offset
            async for batch in read_to_end(self._bootstrap, [place])
            for record in batch.records
            for offset in _named(record, topic, partition)
        }

    async def orders(self, partition: int) -> Sequence[tuple[int, Late]]:
        place = self._names.replay_assignments, partition
        return [
            (record.offset, order)
            async for batch in read_to_end(self._bootstrap, [place])
            for record in batch.records
            if record.value is not None and LATE_TAG in record.value
            for order in [decode_order(record.value)]
            if isinstance(order, Late)
        ]


def _named(record: Record, topic: str, partition: int) -> Iterator[int]:
    """The place that a dead letter is of, if it is one of this partition."""
    said = {name: value for name, value in record.headers if name.startswith(PREFIX)}
    place = said.get(f"{PREFIX}topic"), said.get(f"{PREFIX}partition")
    offset = (said.get(f"{PREFIX}offset") or b"").decode(errors="replace")
    if place == (topic.encode(), f"{partition}".encode()) and offset.isdecimal():
        yield int(offset)


async def spans_of(
    bootstrap: str, topic: str, partitions: int, since: datetime, until: datetime
) -> tuple[Mapping[int, Span], list[tuple[str, int]]]:
    """Where a stretch of time lies in each partition, and the partitions that may have lost a part of it."""
    places = as_partitions((topic, number) for number in range(partitions))
    async with consumer(bootstrap) as client:
        begins, ends = await client.beginning_offsets(places), await end_positions(client, places)
        starts = await client.offsets_for_times(dict.fromkeys(places, _ms(since)))
        stops = await client.offsets_for_times(dict.fromkeys(places, _ms(until)))
    spans = {}
    for place in places:
        start, stop = (
            min(found[place].offset if found.get(place) else ends[place], ends[place]) for found in (starts, stops)
        )
        spans[place.partition] = Span(start, stop, ends[place])
    lost = [
        (topic, place.partition)
        for place in places
        if begins[place] and starts_at(spans, place.partition) <= begins[place]
    ]
    return spans, lost


def starts_at(spans: Mapping[int, Span], partition: int) -> int:
    return spans[partition].start


def _ms(time: datetime) -> int:
    """Milliseconds since 1970; a part of one counts as the next."""
    return -int(-time.timestamp() * 1000 // 1)
