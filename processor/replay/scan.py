"""The reading half of a replay: of a stretch of a partition some records, read committed, mostly of event types.

It reads no faster than its reader takes, and from any position on: whoever stored the end of a batch goes on there.
Memory: the fetch that is gone through and the next one, which may be there three times while it arrives; each has
FETCH_BYTES or one larger batch. Then one batch decompressed, and RECORDS_MAX found records and those of a batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.errors import OffsetOutOfRangeError

from broker.connections import consumer
from broker.reading import STALL_S_MAX, Batch
from processor.replay.ports import Stretch
from processor.replay.raw_batches import Abort, Choice, RawBatch, Sieve, Sifted, raw_batches
from schemas.errors import LaurelError, Precondition
from schemas.records import Record

FETCH_BYTES = 4 * 1024 * 1024
RECORDS_MAX = 5_000
LOOK_AGAIN_S = 0.2


class Progress(NamedTuple):
    """How far a scan's reader has come. Shapes: records, the committed ones behind it, wanted or not.

    Units: size, bytes as Kafka keeps them.
    """

    position: int
    records: int
    size: int


class Found(NamedTuple):
    """Some batches in a row, and what was wanted of them."""

    end: int
    read: int
    size: int
    records: Sequence[Record]


class Fetched(NamedTuple):
    batches: Sequence[RawBatch]
    aborts: Sequence[Abort]


async def read(
    bootstrap: str, stretch: Stretch, choice: Choice, progress: Callable[[Progress], None]
) -> AsyncGenerator[Batch, None]:
    """The chosen committed records in order, and every move of the position; the last one is to the cut.

    Shapes: progress is told of a batch when the reader comes for the next one, and so is done with it.
    Raises: Precondition when the log does not hold the stretch; LaurelError for what cannot be read, or when the
    cut lies behind what is committed and stays there.
    """
    sieve, told = Sieve(choice, stretch.start, stretch.cut), Progress(stretch.start, 0, 0)
    async with consumer(bootstrap, fetch_bytes=FETCH_BYTES) as client:
        async for fetched in _fetches(client, stretch):
            for found in _gathered(sieve.sift(*fetched)):
                yield Batch(stretch.topic, stretch.partition, told.position, found.end, found.records)
                told = Progress(found.end, told.records + found.read, told.size + found.size)
                progress(told)
                await asyncio.sleep(0)  # a fetch may be long, and others wait for the loop


def _gathered(batches: Iterable[Sifted]) -> Iterator[Found]:
    """Batches until they have RECORDS_MAX records: a publisher may send each record in a batch of its own."""
    end = read = size = 0
    records: list[Record] = []
    for batch in batches:
        end, read, size = batch.end, read + batch.read, size + batch.size
        records += batch.records
        if len(records) >= RECORDS_MAX:
            yield Found(end, read, size, records)
            read, size, records = 0, 0, []
    if size:
        yield Found(end, read, size, records)


async def _fetches(client: AIOKafkaConsumer, stretch: Stretch) -> AsyncGenerator[Fetched, None]:
    """Fetches as they are in the log, up to the cut; the next one is under way while one is gone through."""
    partition, position = TopicPartition(stretch.topic, stretch.partition), stretch.start
    client.assign([partition])
    client.seek(partition, position)
    while position < stretch.cut:
        fetched = await _fetched(client, partition, stretch)
        position = fetched.batches[-1].end
        if position < stretch.cut:
            client.seek(partition, position)
        yield fetched


async def _fetched(client: AIOKafkaConsumer, partition: TopicPartition, stretch: Stretch) -> Fetched:
    """What aiokafka fetched and has not parsed yet."""
    fetcher, deadline = client._fetcher, time.monotonic() + STALL_S_MAX
    while (result := fetcher._records.get(partition)) is None:
        if time.monotonic() > deadline:
            raise await _stalled(client, partition, stretch)
        waiter = fetcher._create_fetch_waiter()
        await asyncio.wait([waiter], timeout=LOOK_AGAIN_S)
        waiter.cancel()
    if type(result) is not FetchResult:
        await _raise_refusal(client, partition, stretch)
    unparsed: Any = result._partition_records
    unparsed._records_iterator = None  # nobody parses: it would hold the fetch until the collector comes, rarely
    return Fetched([*raw_batches(unparsed._records.data)], unparsed._aborted_transactions)


async def _raise_refusal(client: AIOKafkaConsumer, partition: TopicPartition, stretch: Stretch) -> None:
    try:
        await client.getmany(partition)
    except OffsetOutOfRangeError:
        (begin,) = (await client.beginning_offsets([partition])).values()
        (end,) = (await client.end_offsets([partition])).values()
        raise Precondition(
            f"{partition.topic}-{partition.partition} holds the positions [{begin}, {end}), "
            f"not all of [{stretch.start}, {stretch.cut}): plan the replay again for what is left of it"
        ) from None


async def _stalled(client: AIOKafkaConsumer, partition: TopicPartition, stretch: Stretch) -> LaurelError:
    position = await client.position(partition)
    return LaurelError(
        f"scanning {partition.topic}-{partition.partition} stands at {position} of {stretch.cut} since "
        f"{STALL_S_MAX:.0f} s: is the cut behind what is committed? If not, look at the broker's log"
    )
