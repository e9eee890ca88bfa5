"""The owners of the live partitions: told what to do, once by each process, and heard of by what they commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from broker.connections import consumer
from broker.controls import control_records
from broker.positions import end_positions
from processor.replay.ports import Addressed, Notes, Orders
from replays.orders import orders
from replays.ports import Ends
from replays.registry import Replay
from replays.settings import ReplaySettings
from schemas.replays import ReplayNote, ReplayOrder, encode_order
from schemas.state import Control

CLOSE_LOOK_S = 0.1
UNHEARD_OF = Control()


class Owners:
    """Shapes: ends, how far partitions are committed; topic, that of the orders."""

    def __init__(self, sender: Orders, notes: Notes, ends: Ends, topic: str) -> None:
        self._sender, self._notes, self._ends, self._topic = sender, notes, ends, topic
        self._told: set[tuple[int, bytes]] = set()

    async def tell(self, orders: Mapping[int, ReplayOrder]) -> None:
        """Each partition its order, unless it was told this one before."""
        for partition, order in orders.items():
            told = (partition, encode_order(order))
            if told not in self._told:
                await self._sender.send(partition, [Addressed(None, order)])
                self._told.add(told)

    async def tell_all(self, replay: Replay, order: ReplayOrder) -> list[ReplayNote | None]:
        """Every partition. Returns what each has noted of the replay when it has folded the order."""
        partitions = range(replay.partitions)
        await self.tell(dict.fromkeys(partitions, order))
        ends = await self._ends([(self._topic, partition) for partition in partitions])
        while True:
            controls = await self._notes.controls()
            known = {partition: controls.get(partition, UNHEARD_OF) for partition in partitions}
            if all(known[place[1]].positions.get(self._topic, 0) >= end for place, end in ends.items()):
                return [control.replays.get(replay.id) for control in known.values()]
            await asyncio.sleep(CLOSE_LOOK_S)


@asynccontextmanager
async def owners_of(settings: ReplaySettings) -> AsyncIterator[Owners]:
    """Raises: Precondition when there is no changelog."""
    names, kafka = settings.names, settings.kafka
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(orders(kafka, names, settings.replay_rate))
        notes = await stack.enter_async_context(control_records(kafka, names))
        client = await stack.enter_async_context(consumer(kafka))
        yield Owners(sender, notes, partial(end_positions, client), names.replay_assignments)
