"""How a replay's orders are sent: no more than the owner of a partition takes. No server."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, get_args

from broker.positions import Place, Positions
from processor.evaluator.replays import OBEYED
from processor.replay.ports import Addressed
from replays.orders import AT_ONCE, UNOBEYED_MAX, Orders
from replays.steps import STEPS
from schemas.replays import Facts, ReplayOrder

TOPIC = "ns.replay-assignments"
FACTS = [Addressed(b"ann", Facts(replay="r", last=True))] * AT_ONCE


class Batch:
    def __init__(self) -> None:
        self.records = 0

    def append(self, **_: object) -> object:
        self.records += 1
        return self

    def close(self) -> None: ...

    def record_count(self) -> int:
        return self.records


class Topic:
    """A producer's, and what the group has committed of it."""

    def __init__(self, end: int) -> None:
        self.end = self.obeyed = end

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        assert (topic, partition) == (TOPIC, 3)
        first, self.end = self.end, self.end + batch.records
        written: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        written.set_result(SimpleNamespace(offset=first))
        return written

    async def committed(self, places: list[Place]) -> Positions:
        """Between two looks the owner has obeyed some."""
        self.obeyed = min(self.end, self.obeyed + UNOBEYED_MAX // 2)
        return dict.fromkeys(places, self.obeyed)


async def test_orders_wait_while_the_owner_of_their_partition_has_many_left() -> None:
    """Behind those of an earlier replay, which were obeyed."""
    topic: Any = Topic(end=1_000_000)
    orders, left = Orders(topic, topic, TOPIC, rate=10**9), []

    for _ in range(3 * UNOBEYED_MAX // AT_ONCE):
        await orders.send(3, FACTS)
        left.append(topic.end - topic.obeyed)

    assert topic.end == 1_000_000 + 3 * UNOBEYED_MAX
    assert max(left) == UNOBEYED_MAX + AT_ONCE


def test_every_order_can_be_sent_and_obeyed() -> None:
    """A step of the job stands for it, and the owner of a partition knows what to do."""
    orders = {*get_args(ReplayOrder)}
    assert (orders - STEPS.keys(), orders - OBEYED.keys()) == (set(), set())
