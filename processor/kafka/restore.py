"""Restoring a partition from its changelog, with a consumer of its own, complete by position."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.kafka.fetch import Chunk, fetch_chunks
from processor.kafka.partition import OwnedPartition
from schemas.errors import LaurelError
from schemas.records import Record
from schemas.state import CONTROL_KEY, decode_control

FETCH_BYTES = 4 * 1024 * 1024
FETCH_WAIT_MS = 10  # at a changelog's end; the next request on this connection waits for it
SLICE_RECORDS = 5_000
POLL_S = 1.0
STALL_S_MAX = 60.0


class Span(NamedTuple):
    """A partition of the changelog, from its first offset to the end of what is committed."""

    place: TopicPartition
    begin: int
    end: int


class ChangelogReader:
    """Brings partitions up to the end of their changelog."""

    def __init__(self, consumer: AIOKafkaConsumer, spans: Mapping[int, Span], go_on: Callable[[], bool]) -> None:
        self._consumer, self._spans, self._go_on = consumer, spans, go_on

    async def restore(self, partition: OwnedPartition) -> int:
        """Read what memory does not have yet. Returns the number of records.

        A kept partition reads from behind our own last write: after a generation that we missed, somebody else may
        have written.
        """
        place, begin, end = self._spans[partition.number]
        if partition.log_position > end:
            raise _shrunk(place, partition.log_position, end)
        partition.log_position = max(partition.log_position, begin)
        return await self._read(partition, place, end) if partition.log_position < end else 0

    async def _read(self, partition: OwnedPartition, place: TopicPartition, end: int) -> int:
        self._consumer.assign([place])
        self._consumer.seek(place, partition.log_position)
        count, moved_at = 0, time.monotonic()
        while partition.log_position < end and self._go_on():
            for chunk in await fetch_chunks(
                self._consumer, {place}, records_max=SLICE_RECORDS, timeout_s=POLL_S, go_on=self._go_on
            ):
                _load(partition, chunk)
                count += len(chunk.records)
                moved_at = time.monotonic()
            if time.monotonic() - moved_at > STALL_S_MAX:
                raise _stalled(place, partition.log_position, end)
            await asyncio.sleep(0)
        return count


@asynccontextmanager
async def changelog_reader(
    bootstrap: str, changelog: str, partitions: Iterable[OwnedPartition], go_on: Callable[[], bool]
) -> AsyncIterator[ChangelogReader]:
    """A reader of these partitions, which are fenced: where they end now is where they end."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    try:
        await consumer.start()
        places = {partition.number: TopicPartition(changelog, partition.number) for partition in partitions}
        yield ChangelogReader(consumer, await _spans(consumer, places), go_on)
    finally:
        await consumer.stop()


async def _spans(consumer: AIOKafkaConsumer, places: Mapping[int, TopicPartition]) -> dict[int, Span]:
    begins = await consumer.beginning_offsets([*places.values()])
    ends = await consumer.end_offsets([*places.values()])
    return {number: Span(place, begins[place], ends[place]) for number, place in places.items()}


def _load(partition: OwnedPartition, chunk: Chunk) -> None:
    partition.evaluator.load(_states(partition, chunk.records))
    partition.log_position = chunk.end


def _states(partition: OwnedPartition, records: Iterable[Record]) -> Iterator[tuple[bytes, bytes | None]]:
    """The rows of users; the control record among them is kept aside."""
    for record in records:
        if record.key == CONTROL_KEY and record.value is not None:
            partition.control = decode_control(record.value)
        elif record.key is not None:
            yield record.key, record.value


def _shrunk(place: TopicPartition, position: int, end: int) -> LaurelError:
    return LaurelError(
        f"changelog {place.topic}-{place.partition} ends at {end}, behind our own last write at {position}: the "
        "topic was recreated or its broker lost data. A restart begins from what is there now"
    )


def _stalled(place: TopicPartition, position: int, end: int) -> LaurelError:
    return LaurelError(
        f"restoring {place.topic}-{place.partition} stands at {position} of {end} since {STALL_S_MAX:.0f} s: "
        "look at the broker's log; a restart tries again"
    )
