"""Replays while a load flows and whoever works on them is killed; at the end all is held against the whole log.

Version after version brings what the full job of the benchmark has and the first one lacks, each in another way: a
metric with a job that dies at every step, and processor and projector with it; one that is cancelled halfway, and
again; one by two jobs at once; at last an achievement over what is there, swept with deaths. The oracle knows
nothing of versions and replays: it folds what was published by the last catalog.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from bench.lags import Lag, Stretch, behind, note_lags
from bench.load import Load, values
from bench.oracle import award_line, expected_of_first, is_award, metrics_line
from bench.outputs import differences, read_outputs
from bench.paced import Pace, Published, published
from bench.replaying import Deployment, plain_environment, publish
from bench.versions import version
from broker.catalogs import read_program
from cli.benches.machine import job_file
from cli.catalog_files import CatalogFile
from cli.faults.ground import await_end, signal_child
from cli.faults.invariants import Verdict
from cli.faults.loop import BackgroundLoop
from cli.faults.soak import Say
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.kafka import BENCH
from cli.stack.pipeline import running
from cli.visibility import wait_until_visible
from replays.steps import ACTIVATE, BASE, CLOSE, DECIDE, DONE, END, FACTS, PREPARE
from schemas.errors import LaurelError

JOB = "full"
BRINGS = {2: "login_streak", 3: "released_artists", 4: "points", 5: "all_rounder"}
STEPS = {
    PREPARE: "prepare",
    BASE: "base",
    END: "end",
    DECIDE: "decide",
    ACTIVATE: "activate",
    FACTS: "facts",
    DONE: "done",
    CLOSE: "close",
}
DEATHS = [
    *((PREPARE, 1), (PREPARE, 2), (BASE, 1), (BASE, 2), (END, 1), (END, 1), (DECIDE, 1), (DECIDE, 1)),
    *((ACTIVATE, 1), (ACTIVATE, 2), (FACTS, 1), (FACTS, 2), (DONE, 1), (DONE, 1), (CLOSE, 1), (CLOSE, 1)),
]
"""Each step twice: a step, and at which time of it. The 2 is among others of its kind that come for sure."""
DEATHS_OF_A_SWEEP = [(step, time) for step, time in dict.fromkeys(DEATHS) if step != BASE and time == 1]
PIPELINE = ("processor", "projector")
KILLED = -signal.SIGKILL
STILL_S_MAX = 180.0
STOP_S_MAX = 120.0
TICK_MS = 100
CARRIED_S = 1.0  # who is behind by more has been killed just now, or does not carry the rate
MINUTES_MAX = 60

AWARDED = b"select user_id, achievement, earned_at from user_achievement where revoked_at is null"
POINTS = b"select user_id, points from user_profile where points <> 0"
METRICS = b"select user_id, metrics -> 'bench' from user_progress"
SHOWN = b"select count(*) from user_achievement where achievement like %(prefix)s"
NOTICES = b"""
select
    award.replay_id,
    count(*),
    count(distinct award.user_id),
    count(notice.id),
    (select count(*) from notification where metadata ->> 'replay_id' = award.replay_id and metadata ? 'awards')
from user_achievement as award
left join notification as notice on notice.metadata ->> 'outcome_id' = award.id::text
group by award.replay_id
"""
ROWS = b"select id, status, notify, kind from replay order by created_at"


class Shape(NamedTuple):
    """How large it is. Units: rate, events a second."""

    rate: int = 20_000
    users: int = 50_000
    history: int = 500_000

    @property
    def load(self) -> Load:
        """More than is ever published."""
        return Load(self.history + self.rate * 60 * MINUTES_MAX, self.users)


class Noticed(NamedTuple):
    """What users were told of a replay; of live, where there is no replay.

    Shapes: awards and gaining users; told, notices of single awards; digests, of all at once.
    """

    replay: str | None
    awards: int
    users: int
    told: int
    digests: int


class Replayed(NamedTuple):
    """A row of the registry when all was over."""

    id: str
    status: str
    notify: str
    kind: str


class Report(NamedTuple):
    """What it came to. Shapes: behind, when the processor was behind the load by more than a second.

    Units: seconds; flowed, events a second that really came; late_ms, how far the publisher was behind its schedule
    at p99.
    """

    shape: Shape
    seconds: float
    events: int
    flowed: float
    late_ms: float
    behind: list[Stretch]
    kills: Counter[str]
    replays: list[Replayed]
    drained_s: float
    verdicts: list[Verdict]

    @property
    def holds(self) -> bool:
        return not any(verdict.differences for verdict in self.verdicts)


def catalog(number: int) -> str:
    return version(job_file(JOB).read_text(), number, {key for since, key in BRINGS.items() if since > number})


def soak_replays(shape: Shape, say: Say) -> Report:
    """Raises: LaurelError when something does not end in time, or ends otherwise than it should."""
    stack = LocalStack(ephemeral=True, kafka_flags=BENCH, environ=plain_environment())
    with running(stack, [CatalogFile(catalog(1), f"{JOB}.yaml")]) as pipeline:
        return ReplaySoak(Deployment(stack, pipeline.settings), shape, say).run()


class ReplaySoak:
    def __init__(self, deployment: Deployment, shape: Shape, say: Say) -> None:
        self._deployment, self._shape, self._say = deployment, shape, say
        self._kills: Counter[str] = Counter()
        self._traces: list[str] = []
        self._lags: list[Lag] = []
        self._began = time.monotonic()

    def run(self) -> Report:
        shape, settings = self._shape, self._deployment.settings
        self._say(state="publishing a history", events=shape.history)
        history = islice(values(shape.load), shape.history)
        asyncio.run(publish(settings.kafka, settings.partitions, history))
        publisher, flowing = self._flow(), time.monotonic()
        with BackgroundLoop() as loop:
            loop.begin(note_lags(settings, self._lags))
            for act in (self._die_at_every_step, self._cancel_halfway, self._two_at_once, self._sweep_and_die):
                act()
        told = self._end_flow(publisher)
        flowed = (told.events - shape.history) / (time.monotonic() - flowing)
        late = behind(self._lags, round(shape.rate * CARRIED_S))
        drained_s = self._drain(told)
        self._say(state="comparing with the whole log", events=told.events)
        verdicts = self._verdicts(told, drained_s)
        replays = [Replayed(*row) for row in self._deployment.rows(ROWS)]
        seconds = time.monotonic() - self._began
        return Report(
            shape, seconds, told.events, flowed, told.late_ms, late, self._kills, replays, drained_s, verdicts
        )

    # --- the load ---

    def _flow(self) -> Child:
        argv = [sys.executable, "-P", "-m", "bench.paced", self._deployment.settings.kafka, *self._pace.arguments]
        return self._deployment.run("publisher", argv)

    @property
    def _pace(self) -> Pace:
        shape, settings = self._shape, self._deployment.settings
        file = self._deployment.stack.data_dir / "published.json"
        return Pace(shape.load, shape.history, shape.rate, settings.partitions, file, TICK_MS)

    def _end_flow(self, publisher: Child) -> Published:
        if not publisher.alive:
            raise LaurelError(f"the load did not flow to the end:\n{publisher.last_lines()}")
        publisher.ask_to_stop()
        if not publisher.wait(STOP_S_MAX):
            raise LaurelError(f"the publisher did not stop:\n{publisher.last_lines()}")
        return published(self._pace.file)

    def _drain(self, told: Published) -> float:
        """Seconds until nothing is left to do."""
        self._say(state="draining")
        began, settings = time.monotonic(), self._deployment.settings
        asyncio.run(wait_until_visible(settings, told.ends, lambda **_: None, STILL_S_MAX))
        return time.monotonic() - began

    # --- what is replayed, and who dies ---

    def _die_at_every_step(self) -> None:
        for step, nth in DEATHS:
            self._die(2, step, nth, "--notify", "digest")
        self._succeed([self._job(2, "--notify", "digest")])

    def _cancel_halfway(self) -> None:
        """When some partitions were told that all is sent, and others not."""
        self._die(3, END, 2, "--notify", "none")
        ((id,),) = self._deployment.rows(b"select id from replay where status = 'running'")
        self._succeed([self._deployment.laurel("replay", "cancel", id)])
        replayer = self._deployment.laurel("replayer")
        self._await(lambda: self._status(id) == "cancelled", f"replay '{id}' is cancelled")
        signal_child(replayer, signal.SIGKILL)
        await_end(replayer, replayer.pid)
        prefix = f"{BRINGS[3]}%"
        self._traces += [f"{count} awards of it" for (count,) in self._rows(SHOWN, prefix) if count]
        self._succeed([self._job(3, "--notify", "none", "--id", "again")])

    def _two_at_once(self) -> None:
        jobs = [self._job(4, "--notify", "all") for _ in range(2)]
        self._kill_pipeline()
        self._succeed(jobs)

    def _sweep_and_die(self) -> None:
        for step, nth in DEATHS_OF_A_SWEEP:
            self._die(5, step, nth, "--notify", "digest")
        self._succeed([self._job(5, "--notify", "digest")])

    def _job(self, number: int, *options: str, failpoint: str = "") -> Child:
        file = self._deployment.file(f"{JOB}-{number}.yaml", catalog(number))
        start = ("replay", "start", "--catalog", file, "--wait", "--json", *options)
        return self._deployment.laurel(*start, failpoint=failpoint)

    def _die(self, number: int, step: int, nth: int, *options: str) -> None:
        job = self._job(number, *options, failpoint=f"replay.{step}=kill@{nth}")
        ended = self._deployment.wait(job)
        if ended.code != KILLED:
            raise LaurelError(f"'{job.name}' was to die at {STEPS[step]}, and ended:\n{job.last_lines()}")
        self._kills[f"job at {STEPS[step]}"] += 1
        self._say(killed=f"job at {STEPS[step]}", version=number, after_s=round(ended.seconds, 1))
        self._kill_pipeline()

    def _kill_pipeline(self) -> None:
        """The supervisor starts both again."""
        for name in PIPELINE:
            child = self._deployment.stack.children[name]
            if child.alive:
                self._kills[name] += 1
                os.kill(child.pid, signal.SIGKILL)

    def _succeed(self, children: Sequence[Child]) -> None:
        for child in children:
            ended = self._deployment.succeed(child)
            self._say(ended=child.name, after_s=round(ended.seconds, 1))

    def _status(self, id: str) -> str:
        ((status,),) = self._deployment.rows(b"select status from replay where id = %(id)s", {"id": id})
        return str(status)

    def _rows(self, query: bytes, prefix: str) -> list[tuple[Any, ...]]:
        return self._deployment.rows(query, {"prefix": prefix})

    def _await(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + STILL_S_MAX
        while not condition():
            if time.monotonic() > deadline:
                raise LaurelError(f"not within {STILL_S_MAX:.0f} s: {what}")
            time.sleep(0.2)

    # --- whether all is as if nobody had died ---

    def _verdicts(self, told: Published, drained_s: float) -> list[Verdict]:
        lines = expected_of_first(JOB, self._shape.load, told.events)
        rows, points = self._deployment.rows, asyncio.run(self._points())
        replays = [Replayed(*row) for row in rows(ROWS)]
        noticed = [Noticed(*row) for row in rows(NOTICES)]
        awards, metrics = [line for line in lines if is_award(line)], [line for line in lines if not is_award(line)]
        return [
            Verdict("R1", PROMISES["R1"], differences(lines, asyncio.run(self._outputs()))),
            Verdict("R2", PROMISES["R2"], differences(awards, sorted(award_line(*row) for row in rows(AWARDED)))),
            Verdict(
                "R3", PROMISES["R3"], differences(points_of(awards, points), sorted(map(point_line, rows(POINTS))))
            ),
            Verdict(
                "R4",
                PROMISES["R4"],
                differences(moved(metrics), moved(metrics_line(*row) for row in rows(METRICS))),
            ),
            Verdict("R5", PROMISES["R5"], notice_faults(noticed, replays)),
            Verdict("R6", PROMISES["R6"], self._traces),
            Verdict("R7", PROMISES["R7"], status_faults(replays)),
        ]

    async def _outputs(self) -> list[str]:
        settings = self._deployment.settings
        program = await read_program(settings.kafka, settings.names)
        return await read_outputs(settings.kafka, settings.names, program, settings.partitions)

    async def _points(self) -> dict[str, int]:
        settings = self._deployment.settings
        program = await read_program(settings.kafka, settings.names)
        return {spec.key: spec.points for each in program.catalogs for spec in each.achievements}


PROMISES = {
    "R1": "outcomes and states: each award of the whole log once, of its date, nothing else, and every metric",
    "R2": "Postgres shows these awards with these dates",
    "R3": "the points of every user are those of these awards",
    "R4": "Postgres shows these metrics",
    "R5": "notices as chosen: each live award and each of `all` once, one a user of `digest`, none of `none`",
    "R6": "a replay that was cancelled halfway gave nothing",
    "R7": "every other replay is done",
}


def points_of(awards: Iterable[str], points: dict[str, int]) -> list[str]:
    """What every user should have, from lines of awards."""
    found: Counter[str] = Counter()
    for line in awards:
        user, _, achievement, *_ = line.split()
        found[user] += points[achievement]
    return sorted(point_line((user, count)) for user, count in found.items() if count)


def point_line(row: Sequence[Any]) -> str:
    user, points = row
    return f"{user} has {points} points"


def moved(metrics: Iterable[str]) -> list[str]:
    """Without what is zero: who had no event since a metric came is not shown it."""
    found = []
    for line in metrics:
        user, _, told = line.partition(" has ")
        values: dict[str, int | None] = json.loads(told)
        found.append(metrics_line(user, {key: value for key, value in values.items() if value}))
    return sorted(found)


def notice_faults(noticed: Iterable[Noticed], replays: Iterable[Replayed]) -> list[str]:
    chosen = {each.id: each.notify for each in replays}
    return [
        f"{each.replay or 'live'} told {each.told} awards and {each.digests} users, should be {due}"
        for each in noticed
        if (due := due_of(each, chosen)) != (each.told, each.digests)
    ]


def due_of(each: Noticed, chosen: dict[str, str]) -> tuple[int, int]:
    """Notices of single awards, and digests."""
    notify = "all" if each.replay is None else chosen[each.replay]
    return {"all": (each.awards, 0), "digest": (0, each.users), "none": (0, 0)}[notify]


def status_faults(replays: Sequence[Replayed]) -> list[str]:
    ended = Counter(each.status for each in replays)
    wanted = Counter(done=len(BRINGS), cancelled=1)
    return [] if ended == wanted else [f"replays ended as {dict(ended)}, should be {dict(wanted)}"]
