"""Publishing many records quickly, in order for every key.

One open batch a partition, handed over when it is full; the key decides the partition (murmur2).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from broker.positions import Place, Positions
from schemas.topics import partition_of

KEYS_REMEMBERED = 65_536
BATCHES_UNACKNOWLEDGED_MAX = 64


class Outgoing(NamedTuple):
    """A record to be published; its partition follows from the key."""

    topic: str
    key: bytes
    value: bytes


class HandedOver(NamedTuple):
    """A batch on its way."""

    place: Place
    records: int
    acknowledged: asyncio.Future[Any]


class Publisher:
    """Publishes records through a started producer.

    Shapes: partitions, how many by topic; `ends`, the position after our last acknowledged record.
    """

    def __init__(self, client: AIOKafkaProducer, partitions: Mapping[str, int]) -> None:
        self._client = client
        self._partitions = partitions
        self._partition_of = lru_cache(KEYS_REMEMBERED)(partition_of)
        self._open: dict[Place, Any] = {}
        self._handed_over: deque[HandedOver] = deque()
        self.ends: Positions = {}

    async def send(self, record: Outgoing) -> None:
        """Add a record; waits only while the partition's last full batch has not left yet."""
        topic, key, value = record
        place = (topic, self._partition_of(key, self._partitions[topic]))
        batch = self._open.get(place)
        if batch is None or batch.append(timestamp=None, key=key, value=value) is None:
            await self._hand_over(place)
            batch = self._open[place] = self._client.create_batch()
            batch.append(timestamp=None, key=key, value=value)

    async def flush(self) -> None:
        """Wait until everything sent so far is acknowledged. Raises: KafkaError."""
        for place in list(self._open):
            await self._hand_over(place)
        await self._settle(down_to=0)

    async def commit(self, records: Iterable[Outgoing]) -> None:
        """Publish records in a transaction of their own."""
        async with self._client.transaction():
            await self.send_all(records)

    async def abort(self, records: Iterable[Outgoing]) -> None:
        """Write records that no reader of committed records may ever see."""
        await self._client.begin_transaction()
        try:
            await self.send_all(records)
        finally:
            await self._client.abort_transaction()

    async def send_all(self, records: Iterable[Outgoing]) -> None:
        for record in records:
            await self.send(record)
        await self.flush()

    async def _hand_over(self, place: Place) -> None:
        batch = self._open.pop(place, None)
        if batch is None:
            return
        batch.close()
        topic, partition = place
        acknowledged = await self._client.send_batch(batch, topic, partition=partition)
        self._handed_over.append(HandedOver(place, batch.record_count(), acknowledged))
        await self._settle(down_to=BATCHES_UNACKNOWLEDGED_MAX)

    async def _settle(self, down_to: int) -> None:
        while len(self._handed_over) > down_to:
            place, records, acknowledged = self._handed_over.popleft()
            self.ends[place] = (await acknowledged).offset + records
