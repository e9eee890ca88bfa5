"""One simulated deployment: broker, database, workers, projectors, publishers, and what befalls them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from broker import failpoints
from broker.failpoints import InjectedFault
from processor.evaluator.partition import Cut, Folded, PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.settlement import Books
from processor.kafka.batches import Place
from processor.replay.ports import Status
from projections.projection import Projection
from projections.user_achievement import UserAchievementProjection
from projections.user_progress import UserProgressProjection
from replays.reprocessing import reprocess
from replays.steps import CLOSE, DECIDE, HOLD, REVOKE
from schemas.program import CatalogRecord
from schemas.records import Record
from schemas.state import Control
from simulation.activity import NAMES, SOURCES, Publication, Publishers, by_place
from simulation.broker import Broker
from simulation.catalogs import ReadyOnce, program_of, ready
from simulation.database import Database
from simulation.groups import Group
from simulation.loop import OWNER, Stuck, virtual_loop
from simulation.operator import Operator
from simulation.plan import FAULTS_S, ORDER_KINDS, REPLAYED_S, Plan
from simulation.process import NOBODY, Died, Line, Process, Weather
from simulation.projector import Projector
from simulation.replayer import Replayer
from simulation.shadow import Around, Shadow, Shadows
from simulation.worker import Transport, Worker

RESTART_S_MAX = 1.0
PAUSES_S = (0.5, 3.0, 7.0, 7.5, 8.0, 9.0, 10.0, 12.0, 35.0)
JOB_PAUSES_S = (0.5, 3.0, 6.0)
DRAIN_S = 90.0  # of simulated time: sessions end after 6, transactions after 30, checkpoints after 30
LOOK_EVERY_S = 0.5
BATCHES: tuple[int, ...] = (1, 1, 2, 3, 5, 8, 90)
MEANWHILE, MEANWHILE_S = 8, 12.0  # batches around a promotion
IMPATIENT_CHANCE, IMPATIENT_S = 0.5, 1.0
BEFORE_WRITING = (
    *("checkpoint.1", "checkpoint.2", "checkpoint.5", "checkpoint.6"),
    *("projection.1", "projection.1", "projection.1", "projection.1", "projection.2"),
)
ORDERS = [  # no policy takes awards here
    f"replay.{step}" for step in failpoints.POINTS["replay"] if step != REVOKE and step < HOLD
]
PROMOTION = [f"replay.{step}" for step in failpoints.POINTS["replay"] if step in (DECIDE, CLOSE) or step >= HOLD]
STEPS = [f"{name}.{step}" for name in ("checkpoint", "projection") for step in failpoints.POINTS[name]]


class Tally(Counter[str]):
    """Records by what became of them."""


class Belated(NamedTuple):
    """A record that was folded late. Shapes: at, where its topic stood then."""

    topic: str
    partition: int
    offset: int
    at: int


Cuts = dict[tuple[str, str], tuple[Tally, list[Belated]]]
"""Process and transactional id -> what its last cut holds."""


class Told(PartitionEvaluator):
    """The real evaluator; also counts what each cut makes durable, so that the counts can be committed with it.

    Shapes: positions, topic -> how far the partition is.
    """

    def __init__(
        self, process: str, partition: int, plan: Plan, cuts: Cuts, positions: Callable[[], Mapping[str, int]]
    ) -> None:
        super().__init__(ready(), partition, plan.partitions, plan.decoded_max)
        self._told, self._cuts = Tally(), cuts
        self._belated: list[Belated] = []
        self._positions = positions
        self._key = (process, NAMES.transactional_id(partition))

    def fold(self, topic: str, records: Sequence[Record]) -> Folded:
        folded = super().fold(topic, records)
        kind = "derived " if topic == NAMES.derived else ""
        for what in ("applied", "duplicate", "skipped"):
            self._told[kind + what] += getattr(folded, what)
        self._told["refused"] += len(folded.refused)
        self._told["read"] += len(records)
        return folded

    def fold_late(self, program: ReadyProgram, topic: str, record: Record, books: Books) -> Folded:
        folded = super().fold_late(program, topic, record, books)
        self._told["late applied"] += folded.applied
        self._told["late duplicate"] += folded.duplicate
        self._belated.append(Belated(topic, self._partition, record.offset, self._positions()[topic]))
        return folded

    def cut(self) -> Cut:
        self._cuts[self._key] = self._told, self._belated
        self._told, self._belated = Tally(), []
        return super().cut()


class Runs(Protocol):
    """What runs in a slot: a worker or a projector."""

    process: Process

    async def run(self) -> None: ...
    def stop(self) -> None: ...


class Slot:
    """A place for one process after the other: a supervisor starts the next when one has died."""

    def __init__(self, world: World, name: str, make: Callable[[Process, Line], Runs]) -> None:
        self._world, self._name, self._make = world, name, make
        self._starts = 0
        self.is_wanted = True
        self.running: Runs | None = None
        self.start()

    @property
    def process(self) -> Process | None:
        return self.running.process if self.running is not None and not self.running.process.is_dead else None

    def start(self) -> None:
        if self.process is not None or not self.is_wanted:
            return
        self._starts += 1
        process = Process(f"{self._name}.{self._starts}", self._world.loop)
        process.when_silent.append(lambda: self._restart(process))
        self._world.processes.append(process)
        process.start(lambda: self._run(process))

    async def _run(self, process: Process) -> None:
        self.running = self._make(process, self._world.line(process))
        await process.guard(self.running.run())

    def _restart(self, process: Process) -> None:
        if process.is_dead:
            self._world.saw_end(process)
            self._world.later(self._world.chance.random() * RESTART_S_MAX, self.start)

    def stop(self) -> None:
        """Gracefully, and for good."""
        self.is_wanted = False
        if self.running is not None:
            self.running.stop()


class World:
    """Shapes: happened, what happened how often; complaints, what was seen to be wrong while it ran; belated, what
    was folded late and committed."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.plan, self.loop, self.chance = plan, virtual_loop(), Random(f"world {seed}")
        self.happened: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.ends: list[str] = []
        self.processes: list[Process] = []
        self.published: list[Publication] = []
        self.tally, self.belated = Tally(), list[Belated]()
        self._cuts: Cuts = {}
        self.broker, self.database = Broker(self.loop, self.chance), Database()
        self.weather = Weather(self.chance, dict(plan.losses), plan.slow, self.saw)
        self.transport = Transport(self.chance, plan.mishaps, self.saw)
        self._watch()
        self._workers_group = Group(plan.partitions, self.loop, self.chance)
        self._read_groups = {
            topic: Group(plan.partitions, self.loop, self.chance) for topic in (NAMES.outcomes, NAMES.changelog)
        }
        self._traps: dict[str, Callable[[Process], None]] = {}
        self.is_calm = False
        self.workers: list[Slot] = []
        self.projectors: list[Slot] = []
        self.replayers: list[Slot] = []
        self.operator = Operator(self.broker, plan.partitions, plan.replays, self.chance, self.later, self.saw)
        self.shadows = Shadows(self.broker, self.operator, plan.partitions, self.loop, self.chance)
        self._crews: list[Slot] = []
        self._awaited = 0
        self._last_seen = 0.0
        self._orders = PROMOTION if plan.replays.is_anew else ORDERS

    def saw(self, what: str) -> None:
        """A fault, or something that an operator did: all has to come to rest so long after the last of them."""
        self.happened[what] += 1
        self._last_seen = self.loop.time()

    def saw_end(self, process: Process) -> None:
        self.ends.append(f"{self.loop.time():7.3f} {process.name}: {process.why}")

    def line(self, process: Process) -> Line:
        return Line(process, self.loop, self.chance, self.weather)

    def later(self, delay_s: float, do: Callable[..., object], *args: Any) -> None:
        self.loop.call_later(delay_s, do, *args, context=NOBODY)

    def _watch(self) -> None:
        """I5 while it happens, and the counts of what is committed."""

        def position_moved(group: str, place: Place, before: int | None, after: int) -> None:
            if before is not None and after < before:
                self.complaints.append(f"I5: {group} moved {place} back from {before} to {after}")

        def row_moved(key: tuple[str, str, int], before: int, after: int) -> None:
            if after < before:
                self.complaints.append(f"I5: {key} moved back from {before} to {after}")

        def committed(process: str, transactional_id: str) -> None:
            tally, belated = self._cuts.pop((process, transactional_id), (Tally(), []))
            self.tally.update(tally)
            self.belated += belated

        self.broker.on_position.append(position_moved)
        self.database.on_position.append(row_moved)
        self.broker.on_commit.append(committed)

    def run(self) -> None:
        """Until the faults are over and everything has come to rest. Raises: nothing; complaints say it all."""
        state = random.getstate()
        random.seed(0)  # the projector's retries are jittered
        failpoints.arm(self._reached)
        try:
            self.loop.run(self._play())
        except Stuck as stuck:
            self.complaints.append(f"I8: {stuck}")
        finally:
            failpoints.disarm()
            random.setstate(state)
        self.complaints += [f"bug: {bug}" for process in self.processes for bug in process.bugs]
        self.complaints += [f"unhandled: {each!r}" for each in self.loop.unhandled if _is_bug(each)]

    async def _play(self) -> None:
        NOBODY.run(self._begin)
        await asyncio.sleep(FAULTS_S)
        NOBODY.run(self._calm_down)
        await self._drain()
        for process in self.processes:
            process.kill("the end")
        await asyncio.gather(*(task for each in self.processes for task in each.tasks), return_exceptions=True)

    def _begin(self) -> None:
        self.workers = [Slot(self, f"worker-{number}", self._worker) for number in range(self.plan.workers)]
        self.projectors = [
            Slot(self, f"projector-{number}", self._projector) for number in range(self.plan.projectors)
        ]
        self.replayers = [
            Slot(self, f"replayer-{number}", self._replayer) for number in range(self.plan.replays.replayers)
        ]
        self._schedule_publications()
        self.operator.begin()
        for fault in self.plan.faults:
            self.later(self.chance.random() * FAULTS_S, FAULTS[fault], self)
        for fault in self.plan.replays.faults:
            is_trap = fault in ORDER_KINDS
            self.later(0.0 if is_trap else self.chance.random() * REPLAYED_S, FAULTS[fault], self)

    def _worker(self, process: Process, line: Line) -> Worker:
        partitions = self.plan.partitions

        def evaluator(number: int) -> Told:
            return Told(
                process.name, number, self.plan, self._cuts, lambda: worker.ownership.partitions[number].positions
            )

        worker = Worker(
            process,
            self.loop,
            line,
            self.broker,
            self._workers_group,
            NAMES,
            ReadyOnce(program_of(self.operator.published[-1]), self.operator.published),
            self._read_catalogs,
            partitions,
            evaluator,
            self.plan.pace,
            self.transport,
            self.chance,
        )
        return worker

    def _projector(self, process: Process, line: Line) -> Projector:
        def projections() -> list[Projection]:
            return [
                UserAchievementProjection(NAMES),
                UserProgressProjection(NAMES, self._read_catalogs, self._read_controls),
            ]

        return Projector(
            process, self.loop, line, self.broker, self.database, self._read_groups, projections, self.chance
        )

    async def _read_catalogs(self) -> list[CatalogRecord]:
        return self.operator.published

    async def _read_controls(self) -> dict[int, Control]:
        return self.operator.controls()

    def _replayer(self, process: Process, line: Line) -> Replayer:
        partitions, registry = self.plan.partitions, self.operator.registry
        around = Around(process, line, self.broker, NAMES, self.operator, self.shadows, self._employ, partitions)

        def carry_out(id: str) -> Awaitable[Status]:
            return reprocess(around.world(self.plan.replays.hold_s), registry.rows[id].replay)

        return Replayer(process, line, self.broker, NAMES, partitions, registry, self._lag, carry_out)

    # --- shadows ---

    def _employ(self, shadow: Shadow) -> tuple[list[Slot], list[Slot]]:
        """A worker and a projector of a shadow, in places of their own."""
        name = shadow.names.namespace
        workers = [Slot(self, f"{name}-worker", lambda process, line: self._shadow_worker(shadow, process, line))]
        projectors = [
            Slot(self, f"{name}-projector", lambda process, line: self._shadow_projector(shadow, process, line))
        ]
        self._crews = [*workers, *projectors]
        return workers, projectors

    def _shadow_worker(self, shadow: Shadow, process: Process, line: Line) -> Worker:
        async def read_catalogs() -> list[CatalogRecord]:
            return shadow.records

        partitions, decoded_max = self.plan.partitions, self.plan.decoded_max
        return Worker(
            process,
            self.loop,
            line,
            self.broker,
            shadow.workers,
            shadow.names,
            ReadyOnce(program_of(shadow.records[-1], shadow.names), shadow.records),
            read_catalogs,
            partitions,
            lambda number: PartitionEvaluator(ready(), number, partitions, decoded_max),
            self.plan.pace,
            self.transport,
            self.chance,
        )

    def _shadow_projector(self, shadow: Shadow, process: Process, line: Line) -> Projector:
        """Of awards alone: whether a shadow is level goes by them."""

        def projections() -> list[Projection]:
            return [UserAchievementProjection(shadow.names)]

        return Projector(
            process, self.loop, line, self.broker, shadow.database, shadow.reads, projections, self.chance
        )

    def _lag(self) -> int:
        """How many records the processors are behind."""
        at = self.broker.positions
        places = [(topic, number) for topic in SOURCES for number in range(self.plan.partitions)]
        ends = {place: self.broker.extent(place).end for place in places}
        return sum(end - at.get((NAMES.processor, place), 0) for place, end in ends.items())

    # --- publishing ---

    def _schedule_publications(self) -> None:
        publishers = Publishers(self.chance, self.plan.partitions, self.plan.users, self.plan.rates)
        left, number, sizes = self.plan.events, 0, BATCHES
        if self.plan.replays.is_anew:
            left, sizes = left // 2, BATCHES[:-1]
            self.operator.when_promoted = lambda: self._publish_meanwhile(publishers)
        while left > 0:
            size = min(left, self.chance.choice(sizes))
            batch, left, number = [*publishers.some(size)], left - size, number + 1
            in_transaction = self.chance.random() < self.plan.in_transactions
            publish = self._publish_in_transaction if in_transaction else self._publish
            self.later(self.chance.random() * FAULTS_S * 0.9, publish, batch, number)

    def _publish_meanwhile(self, publishers: Publishers) -> None:
        """While live events are held, and behind that."""
        self._awaited += MEANWHILE
        for _ in range(MEANWHILE):
            batch = [*publishers.some(self.chance.choice(BATCHES[:-1]))]
            self.later(self.chance.random() * MEANWHILE_S, self._publish_awaited, batch)

    def _publish_awaited(self, batch: Sequence[Publication]) -> None:
        self._awaited -= 1
        self._publish(batch, 0)

    def _publish(self, batch: Sequence[Publication], number: int) -> None:
        self.published += batch
        for place, sent in by_place(batch).items():
            self.broker.publish(place, sent)

    def _publish_in_transaction(self, batch: Sequence[Publication], number: int) -> None:
        """Open for a while, and aborted now and then."""
        name, commit = f"publisher-{number}", self.chance.random() < 0.7
        epoch = self.broker.fence(name) or 0
        rows = by_place(batch)
        self.broker.add(name, epoch, rows)
        for place, sent in rows.items():
            self.broker.append(name, epoch, place, sent)
        self.published += batch if commit else ()
        self.saw("transaction committed" if commit else "transaction aborted")
        open_s = self.chance.choice((0.0, 0.5, 5.0))
        self.later(open_s, lambda: self.broker.end(name, epoch, commit=commit))

    # --- faults ---

    def _slots(self) -> list[Slot]:
        slots = [*self.workers, *self.projectors, *self.replayers, *self._crews]
        return [slot for slot in slots if slot.process is not None]

    def _a_process(self) -> Process | None:
        slots = self._slots()
        return self.chance.choice(slots).process if slots else None

    def _kill(self) -> None:
        if (process := self._a_process()) is not None:
            self.saw("kill")
            process.kill("killed")

    def _kill_all(self) -> None:
        self.saw("kill all")
        for slot in self._slots():
            if slot.process is not None:
                slot.process.kill("killed with all others")

    def _pause(self) -> None:
        if (process := self._a_process()) is not None:
            self._pause_process(process)

    def _pause_process(self, process: Process, pauses_s: Sequence[float] = PAUSES_S) -> None:
        self.saw("pause")
        process.pause()
        self.later(self.chance.choice(pauses_s), process.wake)

    def _kill_at_a_step(self) -> None:
        self._kill_at(self.chance.choice(STEPS))

    def _kill_at(self, step: str) -> None:
        def kill(process: Process) -> None:
            process.kill("killed at a step")
            raise Died

        self._traps[step] = kill

    def _kill_job(self) -> None:
        alive = [slot.process for slot in self.replayers if slot.process is not None]
        if alive:
            self.saw("kill job")
            self.chance.choice(alive).kill("killed")

    def _kill_at_an_order(self) -> None:
        self._kill_at(self.chance.choice(self._orders))

    def _kill_worker_at_an_order(self) -> None:
        self._traps[self.chance.choice(self._orders)] = lambda job: self._kill_worker()

    def _kill_worker(self) -> None:
        alive = [slot.process for slot in self.workers if slot.process is not None]
        if alive:
            self.chance.choice(alive).kill("killed")

    def _pause_at_an_order(self) -> None:
        """The first of them is the worst to come late."""
        self._traps[self.chance.choice((*self._orders, *3 * self._orders[:1]))] = self._pause_job

    def _pause_job(self, process: Process) -> None:
        """An operator who sees a replay stand still may have enough of it."""
        self._pause_process(process, JOB_PAUSES_S)
        if self.chance.random() < IMPATIENT_CHANCE:
            self.later(IMPATIENT_S, self.operator.cancel)

    def _pause_at_a_step(self) -> None:
        """Just before something is written: whoever wakes there believes that it may."""
        self._traps[self.chance.choice(BEFORE_WRITING)] = self._pause_process

    def _join(self) -> None:
        self.saw("join")
        name = f"{len(self.workers) + len(self.projectors)}"
        if self.chance.random() < 0.6:
            self.workers.append(Slot(self, f"worker-{name}", self._worker))
        else:
            self.projectors.append(Slot(self, f"projector-{name}", self._projector))

    def _leave(self) -> None:
        """All but the last of its kind may go."""
        slots = self.chance.choice((self.workers, self.projectors))
        wanted = [slot for slot in slots if slot.is_wanted]
        if len(wanted) > 1:
            self.saw("leave")
            self.chance.choice(wanted).stop()

    def _rewind(self) -> None:
        """An operator sets the group's positions back. Kafka lets nobody do so while the group has members."""
        self.saw("rewind")
        for slot in self.workers:
            if slot.process is not None:
                slot.process.kill("stopped by the operator")
        positions = [each for each in self.broker.positions.items() if each[0][0] == NAMES.processor]
        for (group, place), position in positions:
            if self.chance.random() < 0.7:
                self.broker.set_position(group, place, self.chance.randint(0, position))

    def _compact(self) -> None:
        self.saw("compact")
        for number in range(self.plan.partitions):
            self.happened["compacted"] += self.broker.partition((NAMES.changelog, number)).compact()

    def _reached(self, point: str) -> None:
        """A process has come to a numbered step."""
        process = OWNER.get()
        if not isinstance(process, Process):
            return
        process.check()
        spring = self._traps.pop(point, None)
        if spring is not None and (point in self._orders or not self.is_calm):
            self.saw(f"trap at {point}")
            spring(process)

    # --- the end ---

    def _calm_down(self) -> None:
        """No more faults. Whoever stands still wakes in his time, whoever died comes back."""
        self.is_calm = True
        self._last_seen = self.loop.time()
        self.weather.clear()
        self.transport.mishaps = 0.0

    async def _drain(self) -> None:
        while not self._is_at_rest():
            if self.loop.time() > self._last_seen + DRAIN_S:
                self.complaints.append(f"I8: after {DRAIN_S:.0f} s without faults: {self._standing()}")
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _is_at_rest(self) -> bool:
        is_awake = not any(process.is_paused for process in self.processes)
        is_read = all(position == end for _, position, end in self._standing())
        return is_awake and self.broker.is_quiet and is_read and self.operator.is_content and not self._awaited

    def _standing(self) -> list[tuple[Place, int, int]]:
        """Everything that reads: which place, its position, the end."""
        names = [*SOURCES, NAMES.derived, NAMES.replay_assignments], [NAMES.outcomes], [NAMES.changelog]
        group, awards, progress = (
            [(topic, n) for n in range(self.plan.partitions) for topic in of] for of in names
        )
        positions, rows = self.broker.positions, self.database.positions
        read = [
            *((place, positions.get((NAMES.processor, place), 0)) for place in group),
            *((place, rows.get(("user_achievement", *place), 0)) for place in awards),
            *((place, rows.get(("user_progress", *place), 0)) for place in progress),
        ]
        return [(place, at, len(self.broker.partition(place).entries)) for place, at in read]


FAULTS: dict[str, Callable[[World], None]] = {
    "kill": World._kill,
    "kill all": World._kill_all,
    "kill at a step": World._kill_at_a_step,
    "pause": World._pause,
    "pause at a step": World._pause_at_a_step,
    "join": World._join,
    "leave": World._leave,
    "rewind": World._rewind,
    "compact": World._compact,
    "kill job": World._kill_job,
    "kill at an order": World._kill_at_an_order,
    "pause at an order": World._pause_at_an_order,
    "kill worker at an order": World._kill_worker_at_an_order,
    "pause replay": lambda world: world.operator.pause(),
    "cancel replay": lambda world: world.operator.cancel(),
}


def _is_bug(context: dict[str, Any]) -> bool:
    return not isinstance(context.get("exception"), Died | InjectedFault | None)
