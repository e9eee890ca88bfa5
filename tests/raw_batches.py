"""Batches as any client in C may write them, and aiokafka's does not: with names of headers that are no UTF-8."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from schemas.records import Headers

BATCH_BYTES_MAX = 1_000_000


class RawName(str):
    """A header's name that is written as these bytes, one for each letter."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1")


def builder(codec: int = 0, producer_id: int = -1, *, transactional: bool = False) -> _DefaultRecordBatchBuilderPy:
    """aiokafka's builder in Python: the compiled one takes nothing but its own kind of text."""
    return _DefaultRecordBatchBuilderPy(2, codec, transactional, producer_id, -1, -1, BATCH_BYTES_MAX)


async def send_raw(
    kafka: str, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers
) -> None:
    """Send one record, by a client of its own: an idempotent one takes no builder but the compiled."""
    async with AIOKafkaProducer(bootstrap_servers=kafka) as client:
        batch = client.create_batch()
        batch._builder = builder()
        batch.append(timestamp=None, key=key, value=value, headers=[*headers])
        await (await client.send_batch(batch, topic, partition=partition))
