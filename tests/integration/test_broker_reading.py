"""Reading to the end by position, over everything that moves a position without being a record."""

from __future__ import annotations

import pytest

from broker.connections import consumer, producer
from broker.positions import Place, end_positions, group_positions, last_stable_offsets
from broker.producing import Outgoing, Publisher
from broker.reading import Batch, read_to_end
from broker.topics import create_topics, places_of
from schemas.errors import Precondition
from schemas.topics import SOURCE_CONFIG, TopicSpec, partition_of
from tests.transactions import decided

pytestmark = pytest.mark.server

PARTITIONS = 3


@pytest.fixture
async def topic(servers, namespace) -> str:
    name = f"{namespace}-source"
    await create_topics(servers.kafka, [TopicSpec(name, PARTITIONS, SOURCE_CONFIG)])
    return name


def records(topic: str, count: int, of: str = "event") -> list[Outgoing]:
    return [Outgoing(topic, f"user-{number % 17}".encode(), f"{of} {number}".encode()) for number in range(count)]


async def batches(kafka: str, topic: str, starts: dict[Place, int] | None = None) -> list[Batch]:
    places = await places_of(kafka, [topic])
    return [batch async for batch in read_to_end(kafka, places, starts)]


def values(found: list[Batch]) -> list[bytes]:
    return sorted(record.value or b"" for batch in found for record in batch.records)


async def test_everything_published_is_read_once_and_in_order_for_every_key(servers, topic):
    sent = records(topic, 5000)
    async with producer(servers.kafka) as client:
        publisher = Publisher(client, {topic: PARTITIONS})
        for record in sent:
            await publisher.send(record)
        await publisher.flush()

    found = await batches(servers.kafka, topic)

    assert values(found) == sorted(record.value for record in sent)
    for key in {record.key for record in sent}:
        read = [each.value for batch in found for each in batch.records if each.key == key]
        assert read == [record.value for record in sent if record.key == key]
        assert {batch.partition for batch in found for each in batch.records if each.key == key} == {
            partition_of(key, PARTITIONS)
        }


async def test_an_empty_topic_ends_at_once(servers, topic):
    assert await batches(servers.kafka, topic) == []


async def test_aborted_records_are_never_seen_and_the_position_passes_them(servers, topic):
    """The log ends with an aborted transaction: no record is left to wait for, only a position."""
    async with producer(servers.kafka, transactional_id=f"{topic}-writer") as client:
        publisher = Publisher(client, {topic: PARTITIONS})
        await publisher.abort(records(topic, 40, of="ghost"))
        await publisher.commit(records(topic, 60))
        await publisher.abort(records(topic, 40, of="ghost"))
    await decided(servers.kafka, [topic])

    found = await batches(servers.kafka, topic)

    assert values(found) == sorted(record.value for record in records(topic, 60))
    ends = await last_stable_offsets(servers.kafka, await places_of(servers.kafka, [topic]))
    assert {(batch.topic, batch.partition): batch.end for batch in found} == ends


async def test_batches_join_without_gaps_though_markers_lie_between(servers, topic):
    async with producer(servers.kafka, transactional_id=f"{topic}-writer") as client:
        publisher = Publisher(client, {topic: PARTITIONS})
        for _ in range(5):
            await publisher.commit(records(topic, 20))

    found = await batches(servers.kafka, topic)

    for partition in range(PARTITIONS):
        mine = [batch for batch in found if batch.partition == partition]
        assert [batch.start for batch in mine] == [0, *(batch.end for batch in mine[:-1])]


async def test_an_open_transaction_does_not_keep_a_reader_waiting(servers, topic):
    """What is not decided is not the past: the reader stops at the last stable offset."""
    async with producer(servers.kafka) as plain:
        publisher = Publisher(plain, {topic: PARTITIONS})
        await publisher.send(Outgoing(topic, b"user-1", b"before"))
        await publisher.flush()
        async with producer(servers.kafka, transactional_id=f"{topic}-writer") as client:
            await client.begin_transaction()
            await client.send_and_wait(topic, b"undecided", key=b"user-1")
            await publisher.send(Outgoing(topic, b"user-1", b"behind it"))
            await publisher.flush()

            assert values(await batches(servers.kafka, topic)) == [b"before"]
            await client.abort_transaction()
    await decided(servers.kafka, [topic])
    assert values(await batches(servers.kafka, topic)) == [b"before", b"behind it"]


async def test_reading_starts_where_it_is_told(servers, topic):
    async with producer(servers.kafka) as client:
        publisher = Publisher(client, {topic: PARTITIONS})
        for record in records(topic, 100):
            await publisher.send(record)
        await publisher.flush()
        starts = {place: end - 1 for place, end in publisher.ends.items()}

    assert [len(batch.records) for batch in await batches(servers.kafka, topic, starts)] == [1] * PARTITIONS


async def test_acknowledged_ends_are_the_ends_of_the_log(servers, topic):
    async with producer(servers.kafka) as client:
        publisher = Publisher(client, {topic: PARTITIONS})
        for record in records(topic, 500):
            await publisher.send(record)
        await publisher.flush()
    async with consumer(servers.kafka) as client:
        assert await end_positions(client, publisher.ends) == publisher.ends


async def test_a_group_that_never_committed_stands_at_the_beginning(servers, topic):
    places = await places_of(servers.kafka, [topic])
    async with group_positions(servers.kafka, f"{topic}.group") as group:
        assert await group.committed(places) == dict.fromkeys(places, 0)
        assert await group.ends(places) == dict.fromkeys(places, 0)


async def test_a_missing_topic_is_said_so_with_the_remedy(servers):
    with pytest.raises(
        Precondition, match=r"no\.such\.topic does not exist: .* `laurel topics create --catalog FILE`"
    ):
        await places_of(servers.kafka, ["no.such.topic"])


async def test_a_broker_that_does_not_answer_is_said_so_with_the_remedy():
    with pytest.raises(Precondition, match=r"no broker answers at 127\.0\.0\.1:1: start one with `laurel dev`"):
        await places_of("127.0.0.1:1", ["any"])
