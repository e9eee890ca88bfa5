"""Shadows in memory: their namespaces, their processes, and whatever else a full reprocessing asks of the world.

It is the real one that asks (replays/reprocessing.py), with its real eyes and words to the owners.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from random import Random
from typing import Protocol, TypeVar

from msgspec.structs import replace

from processor.kafka.batches import Place
from processor.replay.ports import Report, Status
from replays.beholding import Eyes
from replays.owners import Owners
from replays.ports import Crew
from replays.registry import ENDINGS, Ending, Replay, Source
from replays.reprocessing import World as Reprocessing
from replays.shadow import as_begun, shadow_names
from schemas.program import CatalogRecord
from schemas.replays import Publish, encode_order
from schemas.topics import Names
from simulation.broker import Broker, Sent
from simulation.catalogs import CATALOG
from simulation.database import Database
from simulation.groups import Group
from simulation.loop import VirtualLoop
from simulation.operator import Operator
from simulation.process import Line, Process
from simulation.registry import Row
from simulation.replayer import Client, MemoryNotes, MemoryOrders, by_statement

STOP_S_MAX = 10.0  # politely; then it is killed
LOOK_S = 0.1

T = TypeVar("T")


class Shadow:
    """A namespace. Shapes: records, the versions that are published in it; reads, topic -> who reads it."""

    def __init__(self, names: Names, records: Sequence[CatalogRecord], group: Callable[[], Group]) -> None:
        self.names, self.records = names, [*records]
        self.database, self._group = Database(), group
        self.renew_groups()

    def renew_groups(self) -> None:
        """Who comes next takes the names of those before it, and waits for nobody's session."""
        self.workers = self._group()
        self.reads = {self.names.outcomes: self._group()}


class Shadows:
    """Those that there are, by namespace."""

    def __init__(
        self, broker: Broker, operator: Operator, partitions: int, loop: VirtualLoop, chance: Random
    ) -> None:
        self._broker, self._operator, self._partitions = broker, operator, partitions
        self._loop, self._chance = loop, chance
        self.made: dict[str, Shadow] = {}

    def begin(self, names: Names, replay: Replay) -> None:
        """With the versions that are published live."""
        if names.namespace not in self.made:
            records = as_begun(self._operator.published, replay)
            self.made[names.namespace] = Shadow(names, records, self._group)

    def _group(self) -> Group:
        return Group(self._partitions, self._loop, self._chance)

    def publish(self, names: Names, version: CatalogRecord) -> None:
        """Each partition is told, unless it is there and known to run: as broker/catalogs.py does."""
        records = self.made[names.namespace].records
        standing = [each for each in records if each.version == version.version]
        if any(each.announced for each in standing):
            return
        records += [] if standing else [replace(version, announced=True)]
        order = Sent(None, encode_order(Publish(catalogs={CATALOG: version.version}, from_now=True)))
        for number in range(self._partitions):
            self._broker.publish((names.replay_assignments, number), [order])

    def remove(self, names: Names) -> None:
        self.made.pop(names.namespace, None)
        topics = {spec.name for spec in names.specs()}
        for place in [place for place in self._broker.partitions if place[0] in topics]:
            del self._broker.partitions[place]
        positions = self._broker.positions
        for key in [key for key in positions if key[0] == names.processor]:
            del positions[key]


class MemoryNamespaces:
    def __init__(self, client: Client, operator: Operator, shadows: Shadows, live: Names) -> None:
        self._client, self._operator, self._shadows, self._live = client, operator, shadows, live

    async def make(self, replay: Replay, source: Source) -> None:
        names = shadow_names(self._live, replay)
        await self._client.ask(lambda: self._shadows.begin(names, replay))
        await self._client.ask(lambda: self._shadows.publish(names, self._version(source)))

    async def remove(self, replay: Replay) -> None:
        names = shadow_names(self._live, replay)
        await self._client.ask(lambda: self._shadows.remove(names))

    async def publish(self, source: Source) -> None:
        version = self._version(source)
        await self._client.ask(lambda: self._operator.publish_for_a_replay(version))

    async def records(self, names: Names) -> Sequence[CatalogRecord]:
        made, is_live = self._shadows.made, names.namespace == self._live.namespace
        return await self._client.ask(
            lambda: [*(self._operator.published if is_live else made[names.namespace].records)]
        )

    def _version(self, source: Source) -> CatalogRecord:
        return next(each for each in self._operator.versions if each.source == source.text)


class MemoryRows:
    """The registry, asked by a session of a process."""

    def __init__(self, line: Line, operator: Operator, shadows: Shadows) -> None:
        self._line, self._operator, self._shadows = line, operator, shadows
        self._registry = operator.registry

    async def lead(self, id: str) -> bool:
        return await by_statement(self._line, lambda: self._registry.lead(id, self._line.process))

    async def get(self, id: str) -> Replay:
        return await by_statement(self._line, lambda: self._row(id).replay)

    async def status(self, id: str) -> Status:
        return await by_statement(self._line, lambda: self._row(id).status)

    async def source(self, id: str) -> Source:
        record = await by_statement(self._line, lambda: self._row(id).record)
        return Source(record.source, record.file)

    async def show(self, id: str, report: Report) -> None:
        await by_statement(self._line, lambda: self._row(id).progress.update({report.partition: report}))

    async def shown(self, names: Names) -> Mapping[int, int]:
        positions = self._shadows.made[names.namespace].database.positions
        return await by_statement(
            self._line,
            lambda: {number: at for (_, topic, number), at in positions.items() if topic == names.outcomes},
        )

    async def promote_when_level(self, replay: Replay) -> None:
        """Of one that leads back: not played."""

    async def give_up(self, id: str, why: str) -> None:
        self._operator.saw("promotion given up")
        await by_statement(self._line, lambda: self._registry.change(id, "give up"))

    async def decide_to_promote(self, id: str) -> Status:
        return await by_statement(self._line, lambda: self._registry.change(id, "decide to promote"))

    async def retire(self, replay: Replay, retired: Sequence[str]) -> None:
        """What an award is marked with is not played."""

    async def drop(self, id: str) -> Replay:
        return await self.get(id)

    async def end(self, id: str, status: Ending) -> None:
        await by_statement(self._line, lambda: self._registry.change(id, ENDINGS[status]))

    def _row(self, id: str) -> Row:
        return self._registry.rows[id]


class Slot(Protocol):
    """A place for one process after the other; nobody follows there while nobody is wanted."""

    is_wanted: bool

    @property
    def process(self) -> Process | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class MemoryCrew:
    """Shapes: employ makes the slots of a worker or projector, which start at once."""

    def __init__(self, employ: Callable[[], tuple[Sequence[Slot], Sequence[Slot]]]) -> None:
        self._employ = employ
        self._workers: Sequence[Slot] = ()
        self._projectors: Sequence[Slot] = ()

    def start(self) -> None:
        self._workers, self._projectors = self._employ()

    async def start_again(self) -> None:
        for slot in self._workers:
            slot.is_wanted = True
            slot.start()

    async def stop_workers(self) -> None:
        deadline = asyncio.get_running_loop().time() + STOP_S_MAX
        while any(self._is_left(slot) for slot in self._workers):
            if asyncio.get_running_loop().time() > deadline:
                end(self._workers)
            await asyncio.sleep(LOOK_S)

    def _is_left(self, slot: Slot) -> bool:
        """Asked again and again: who has only just begun has not heard."""
        slot.stop()
        return slot.process is not None

    def refuse_ended(self) -> None:
        """None ends in a way that a restart would not mend."""

    def end(self) -> None:
        end([*self._workers, *self._projectors])


def end(slots: Sequence[Slot]) -> None:
    for slot in slots:
        slot.is_wanted = False
        if slot.process is not None:
            slot.process.kill("ended with its job")


Employ = Callable[[Shadow], tuple[Sequence[Slot], Sequence[Slot]]]


class Around:
    """What surrounds one process that carries out a full one."""

    def __init__(
        self,
        process: Process,
        line: Line,
        broker: Broker,
        live: Names,
        operator: Operator,
        shadows: Shadows,
        employ: Employ,
        partitions: int,
    ) -> None:
        self._process, self._broker, self._live, self._partitions = process, broker, live, partitions
        self._shadows, self._employ = shadows, employ
        self._client = Client(broker, line)
        self._rows = MemoryRows(line, operator, shadows)
        self._namespaces = MemoryNamespaces(self._client, operator, shadows, live)

    def world(self, hold_s: float) -> Reprocessing:
        return Reprocessing(self._live, hold_s, self._rows, self._namespaces, self._crew, self._eyes, self._owners)

    @contextmanager
    def _crew(self, names: Names) -> Iterator[Crew]:
        """They end with their job, whatever ends that."""
        shadow = self._shadows.made[names.namespace]
        shadow.renew_groups()
        crew = MemoryCrew(lambda: self._employ(shadow))
        self._process.when_silent.append(lambda: crew.end() if self._process.is_dead else None)
        try:
            yield crew
        finally:
            crew.end()

    @asynccontextmanager
    async def _eyes(self, names: Names) -> AsyncIterator[Eyes]:
        yield Eyes(self._notes(self._live), self._notes(names), self._ends, self._rows, (self._live, names))

    @asynccontextmanager
    async def _owners(self) -> AsyncIterator[Owners]:
        orders = MemoryOrders(self._client, self._live)
        yield Owners(orders, self._notes(self._live), self._ends, self._live.replay_assignments)

    def _notes(self, names: Names) -> MemoryNotes:
        return MemoryNotes(self._client, names, self._partitions)

    async def _ends(self, places: Collection[Place]) -> Mapping[Place, int]:
        broker = self._broker
        return await self._client.ask(lambda: {place: broker.extent(place).end for place in places})
