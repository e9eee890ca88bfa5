"""The processor's log on Kafka: a transactional producer for each partition, an assigned consumer to read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from broker.fencing import told_once
from broker.parsing import tolerate_header_names
from processor.kafka.batches import Place, Row, pack, send, transactional_producer
from processor.kafka.fetch import Chunk, fetch_chunks
from processor.kafka.log import Extent

FETCH_BYTES = 4 * 1024 * 1024
FETCH_WAIT_MS = 10  # at a changelog's end; the next request on this connection waits for it
CHUNK_RECORDS = 5_000
POLL_S = 0.2  # also how long a release may wait for a restore that gets nothing


class KafkaWriter:
    """A producer that has fenced those before it."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def begin(self) -> None:
        await self._producer.begin_transaction()

    async def append(
        self, rows: Mapping[Place, Iterable[Row]], acknowledged: Callable[[Place], None]
    ) -> dict[Place, int]:
        packed = await pack(self._producer, rows)  # the broker's clock for a transaction starts with the sending
        with told_once(self._producer):
            written = await send(self._producer, packed, acknowledged)
        return {each.place: each.end for each in written}

    async def move(self, group: str, positions: Mapping[Place, int]) -> None:
        wanted = {TopicPartition(*place): OffsetAndMetadata(at, "") for place, at in positions.items()}
        with told_once(self._producer):
            await self._producer.send_offsets_to_transaction(wanted, group)

    async def commit(self) -> None:
        with told_once(self._producer):
            await self._producer.commit_transaction()

    async def close(self) -> None:
        await self._producer.stop()


class KafkaReader:
    """One consumer, reading one partition at a time."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._next: tuple[Place, int] | None = None

    async def bounds(self, places: Iterable[Place]) -> dict[Place, Extent]:
        wanted = [TopicPartition(*place) for place in places]
        begins = await self._consumer.beginning_offsets(wanted)
        ends = await self._consumer.end_offsets(wanted)
        return {tuple(place): Extent(begins[place], ends[place]) for place in wanted}

    async def read(self, place: Place, position: int) -> Chunk | None:
        partition = TopicPartition(*place)
        if self._next != (place, position):
            self._consumer.assign([partition])
            self._consumer.seek(partition, position)
            self._next = (place, position)
        chunks = await fetch_chunks(
            self._consumer, {partition}, records_max=CHUNK_RECORDS, timeout_s=POLL_S, go_on=lambda: True
        )
        for chunk in chunks:  # of one partition there is one at most
            self._next = (place, chunk.end)
            return chunk
        return None


class KafkaLog:
    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def writer(self, transactional_id: str) -> KafkaWriter:
        producer = transactional_producer(self._bootstrap, transactional_id)
        await producer.start()
        return KafkaWriter(producer)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[KafkaReader]:
        tolerate_header_names()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
            yield KafkaReader(consumer)
        finally:
            await consumer.stop()
