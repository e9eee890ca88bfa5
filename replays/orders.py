"""Orders to the owners of the partitions: each to its partition, acknowledged, and no more than they take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer

from broker.connections import producer
from broker.failpoints import reach
from broker.positions import GroupPositions, group_positions
from processor.replay.ports import Addressed
from replays.steps import step_of
from schemas.replays import encode_order
from schemas.topics import Names

AT_ONCE = 500
UNOBEYED_MAX = 10_000  # of a partition, whose live records share its checkpoints with them
LOOK_S = 0.05


class Orders:
    """Sends orders. One that was acknowledged is in the log once, behind those that were sent before."""

    def __init__(self, client: AIOKafkaProducer, owners: GroupPositions, topic: str, rate: float) -> None:
        self._client, self._owners, self._topic, self._rate = client, owners, topic, rate
        self._due: dict[int, float] = {}
        self._ends: dict[int, int] = {}
        self._obeyed: dict[int, int] = {}

    async def send(self, partition: int, orders: Sequence[Addressed]) -> None:
        """Returns when all are acknowledged. Raises: KafkaError; then some of them may be in the log."""
        for start in range(0, len(orders), AT_ONCE):
            some = orders[start : start + AT_ONCE]
            await self._await_owner(partition)
            await self._await_turn(partition, len(some))
            for step in dict.fromkeys(step_of(each.order) for each in some):
                reach(f"replay.{step}")
            for batch in self._batches(some):
                sent = await (await self._client.send_batch(batch, self._topic, partition=partition))
                self._ends[partition] = sent.offset + batch.record_count()

    async def _await_owner(self, partition: int) -> None:
        """Until it has few left of what was sent."""
        end, place = self._ends.get(partition, 0), (self._topic, partition)
        while end - self._obeyed.get(partition, 0) > UNOBEYED_MAX:
            self._obeyed[partition] = (await self._owners.committed([place]))[place]
            await asyncio.sleep(LOOK_S)

    async def _await_turn(self, partition: int, count: int) -> None:
        now = time.monotonic()
        due = max(now, self._due.get(partition, now))
        self._due[partition] = due + count / self._rate
        await asyncio.sleep(due - now)

    def _batches(self, orders: Sequence[Addressed]) -> Iterator[Any]:
        """Full batches, and the last one as it is; a larger order goes alone."""
        batch = self._client.create_batch()
        for key, order in orders:
            value = encode_order(order)
            if batch.append(timestamp=None, key=key, value=value) is None:
                batch.close()
                yield batch
                batch = self._client.create_batch()
                batch.append(timestamp=None, key=key, value=value)
        batch.close()
        yield batch


@asynccontextmanager
async def orders(bootstrap: str, names: Names, rate: float) -> AsyncIterator[Orders]:
    """Units: rate, orders a second for a partition: its owner folds events meanwhile."""
    async with producer(bootstrap) as client, group_positions(bootstrap, names.processor) as owners:
        yield Orders(client, owners, names.replay_assignments, rate)
