"""A soak: everything runs under load while faults are drawn by a seed; at the end they stop, and all is checked."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

from psycopg import OperationalError

from cli.faults.catalogue import FAULTS, Fault
from cli.faults.changelog import compact_often
from cli.faults.ground import Ground
from cli.faults.invariants import Verdict
from cli.faults.scene import Scene, Shape
from schemas.errors import LaurelError

TOGETHER = 0.5  # how often two things go wrong at once
KILLS_A_MINUTE = 2.5
SWEEP_EVERY = 4  # rounds; the first comes with the second
SAMPLE_S = 2.0
PROGRESS_S_MAX = 150.0
MB = 1024 * 1024
PAGE_BYTES = 4096
# a server may take long to come back on a busy machine, and our supervisor takes the refusal to wait for final
PATIENT = {"LAUREL_START_TIMEOUT_S": "600"}


class Say(Protocol):
    def __call__(self, **figures: Any) -> None: ...


class Memory(NamedTuple):
    """Units: at, seconds since the beginning; workers, MB of resident memory of the largest worker."""

    at: float
    worker_mb: float


class Report(NamedTuple):
    """What a soak came to.

    Shapes: faults by name, as often as inflicted; memory in order of time; swept, the awards that the replays gave.
    """

    seed: int
    minutes: float
    seconds: float
    published: int
    faults: Counter[str]
    kills: Counter[str]
    claimers_died: int
    restarts: int
    stuck: list[str]
    drained_s: float | None
    memory: list[Memory]
    verdicts: list[Verdict]
    replays: int = 0
    swept: int = 0

    @property
    def holds(self) -> bool:
        return not self.stuck and not any(verdict.differences for verdict in self.verdicts)


def soak(minutes: float, seed: int, say: Say) -> Report:
    """Raises: LaurelError when the stack does not start."""
    shape = Shape(
        namespace=f"soak-{secrets.token_hex(3)}",
        seed=seed,
        partitions=8,
        workers=3,
        projectors=2,
        claimers=2,
        replayers=1,
        users=20_000,
        events_per_s=150,
    )
    with Ground() as ground, Scene(ground, shape, PATIENT) as scene:
        return Soak(scene, minutes, say).run()


class Soak:
    def __init__(self, scene: Scene, minutes: float, say: Say) -> None:
        self._scene, self._minutes, self._say = scene, minutes, say
        self._draw = Random(scene.shape.seed)
        self._faults: Counter[str] = Counter()
        self._memory: list[Memory] = []
        self._stuck: list[str] = []
        self._began = time.monotonic()

    def run(self) -> Report:
        scene = self._scene
        scene.ground.loop.run(compact_often(scene.settings))
        sampling = scene.ground.loop.begin(self._sample_always())
        scene.await_progress()
        rounds = self._rounds()
        for number in itertools.count(1):
            if self._elapsed >= self._minutes * 60 or self._stuck:
                break
            self._sweep_now_and_then(number)
            self._inflict(next(rounds))
        self._end_sweep()
        self._say(faults=self._faults.total(), kills=scene.kills.total(), state="draining")
        drained = scene.drain()
        sampling.cancel()
        return Report(
            seed=scene.shape.seed,
            minutes=self._minutes,
            seconds=self._elapsed,
            published=scene.load.published,
            faults=self._faults,
            kills=scene.kills,
            claimers_died=sum(child.restarts for child in scene.claimers),
            restarts=sum(child.restarts for child in [*scene.workers, *scene.projectors, *scene.replayers]),
            stuck=self._stuck,
            drained_s=drained.seconds,
            memory=self._memory,
            verdicts=scene.verdicts(drained),
            replays=len(scene.replays),
            swept=len(scene.swept()),
        )

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def _rounds(self) -> Iterator[list[Fault]]:
        """Kills and others by turns, sometimes both at once; every fault comes before one comes again.

        On a slow machine the others are put off, so that there are enough kills all the same.
        """
        kills = dealt([fault for fault in FAULTS if fault.kills], self._draw)
        others = dealt([fault for fault in FAULTS if not fault.kills], self._draw)
        while True:
            kill = next(kills)
            if self._scene.kills.total() < KILLS_A_MINUTE * self._elapsed / 60:
                yield [kill]
                continue
            other = next(others)
            if kill.hits != other.hits and self._draw.random() < TOGETHER:
                yield [kill, other]
            else:
                yield from ([kill], [other])

    def _sweep_now_and_then(self, number: int) -> None:
        """A replay that is still under way loses its job every other time."""
        if not self._scene.has_swept():
            if self._draw.random() < TOGETHER:
                self._scene.kill(self._draw.choice(self._scene.replayers))
        elif number % SWEEP_EVERY == 2:
            self._say(replay=len(self._scene.replays) + 1)
            self._scene.begin_sweep()

    def _end_sweep(self) -> None:
        try:
            self._scene.until(self._scene.has_swept, "replays are done", PROGRESS_S_MAX)
        except LaurelError as error:
            self._stuck.append(f"{error}")

    def _inflict(self, faults: Sequence[Fault]) -> None:
        """All at once, then wait until every stage moves on again."""
        names = [fault.name for fault in faults]
        self._say(minute=round(self._elapsed / 60, 1), fault=" + ".join(names), kills=self._scene.kills.total())
        going = [begin(fault, self._scene, Random(self._draw.getrandbits(32))) for fault in faults]
        try:
            for each in going:
                each.result()
            self._scene.await_progress(PROGRESS_S_MAX)
        except (LaurelError, OperationalError, OSError) as error:
            self._stuck.append(f"{' + '.join(names)}: {error}")
        self._faults.update(names)

    async def _sample_always(self) -> None:
        while True:
            sizes = [resident_mb(child.pid) for child in self._scene.workers]
            self._memory.append(Memory(self._elapsed, max(sizes, default=0.0)))
            await asyncio.sleep(SAMPLE_S)


def begin(fault: Fault, scene: Scene, draw: Random) -> Future[None]:
    """In a thread that nobody has to wait for when the soak is interrupted."""
    done: Future[None] = Future()

    def inflict() -> None:
        try:
            done.set_result(fault.inflict(scene, draw))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=inflict, name=fault.name, daemon=True).start()
    return done


def dealt(faults: Sequence[Fault], draw: Random) -> Iterator[Fault]:
    """As from a deck: shuffled, and shuffled again when all were dealt."""
    while True:
        yield from draw.sample(faults, len(faults))


def resident_mb(pid: int) -> float:
    """0 for a process that is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / MB
    except (OSError, IndexError):
        return 0.0
