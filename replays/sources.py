"""The log of a namespace as a replay's job reads it: committed records of its sources, and what they came to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from broker.connections import consumer
from broker.positions import as_partitions
from broker.reading import Reader, read_to_end
from processor.replay.ports import Part, StateRow, Stretch
from processor.replay.scan import Progress, read
from processor.replay.wanted import Everything, Wanted
from schemas.records import Record
from schemas.state import CONTROL_KEY
from schemas.topics import Names

GATHER_S = 0.05  # of a topic that is followed, so that records that come one by one cost few fetches


class SourceLog:
    def __init__(self, bootstrap: str, names: Names) -> None:
        self._bootstrap, self._names = bootstrap, names

    async def begin(self, topic: str, partition: int) -> int:
        async with consumer(self._bootstrap) as client:
            (begin,) = (await client.beginning_offsets(as_partitions([(topic, partition)]))).values()
        return int(begin)

    async def scan(self, stretch: Stretch, wanted: Wanted) -> AsyncGenerator[Part, None]:
        async for batch in read(self._bootstrap, stretch, wanted, _unseen):
            yield Part(batch.end, batch.records)

    async def follow(self, topic: str, partition: int, start: int, wanted: Wanted) -> AsyncGenerator[Part, None]:
        async with consumer(self._bootstrap) as client:
            reader, position = Reader(client, {(topic, partition): start}), start
            while True:
                records: Sequence[Record] = ()
                for batch in await reader.poll():
                    position, records = batch.end, wanted.among(batch.records)
                yield Part(position, records)
                await asyncio.sleep(GATHER_S)

    async def states(self, partition: int) -> AsyncGenerator[Sequence[StateRow], None]:
        """Batch by batch as they are in the log: a third of what a consumer's own parsing costs."""
        changelog = await self._whole(self._names.changelog, partition)
        async with aclosing(read(self._bootstrap, changelog, Everything(), _unseen)) as batches:
            async for batch in batches:
                yield [
                    (record.key, record.value)
                    for record in batch.records
                    if record.key is not None and record.key != CONTROL_KEY
                ]

    async def _whole(self, topic: str, partition: int) -> Stretch:
        """Up to what is committed now."""
        async with consumer(self._bootstrap) as client:
            places = as_partitions([(topic, partition)])
            (begin,) = (await client.beginning_offsets(places)).values()
            (end,) = (await client.end_offsets(places)).values()  # read committed: the last stable offset
        return Stretch(topic, partition, int(begin), int(end))

    async def outcomes(self, partition: int) -> AsyncGenerator[Sequence[bytes], None]:
        async for batch in read_to_end(self._bootstrap, [(self._names.outcomes, partition)]):
            yield [record.value for record in batch.records if record.value is not None]


def _unseen(_: Progress) -> None:
    """The job counts for itself how far it is."""
