"""Reading partitions by position: everything committed, in order, up to the end as it was at the start.

A position moves also where no record is: over transaction markers, aborted batches and what compaction took
away. Whoever waits for the record before the end waits for ever; the position gets there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.connections import consumer
from broker.parsing import keep_as_parsed
from broker.positions import Place, Positions, as_partitions
from schemas.errors import LaurelError
from schemas.records import Record

POLL_TIMEOUT_MS = 100
STALL_S_MAX = 60.0


class Batch(NamedTuple):
    """Records of one partition and the positions around them. Without records the position moved all the same."""

    topic: str
    partition: int
    start: int
    end: int
    records: Sequence[Record]


class Reader:
    """Reads assigned partitions and knows where it stands in each."""

    def __init__(self, client: AIOKafkaConsumer, starts: Mapping[Place, int]) -> None:
        self._client = client
        self.positions: Positions = dict(starts)
        keep_as_parsed(client)
        client.assign(as_partitions(starts))
        for place, start in starts.items():
            client.seek(TopicPartition(*place), start)

    async def poll(self, timeout_ms: int = POLL_TIMEOUT_MS) -> list[Batch]:
        """What has arrived, one batch for each partition whose position moved."""
        fetched = await self._client.getmany(timeout_ms=timeout_ms, max_records=sys.maxsize)
        batches = []
        for place, start in self.positions.items():
            end = await self._client.position(TopicPartition(*place))
            if end != start:
                batches.append(Batch(*place, start, end, fetched.get(TopicPartition(*place), [])))
        self.positions.update({(batch.topic, batch.partition): batch.end for batch in batches})
        return batches

    def behind(self, ends: Mapping[Place, int]) -> Positions:
        """The partitions that have not reached these ends, and where they stand."""
        return {place: self.positions[place] for place, end in ends.items() if self.positions[place] < end}


async def read_to_end(
    bootstrap: str, places: Iterable[Place], starts: Mapping[Place, int] | None = None
) -> AsyncGenerator[Batch, None]:
    """All committed records of these partitions, up to the ends they have now.

    Shapes: starts, position to begin at; the first record there is, where none is given.
    Raises: LaurelError when a partition stops moving before its end.
    """
    async with consumer(bootstrap) as client:
        partitions = as_partitions(places)
        ends = await client.end_offsets(partitions)  # read committed: the last stable offsets
        begins = await client.beginning_offsets(partitions)
        reader = Reader(client, {**begins, **(starts or {})})
        moved_at = time.monotonic()
        while behind := reader.behind(ends):
            batches = await reader.poll()
            moved_at = time.monotonic() if batches else moved_at
            if time.monotonic() - moved_at > STALL_S_MAX:
                raise _stalled(behind, ends)
            for batch in batches:
                yield batch


def _stalled(behind: Positions, ends: Mapping[Place, int]) -> LaurelError:
    (topic, partition), position = next(iter(behind.items()))
    return LaurelError(
        f"reading {topic}-{partition} stands at {position} of {ends[topic, partition]} since {STALL_S_MAX:.0f} s: "
        "look at the broker's log"
    )
