"""A scan of a real partition: over transactions, in all codecs, from any position on, no further than the cut."""

from __future__ import annotations

import time

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from broker.connections import admin, producer
from broker.reading import Batch, read_to_end
from broker.topics import create_topics
from processor.replay.ports import Stretch
from processor.replay.scan import Progress, read
from processor.replay.wanted import Wanted
from schemas.errors import Precondition
from schemas.records import PlainRecord
from schemas.topics import SOURCE_CONFIG, TopicSpec
from tests.servers import Servers
from tests.transactions import decided

pytestmark = pytest.mark.server

WANTED = "song_released"
TYPES = (WANTED, "song", "login", "song_released_again", "comment")
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@pytest.fixture
async def topic(servers: Servers, namespace: str) -> str:
    name = f"{namespace}.source"
    await create_topics(servers.kafka, [TopicSpec(name, 1, SOURCE_CONFIG)])
    return name


def value(number: int, name: str) -> bytes:
    return msgspec.json.encode({"type": name, "id": str(number), "said": "la" * 40})


async def publish(kafka: str, topic: str, count: int, codec: str | None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all", compression_type=codec) as client:
        for number in range(count):
            await client.send(topic, value(number, TYPES[number % 5]), key=b"ann", headers=[("n", b"%d" % number)])
        await client.flush()


async def publish_decided(kafka: str, topic: str, count: int, *, abort: bool) -> None:
    async with producer(kafka, transactional_id=f"{topic}-writer") as client:
        await client.begin_transaction()
        for number in range(count):
            await client.send(topic, value(number, WANTED), key=b"ann")
        await (client.abort_transaction() if abort else client.commit_transaction())


async def everything(kafka: str, topic: str) -> list[Batch]:
    return [batch async for batch in read_to_end(kafka, [(topic, 0)], {(topic, 0): 0})]


async def scanned(kafka: str, topic: str, start: int, cut: int) -> tuple[list[Batch], list[Progress]]:
    told: list[Progress] = []
    batches = [batch async for batch in read(kafka, Stretch(topic, 0, start, cut), Wanted([WANTED]), told.append)]
    return batches, told


def as_told(batches: list[Batch]) -> list[PlainRecord]:
    found = [record for batch in batches for record in batch.records]
    return [PlainRecord(each.offset, each.timestamp, each.key, each.value, [*each.headers]) for each in found]


async def test_it_finds_what_reading_everything_finds_wherever_it_begins_and_ends(
    servers: Servers, topic: str
) -> None:
    for codec in CODECS:
        await publish(servers.kafka, topic, 500, codec)
        await publish_decided(servers.kafka, topic, 30, abort=codec != "lz4")
    await decided(servers.kafka, [topic])
    whole = await everything(servers.kafka, topic)
    end = whole[-1].end
    wanted = [row for row in as_told(whole) if msgspec.json.decode(row.value or b"")["type"] == WANTED]
    assert len(wanted) == 5 * 100 + 30

    for start, cut in [(0, end), (1, end - 1), (503, 1_703), (end - 1, end)]:
        batches, told = await scanned(servers.kafka, topic, start, cut)

        assert as_told(batches) == [row for row in wanted if start <= row.offset < cut]
        assert [batch.start for batch in batches] == [start, *(batch.end for batch in batches[:-1])]
        committed = [row for row in as_told(whole) if start <= row.offset < cut]
        assert told[-1][:2] == (cut, len(committed))
        assert [each.position for each in told] == [batch.end for batch in batches]


async def test_it_goes_on_where_it_was_left(servers: Servers, topic: str) -> None:
    """A batch counts as done when the next one is asked for: the one that a crash interrupts comes again."""
    await publish(servers.kafka, topic, 30_000, None)
    stretch, told = Stretch(topic, 0, 0, 30_000), [Progress(0, 0, 0)]
    before: list[Batch] = []
    walk = read(servers.kafka, stretch, Wanted(TYPES), told.append)
    async for batch in walk:
        if len(before) == 2:
            break
        before.append(batch)
    await walk.aclose()

    rest = read(servers.kafka, stretch._replace(start=told[-1].position), Wanted(TYPES), told.append)
    batches = before + [batch async for batch in rest]

    assert [record.offset for batch in batches for record in batch.records] == [*range(30_000)]


async def test_an_empty_stretch_is_done_at_once(servers: Servers, topic: str) -> None:
    assert await scanned(servers.kafka, topic, 0, 0) == ([], [])


async def test_history_that_the_log_no_longer_holds_is_said_with_what_is_left(servers: Servers, topic: str) -> None:
    await publish(servers.kafka, topic, 100, None)
    async with admin(servers.kafka) as client:
        await client.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=40)})
    began = time.monotonic()

    with pytest.raises(
        Precondition, match=r"holds the positions \[40, 100\), not all of \[0, 100\): plan the replay"
    ):
        await scanned(servers.kafka, topic, 0, 100)
    assert time.monotonic() - began < 30
