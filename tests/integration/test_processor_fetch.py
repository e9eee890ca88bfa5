"""Fetching by position from a real broker: no offset goes unmentioned, whatever lies there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from broker.connections import consumer, producer
from broker.topics import create_topics
from processor.kafka.fetch import Chunk, fetch_chunks
from schemas.topics import TopicSpec
from tests.servers import Servers
from tests.transactions import decided

pytestmark = pytest.mark.server

WAIT_S = 60.0


@pytest.fixture
async def place(servers: Servers, namespace: str) -> TopicPartition:
    await create_topics(servers.kafka, [TopicSpec(f"{namespace}.source", 1, {})])
    return TopicPartition(f"{namespace}.source", 0)


@pytest.fixture
async def reader(servers: Servers) -> AsyncIterator[AIOKafkaConsumer]:
    async with consumer(servers.kafka) as client:
        yield client


@pytest.fixture
async def publisher(servers: Servers, place: TopicPartition) -> AsyncIterator[AIOKafkaProducer]:
    async with producer(servers.kafka, transactional_id=f"{place.topic}-publisher") as client:
        yield client


async def publish(publisher: AIOKafkaProducer, place: TopicPartition, *values: bytes, abort: bool = False) -> None:
    await publisher.begin_transaction()
    for value in values:
        await publisher.send_and_wait(place.topic, value, partition=place.partition, headers=[("h", value)])
    await (publisher.abort_transaction() if abort else publisher.commit_transaction())


async def read_until(reader: AIOKafkaConsumer, place: TopicPartition, end: int, records_max: int) -> list[Chunk]:
    """Chunks from the beginning up to a position, each begun where the last one ended."""
    reader.assign([place])
    reader.seek(place, 0)
    chunks: list[Chunk] = []
    while not chunks or chunks[-1].end < end:
        came = await fetch_chunks(reader, {place}, records_max=records_max, timeout_s=WAIT_S, go_on=lambda: True)
        assert came, f"nothing came in {WAIT_S} s behind {chunks[-1:]}"
        chunks += came
    assert [chunk.start for chunk in chunks] == [0, *(chunk.end for chunk in chunks[:-1])]
    return chunks


@pytest.mark.parametrize("records_max", [1, 2, 3, 1_000])
async def test_chunks_tell_of_markers_and_aborted_batches_wherever_a_fetch_is_cut(
    servers: Servers, reader: AIOKafkaConsumer, publisher: AIOKafkaProducer, place: TopicPartition, records_max: int
) -> None:
    """Offsets 0, 1 are records, 2 their marker, 3, 4, 5 aborted with a marker, 6, 7 again, 8 their marker."""
    await publish(publisher, place, b"a", b"b")
    await publish(publisher, place, b"x", b"y", abort=True)
    await publish(publisher, place, b"c", b"d")
    await decided(servers.kafka, [place.topic])

    chunks = await read_until(reader, place, 9, records_max)

    assert [record.value for chunk in chunks for record in chunk.records] == [b"a", b"b", b"c", b"d"]
    assert {chunk.stable_end for chunk in chunks} == {9}


async def test_a_chunk_without_records_tells_of_an_aborted_batch_that_nothing_follows(
    reader: AIOKafkaConsumer, publisher: AIOKafkaProducer, place: TopicPartition
) -> None:
    await publish(publisher, place, b"a")
    (first,) = await read_until(reader, place, 2, 1_000)

    await publish(publisher, place, b"x", b"y", b"z", abort=True)
    (second,) = await fetch_chunks(reader, {place}, records_max=9, timeout_s=WAIT_S, go_on=lambda: True)

    assert (first.end, second.start, second.end, [*second.records]) == (2, 2, 6, [])


async def test_records_stay_as_the_parser_made_them(
    reader: AIOKafkaConsumer, publisher: AIOKafkaProducer, place: TopicPartition
) -> None:
    """They carry all that a fold looks at, and cost half of aiokafka's own record."""
    await publish(publisher, place, b"a")

    (chunk,) = await read_until(reader, place, 2, 1_000)

    (record,) = chunk.records
    assert (record.offset, record.key, record.value, [*record.headers]) == (0, None, b"a", [("h", b"a")])
    assert record.timestamp > 1_700_000_000_000
    assert type(record).__name__ == "DefaultRecord"


async def test_only_wanted_partitions_are_taken_and_the_wish_may_change(
    reader: AIOKafkaConsumer, publisher: AIOKafkaProducer, place: TopicPartition
) -> None:
    """A partition that is not ready yet keeps its records until it is."""
    await publish(publisher, place, b"a")
    reader.assign([place])
    reader.seek(place, 0)
    wanted: set[Any] = set()

    assert await fetch_chunks(reader, wanted, records_max=9, timeout_s=0.5, go_on=lambda: True) == []
    wanted.add(place)

    (chunk,) = await fetch_chunks(reader, wanted, records_max=9, timeout_s=WAIT_S, go_on=lambda: True)
    assert (chunk.start, chunk.end) == (0, 2)
