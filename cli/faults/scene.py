"""A namespace under load, with its workers, projectors and claimers, for faults to happen to."""

from __future__ import annotations

import itertools
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from pydantic import SecretStr

from broker.failpoints import VARIABLE
from broker.producing import Outgoing
from cli.catalog_files import CatalogFile
from cli.faults.claimer import delivered
from cli.faults.ground import POLL_S, Ground, await_end, is_stopped, signal_child
from cli.faults.invariants import Evidence, Verdict, expected_of, read_evidence, verdicts
from cli.faults.load import TOPIC, Generator, Load, everybody
from cli.faults.standing import Drained, Watch, drained
from cli.faults.sweeps import later, start
from cli.settings import Settings
from cli.stack.child import STOP_SECONDS, Child
from cli.stack.pipeline import CHECKOUT, prepare, refuse_final_exit
from projections.database import connect
from schemas.errors import LaurelError

SESSION_S = 6  # the least that a broker takes by default
UNDER_WAY_S_MAX = 120.0
DRAIN_S_MAX = 180.0
DIES_EVERY = 15  # claims of a claimer that dies

DRAINED_WITHOUT_CLAIMERS = ("processor", "undecided", "projector")


class Shape(NamedTuple):
    """How large a scene is. Half of the claimers die."""

    namespace: str
    seed: int
    partitions: int = 4
    workers: int = 2
    projectors: int = 1
    claimers: int = 0
    replayers: int = 0
    users: int = 300
    events_per_s: int = 200
    keep: Callable[[Outgoing], bool] = everybody


class Scene:
    """Everything runs, under the supervisor, from entering to leaving. `env` is that of its processes."""

    def __init__(self, ground: Ground, shape: Shape, env: Mapping[str, str] | None = None) -> None:
        self.ground, self.shape, self._env = ground, shape, env or {}
        self.settings = Settings(
            kafka=ground.kafka,
            postgres=SecretStr(ground.postgres),
            namespace=shape.namespace,
            partitions=shape.partitions,
        )
        self.source = f"{shape.namespace}.activity"
        self.catalog = (
            resources.files("cli.faults").joinpath("catalog.yaml").read_text().replace(TOPIC, self.source)
        )
        load = Load(self.source, shape.seed, shape.users, shape.events_per_s, shape.keep)
        self.load = Generator(ground.kafka, load)
        self.watch = Watch(self.settings, self.source)
        self.workers: list[Child] = []
        self.projectors: list[Child] = []
        self.claimers: list[Child] = []
        self.replayers: list[Child] = []
        self.replays: list[str] = []
        self.kills: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self.delivered: list[Path] = []

    def __enter__(self) -> Self:
        prepare(self.settings, [CatalogFile(self.catalog, "faults.yaml")])
        try:
            for _ in range(self.shape.workers):
                self.start_worker()
            self.projectors += [self._start("projector", ["projector"]) for _ in range(self.shape.projectors)]
            self.claimers += [self._start_claimer(number) for number in range(self.shape.claimers)]
            self.replayers += [self._start("replayer", ["replayer"]) for _ in range(self.shape.replayers)]
        except BaseException:
            self.end()
            raise
        self._loading = self.ground.loop.begin(self.load.run())
        self._watching = self.ground.loop.begin(self.watch.run())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loading.cancel()
        self._watching.cancel()
        self.end()

    def end(self) -> None:
        for child in [*self.workers, *self.projectors, *self.claimers, *self.replayers]:
            child.restart = False
            child.kill()
            self.ground.stack.children.pop(child.name, None)

    # --- its processes ---

    def start_worker(self, env: Mapping[str, str] | None = None) -> Child:
        settings = {"LAUREL_SESSION_TIMEOUT_S": str(SESSION_S), **(env or {})}
        self.workers.append(self._start("worker", ["worker"], settings))
        return self.workers[-1]

    def _start_claimer(self, number: int) -> Child:
        file = self.ground.stack.data_dir / f"{self.shape.namespace}-delivered-{number}"
        self.delivered.append(file)
        dies_every = DIES_EVERY if number % 2 == 0 else 0
        argv = [sys.executable, "-P", "-m", "cli.faults.claimer", str(file), str(dies_every)]
        return self._run("claimer", argv, {})

    def _start(self, name: str, command: list[str], env: Mapping[str, str] | None = None) -> Child:
        return self._run(name, [sys.executable, "-P", "-m", "cli.main", *command], env or {})

    def _run(self, name: str, argv: list[str], env: Mapping[str, str]) -> Child:
        settings = {
            **self.ground.proxied,
            "LAUREL_NAMESPACE": self.shape.namespace,
            "LAUREL_METRICS_PORT": "0",
            "PYTHONPATH": str(CHECKOUT),
            **self._env,
            **env,
        }
        return self.ground.stack.run(f"{self.shape.namespace}-{name}-{next(self._numbers)}", argv, settings)

    def retire(self, child: Child, number: signal.Signals = signal.SIGTERM) -> None:
        """End a worker for good."""
        child.restart = False
        if number == signal.SIGKILL:
            self.kill(child)
        self._stop(child)
        self.workers.remove(child)
        self.ground.stack.children.pop(child.name, None)

    def kill(self, child: Child) -> None:
        if child.alive:
            self.kills[self._kind(child)] += 1
        signal_child(child, signal.SIGKILL)

    def _kind(self, child: Child) -> str:
        return child.name.removeprefix(f"{self.shape.namespace}-").partition("-")[0]

    def run_until(self, child: Child, failpoint: str) -> None:
        """Start a process anew so that it dies at a failpoint, see it die, and start it as it was."""
        with self.unsupervised(child):
            self._stop(child)
            deadline = time.monotonic() + UNDER_WAY_S_MAX
            while time.monotonic() < deadline:
                self._start_armed(child, failpoint)
                await_end(child, child.pid)
                if child.exit_code() == -signal.SIGKILL:
                    break  # otherwise it ended of something else that goes wrong just now
            else:
                raise LaurelError(f"'{child.name}' does not come to {failpoint}:\n{child.last_lines()}")
            self.kills[self._kind(child)] += 1

    @contextmanager
    def standing_still(self, child: Child, failpoint: str) -> Iterator[None]:
        """Start a process anew so that it freezes at a failpoint; when this is left it goes on from there."""
        with self.unsupervised(child):
            self._stop(child)
            self.until(lambda: self._is_frozen(child, failpoint), f"'{child.name}' stands still at {failpoint}")
        try:
            yield
        finally:
            signal_child(child, signal.SIGCONT)

    def _is_frozen(self, child: Child, failpoint: str) -> bool:
        """Starts it when it does not run: it may end of something else before it comes there."""
        if not child.alive:
            self._start_armed(child, failpoint)
        return is_stopped(child.pid)

    def _stop(self, child: Child) -> None:
        signal_child(child, signal.SIGTERM)
        if not child.wait(2 * STOP_SECONDS):
            raise LaurelError(f"'{child.name}' did not stop:\n{child.last_lines()}")

    def _start_armed(self, child: Child, failpoint: str) -> None:
        """For this one life: the next is as before."""
        order = child.order
        child.order = replace(order, env={**order.env, VARIABLE: failpoint})
        self.ground.stack.run_again(child)
        child.order = order

    @contextmanager
    def unsupervised(self, child: Child) -> Iterator[None]:
        """Nobody but the caller ends and starts it in here; when this is left it runs again."""
        child.restart = False
        try:
            yield
            if not child.alive:
                self.ground.stack.run_again(child)
        finally:
            child.restart = True

    # --- replays ---

    def begin_sweep(self) -> None:
        """A further achievement, for a replayer to give to whoever has earned it. Raises: LaurelError."""
        version = len(self.replays) + 2
        self.catalog = later(self.catalog, version)
        file = self.ground.stack.data_dir / f"{self.shape.namespace}-{version}.yaml"
        file.write_text(self.catalog, encoding="utf-8")
        straight = {
            "LAUREL_KAFKA": self.ground.kafka,
            "LAUREL_POSTGRES": self.ground.postgres,
            "LAUREL_NAMESPACE": self.shape.namespace,
        }
        self.replays.append(start(file, straight))

    def has_swept(self) -> bool:
        """Whether all that were begun are done."""
        with connect(self.settings.database) as connection:
            rows = connection.execute(b"select count(*) from replay where status = 'done'").fetchone()
        return rows == (len(self.replays),)

    def swept(self) -> set[str]:
        """The awards that were given by replays."""
        with connect(self.settings.database) as connection:
            rows = connection.execute(b"select id::text from user_achievement where origin = 'replay'").fetchall()
        return {id for (id,) in rows}

    # --- how it goes ---

    def until(self, condition: Callable[[], object], what: str, seconds: float = UNDER_WAY_S_MAX) -> None:
        """Raises: LaurelError when it is not so in time, or a process has ended for good."""
        deadline = time.monotonic() + seconds
        while not condition():
            for child in [*self.workers, *self.projectors, *self.replayers]:
                if child.restart:
                    refuse_final_exit(child)
            if time.monotonic() > deadline:
                raise LaurelError(f"not within {seconds:.0f} s: {what}; {self.last_words()}")
            time.sleep(POLL_S)

    def await_progress(self, seconds: float = UNDER_WAY_S_MAX) -> None:
        """Until every stage has moved on from where it stands now."""
        before = self._progress()

        def has_moved() -> bool:
            return all(now > then for now, then in zip(self._progress(), before, strict=True))

        self.until(has_moved, "processor and projector move on", seconds)

    def _progress(self) -> tuple[int, int]:
        standing = self.watch.last
        if standing is None:
            return 0, 0
        return sum(standing.committed.values()), sum(standing.projected.values())

    def drain(self) -> Drained:
        """End the load, and wait until nothing is left to do."""
        self.ground.loop.run(self.load.stop())
        self._loading.result(UNDER_WAY_S_MAX)
        stages = DRAINED_WITHOUT_CLAIMERS if not self.claimers else (*DRAINED_WITHOUT_CLAIMERS, "queue")
        waiting = drained(self.settings, self.source, DRAIN_S_MAX, lambda stage: stage in stages)
        return self.ground.loop.run(waiting)

    def load_again(self) -> None:
        """After a drain: go on with the load."""
        self._loading = self.ground.loop.begin(self.load.run())

    def verdicts(self, state: Drained) -> list[Verdict]:
        logs, program, committed, ends = self.ground.loop.run(read_evidence(self.settings, self.source))
        written = delivered(self.delivered)
        with connect(self.settings.database) as connection:
            return verdicts(
                Evidence(
                    logs=logs,
                    program=program,
                    expected=expected_of(logs.source, self.catalog),
                    committed=committed,
                    ends=ends,
                    acknowledged=self.load.acknowledged,
                    watch=self.watch,
                    drained=state,
                    delivered=written.notifications if self.claimers else None,
                    early=written.early,
                    connection=connection,
                    replays=self.replays,
                    silent=self.swept(),
                )
            )

    def last_words(self) -> str:
        """The ends of the logs of its processes."""
        children = [*self.workers, *self.projectors, *self.claimers, *self.replayers]
        return "\n".join(f"--- {child.name}, {child.exit_code()}:\n{child.last_lines()}" for child in children)
