"""A simulated projector: the real lanes and subscriptions, over a consumer and a database in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition

from projections.lane import Lane
from projections.projection import Projection
from projections.subscription import Subscription
from projections.worker import run_together
from schemas.errors import LaurelError
from simulation.broker import Broker
from simulation.database import Database, MemorySession
from simulation.groups import Group, Member
from simulation.loop import VirtualLoop
from simulation.process import Line, Process
from simulation.worker import news

POLL_RECORDS_MAX = 60
IDLE_S = 0.5  # longer than was asked for, where nothing is to be read: a look costs more than anything else here


class MemoryConsumer:
    """What a subscription asks of aiokafka's consumer."""

    _fetcher = SimpleNamespace(_records={})  # broker/parsing.py looks into it, and finds nothing to make cheaper

    def __init__(self, broker: Broker, loop: VirtualLoop, line: Line, member: Member, chance: Random) -> None:
        self._broker, self._loop, self._line, self._member, self._chance = broker, loop, line, member, chance
        self._positions: dict[TopicPartition, int] = {}
        self._topic = ""
        self._listener: Any = None

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        (self._topic,), self._listener = topics, listener

    async def belong(self) -> None:
        """Stay in the group, telling the listener of what it gives and takes."""
        while True:
            numbers = await self._member.join()
            await self._listener.on_partitions_assigned([TopicPartition(self._topic, each) for each in numbers])
            await self._member.heard()
            await self._listener.on_partitions_revoked([])
            self._positions.clear()

    async def beginning_offsets(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = [*places]
        return await self._line.ask(lambda: {each: self._broker.extent(tuple(each)).begin for each in wanted})

    def seek(self, place: TopicPartition, position: int) -> None:
        self._positions[place] = position

    async def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    def last_stable_offset(self, place: TopicPartition) -> int:
        return self._broker.extent(tuple(place)).end

    async def getmany(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        """Records of one partition, after waiting for some. Positions move over markers too."""
        behind = self._behind()
        if not behind:
            await news(self._broker, self._loop, self._behind, max(IDLE_S, timeout_ms / 1000))
            return {}
        place = self._chance.choice(behind)
        start = self._positions[place]
        count = self._chance.randint(1, min(max_records, POLL_RECORDS_MAX))
        chunk = await self._line.ask(lambda: self._broker.partition(tuple(place)).read(start, count))
        if self._positions.get(place) != start:
            return {}  # taken away, or sought elsewhere, while the answer was on its way
        self._positions[place] = chunk.end
        return {place: [*chunk.records]} if chunk.records else {}

    def _behind(self) -> list[TopicPartition]:
        return [place for place, at in self._positions.items() if self.last_stable_offset(place) > at]

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Only displays read it."""


class Projector:
    """Shapes: groups, topic -> the group of its readers."""

    def __init__(
        self,
        process: Process,
        loop: VirtualLoop,
        line: Line,
        broker: Broker,
        database: Database,
        groups: Mapping[str, Group],
        projections: Callable[[], Sequence[Projection]],
        chance: Random,
    ) -> None:
        self.process, self._loop, self._line, self._chance = process, loop, line, chance
        self._broker, self._database, self._groups = broker, database, groups
        self._projections = projections
        self._stopping = asyncio.Event()
        self._members: list[Member] = []

    async def run(self) -> None:
        lanes = [self._lane(projection) for projection in self._projections()]
        try:
            await run_together([lane.run(self._stopping) for lane in lanes], self._stopping)
        except LaurelError as error:
            self.process.leave(str(error), code=error.exit_code)
        for member in self._members:
            member.leave()
        self.process.kill("stopped")

    def stop(self) -> None:
        """As SIGTERM."""
        self._stopping.set()

    def _lane(self, projection: Projection) -> Lane:
        member = Member(self._groups[projection.topic], self.process)
        consumer = MemoryConsumer(self._broker, self._loop, self._line, member, self._chance)
        subscription = Subscription(consumer, projection.topic, projection.condenses)
        self._members.append(member)
        asyncio.create_task(self.process.guard(consumer.belong()))  # noqa: RUF006 - the process holds its tasks

        async def connect() -> MemorySession:
            return MemorySession(self._database, projection, self.process, self._loop, self._line, self._chance)

        return Lane(projection, subscription, connect)
