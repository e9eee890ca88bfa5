"""A simulated worker: the real `Ownership` and all below it, with a plain loop in the place of Faust."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from random import Random

from processor.evaluator.programs import Programs
from processor.kafka.batches import Place
from processor.kafka.fetch import Chunk
from processor.kafka.ownership import Ownership
from processor.kafka.pace import SLICE_S, Pace
from processor.kafka.partition import Evaluator, OwnedPartition
from processor.kafka.positions import Bounds, starting_positions
from processor.kafka.trailing import EVERY_S, look
from processor.kafka.versions import ReadRecords
from processor.kafka.watchdog import Judge, Look
from processor.profile import Profile
from processor.telemetry import Telemetry
from schemas.errors import LaurelError
from schemas.topics import Names
from simulation.broker import Broker
from simulation.groups import Group, Member
from simulation.log import MemoryLog
from simulation.loop import VirtualLoop
from simulation.process import Line, Process

CHUNKS_QUEUED_MAX = 8
CHUNK_RECORDS_MAX = 150
IDLE_S = 1.0
WATCHDOG_S = 15.0
LOOK_EVERY_S = 3.0


class SteadyProfile(Profile):
    """Every fold takes as long as a slice may, so that slices stay as they are whatever the machine does."""

    def add(self, what: str, started: float) -> float:
        return SLICE_S


@cache
def telemetry() -> Telemetry:
    """One for all workers, for nobody reads it."""
    return Telemetry(SteadyProfile())


class Transport:
    """How chunks come. Shapes: mishaps, the likelihood that one is lost, comes twice, or comes from an older
    generation."""

    def __init__(self, chance: Random, mishaps: float, seen: Callable[[str], None]) -> None:
        self._chance, self.mishaps, self._seen = chance, mishaps, seen

    def mishap(self) -> str:
        if not self.mishaps or self._chance.random() >= self.mishaps:
            return ""
        kind = self._chance.choice(("chunk lost", "chunk twice", "chunk stale"))
        self._seen(kind)
        return kind


class Worker:
    def __init__(
        self,
        process: Process,
        loop: VirtualLoop,
        line: Line,
        broker: Broker,
        group: Group,
        names: Names,
        programs: Programs,
        read_records: ReadRecords,
        partitions: int,
        evaluator: Callable[[int], Evaluator],
        pace: Pace,
        transport: Transport,
        chance: Random,
    ) -> None:
        self.process, self._loop, self._line, self._broker = process, loop, line, broker
        self._names, self._sources = names, [*programs.newest.sources, names.replay_assignments]
        self._transport, self._chance, self._group = transport, chance, group
        self.ownership = Ownership(
            MemoryLog(broker, line),
            names,
            programs,
            partitions,
            evaluator,
            pace,
            telemetry(),
            process.leave,
            read_records,
        )
        self.ownership.parking_lot.flow = self
        self._member = Member(group, process)
        self._chunks: asyncio.Queue[tuple[int, Chunk]] = asyncio.Queue(CHUNKS_QUEUED_MAX)
        self._next: dict[Place, int] = {}  # where the consumer stands
        self._generation = 0
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        trailing = [self._trail()] if self._names.follows else []
        for work in (self._fetch(), self._fold(), self._belong(), self._watch(), *trailing):
            asyncio.create_task(self.process.guard(work))  # noqa: RUF006 - the process holds its tasks

    def stop(self) -> None:
        """As SIGTERM."""
        self._stopping.set()
        self._member.wanted.set()

    async def _belong(self) -> None:
        """Take over what each rebalance assigns, and give it up before the next."""
        while not self._stopping.is_set():
            numbers = await self._member.join()
            self._generation += 1
            acquiring = asyncio.create_task(self._acquire(set(numbers)))
            await self._member.heard()
            self._next.clear()
            while not self._chunks.empty():
                self._chunks.get_nowait()
            await self.ownership.release()
            await acquiring
        self._member.leave()
        self.process.kill("stopped")

    async def _watch(self) -> None:
        """The real watchdog's judge; a chunk that was lost with nothing behind it is noticed by nobody else."""
        judge = Judge(WATCHDOG_S)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            ownership = self.ownership
            look = Look(True, ownership.acquiring, self._lag(), ownership.progress)
            if complaint := judge.complaint(look, self._loop.time()):
                self.process.leave(complaint)

    def _lag(self) -> int:
        """Of what may be folded."""
        opened = [each for each in self.ownership.partitions.values() if each.is_open]
        return sum(self._behind_in(each, topic) for each in opened for topic in each.positions)

    def _behind_in(self, partition: OwnedPartition, topic: str) -> int:
        end, limit = self._broker.extent((topic, partition.number)).end, partition.limit(topic)
        return max(0, (end if limit is None else min(end, limit)) - partition.positions[topic])

    # --- what is held, and goes on ---

    def hold(self, place: Place) -> None:
        self._next.pop(place, None)

    async def go_on(self, place: Place, position: int) -> None:
        self._next[place] = position

    async def _trail(self) -> None:
        """What processor/kafka/trailing.py does for a real one."""
        while True:
            await look(self.ownership, self._committed)
            await asyncio.sleep(EVERY_S)

    async def _committed(self, places: Collection[Place]) -> Mapping[Place, int]:
        group, positions = Names(self._names.follows or "").processor, self._broker.positions
        return await self._line.ask(lambda: {place: positions.get((group, place), 0) for place in places})

    async def _acquire(self, numbers: set[int]) -> None:
        """Whatever goes wrong here ends a real worker too."""
        try:
            await self.ownership.acquire(numbers, self._open)
        except LaurelError as refused:
            self.process.leave(str(refused), code=refused.exit_code)
        except Exception as error:
            self.process.leave(f"recovery failed: {error!r}")

    async def _open(self, partition: OwnedPartition) -> None:
        places = [(topic, partition.number) for topic in self._sources]
        bounds = await self._line.ask(lambda: {place: self._bounds(place) for place in places})
        by_topic = {topic: at for (topic, _), at in bounds.items()}
        starts = starting_positions(self._names.processor, partition.number, partition.control, by_topic)
        if self.ownership.is_abandoned:
            return
        partition.open(starts, {topic: at.end for topic, at in by_topic.items()})
        self._next.update({place: starts[place[0]] for place in places})

    def _bounds(self, place: Place) -> Bounds:
        return Bounds(*self._broker.extent(place), self._broker.positions.get((self._names.processor, place)))

    async def _fetch(self) -> None:
        while True:
            generation = self._generation
            places = self._behind()
            if not places:
                await news(self._broker, self._loop, self._behind, IDLE_S)
                continue
            place = self._chance.choice(places)
            for chunk in await self._chunks_of(place, self._next[place]):
                await self._chunks.put((generation, chunk))

    def _behind(self) -> list[Place]:
        return [place for place, at in self._next.items() if self._broker.extent(place).end > at]

    async def _chunks_of(self, place: Place, position: int) -> Iterable[Chunk]:
        """The next chunk, as a rule; a transport may lose it or bring it twice."""
        generation, records_max = self._generation, self._chance.randint(1, CHUNK_RECORDS_MAX)
        chunk = await self._line.ask(lambda: self._broker.partition(place).read(position, records_max))
        mishap = self._transport.mishap()
        if mishap != "chunk stale" and (generation != self._generation or self._next.get(place) != position):
            return ()
        self._next[place] = chunk.end
        return {"chunk lost": (), "chunk twice": (chunk, chunk)}.get(mishap, (chunk,))

    async def _fold(self) -> None:
        """One chunk after the other. One from an older generation is dropped, if anybody notices."""
        while True:
            generation, chunk = await self._chunks.get()
            if generation == self._generation or self._transport.mishap():
                await self.ownership.fold(chunk)
                await asyncio.sleep(0)


async def news(broker: Broker, loop: VirtualLoop, behind: Callable[[], object], timeout_s: float) -> None:
    """Returns when there is something to read, or after a while."""
    waiter: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def hear() -> bool:
        if not waiter.done() and not behind():
            return False
        wake()
        return True

    broker.when_news(hear)
    timer = loop.call_later(timeout_s, wake)
    await waiter
    timer.cancel()
