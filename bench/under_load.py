"""What live unlocks wait for while a replay runs: at a steady rate before it, during it, and after it.

The replay folds the past of three metrics aside that nobody has counted, and merges them. Broker, Postgres, worker,
projector, publisher, job and this process, which watches, share two cores.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from bench.lags import Lag, note_lags
from bench.latency import CORES, LATE_MS_MAX, Appended
from bench.load import Load, values
from bench.oracle import expected_of_first
from bench.outputs import differences, read_outputs
from bench.paced import Pace, Published, published
from bench.replaying import Deployment, Ended, plain_environment, publish
from bench.stage import Say
from bench.versions import version
from broker.catalogs import read_program
from broker.connections import consumer
from broker.positions import Positions, last_stable_offsets
from broker.reading import Reader
from broker.topics import places_of
from cli.benches.machine import job_file
from cli.catalog_files import CatalogFile
from cli.faults.loop import BackgroundLoop
from cli.settings import Settings
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.kafka import BENCH
from cli.stack.pipeline import running
from cli.visibility import wait_until_visible
from processor.profile import percentile
from schemas.errors import LaurelError
from schemas.outcomes import UNLOCKED

JOB = "full"
BROUGHT = {"login_streak", "released_artists", "points", "all_rounder"}
DURING_S_MAX = 1800
STILL_S_MAX = 180.0
STOP_S_MAX = 120.0
TIMES_ASKED = 2.0
CARRIED_S = 1.0  # a worker that is further behind before the replay does not carry the rate
WHEN = ("before", "during", "after")


class Plan(NamedTuple):
    """Units: rate, events a second; warm_up_s is left out, before_s and after_s are looked at."""

    rate: int
    users: int
    history: int
    warm_up_s: int = 15
    before_s: int = 30
    after_s: int = 30

    @property
    def load(self) -> Load:
        """More than is ever published."""
        seconds = self.warm_up_s + self.before_s + DURING_S_MAX + self.after_s
        return Load(self.history + self.rate * seconds, self.users)


class Where(msgspec.Struct):
    partition: int
    offset: int


class Told(msgspec.Struct):
    origin: str = ""
    evidence: Where | None = None


class Unlock(msgspec.Struct):
    """An outcome, as far as it says of which event it is."""

    type: str
    data: Told


class Seen(NamedTuple):
    """A live unlock in hand. Shapes: the partition and offset of its event. Units: at_ms by this host's clock."""

    partition: int
    offset: int
    at_ms: float


class Waited(NamedTuple):
    """Units: milliseconds since 1970, and from the event's append until its unlock could be read."""

    event_at_ms: float
    ms: float


class Watched(NamedTuple):
    seen: list[Seen]
    lags: list[Lag]


class Moments(NamedTuple):
    """Units: seconds since 1970; the replay begins and ends."""

    steady: float
    begin: float
    end: float
    over: float


decode_unlock = msgspec.json.Decoder(Unlock).decode


def catalog(number: int) -> str:
    return version(job_file(JOB).read_text(), number, BROUGHT if number == 1 else ())


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """Raises: LaurelError."""
    os.sched_setaffinity(0, CORES)
    stack = LocalStack(ephemeral=True, kafka_flags=BENCH, environ=plain_environment())
    with running(stack, [CatalogFile(catalog(1), f"{JOB}.yaml")]) as pipeline, BackgroundLoop() as loop:
        deployment = Deployment(stack, pipeline.settings)
        _publish_history(deployment, plan, say)
        watched = Watched([], [])
        watching = loop.begin(_watch(pipeline.settings, watched))
        with _without_pauses():
            moments, job, told = _replay_under_load(deployment, plan, say)
        watching.cancel()
        say("comparing with the oracle")
        lines = expected_of_first(JOB, plan.load, told.events)
        faults = differences(lines, asyncio.run(_outputs(pipeline.settings)))
    found = report(waits(watched.seen, told.appended), watched.lags, moments)
    return found | {
        "rate": plan.rate,
        "carried": found["parts"]["before"]["lag_max"] <= plan.rate * CARRIED_S,
        "users": plan.users,
        "events": told.events,
        "replay_s": round(job.seconds, 1),
        "job_cores": round(job.spent["job"].cpu_s / job.seconds, 2),
        "job_mb": job.spent["job"].peak_mb,
        "publisher_late_ms": round(told.late_ms),
        "rate_kept": told.late_ms <= LATE_MS_MAX,
        "faults": faults,
        "correct": not faults,
    }


def _publish_history(deployment: Deployment, plan: Plan, say: Say) -> None:
    settings = deployment.settings
    say(f"publishing a history of {plan.history:,} events, and waiting for its rows")
    ends = asyncio.run(publish(settings.kafka, settings.partitions, islice(values(plan.load), plan.history)))
    asyncio.run(wait_until_visible(settings, ends, lambda **_: None, STILL_S_MAX))


def _replay_under_load(deployment: Deployment, plan: Plan, say: Say) -> tuple[Moments, Ended, Published]:
    say(f"publishing {plan.rate:,} events a second")
    written = deployment.stack.data_dir / "published.json"
    pace = Pace(plan.load, plan.history, plan.rate, deployment.settings.partitions, written)
    publisher = _publisher(deployment, pace)
    time.sleep(plan.warm_up_s)
    steady = time.time()
    time.sleep(plan.before_s)
    say("replaying")
    begin, file = time.time(), deployment.file(f"{JOB}-2.yaml", catalog(2))
    job = deployment.laurel("replay", "start", "--catalog", file, "--wait", "--json")
    ended, end = deployment.succeed(job), time.time()
    say("publishing on")
    time.sleep(plan.after_s)
    moments = Moments(steady, begin, end, time.time())
    say("waiting for what is left")
    told = _stop(publisher, pace)
    asyncio.run(wait_until_visible(deployment.settings, told.ends, lambda **_: None, STILL_S_MAX))
    return moments, ended, told


@contextmanager
def _without_pauses() -> Iterator[None]:
    """A pass of the collector over all that was noted would be a wait of every unlock that comes meanwhile."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _publisher(deployment: Deployment, pace: Pace) -> Child:
    argv = [sys.executable, "-P", "-m", "bench.paced", deployment.settings.kafka, *pace.arguments]
    return deployment.run("publisher", argv)


def _stop(publisher: Child, pace: Pace) -> Published:
    publisher.ask_to_stop()
    if not publisher.wait(STOP_S_MAX):
        raise LaurelError(f"the publisher did not stop:\n{publisher.last_lines()}")
    return published(pace.file)


async def _outputs(settings: Settings) -> list[str]:
    program = await read_program(settings.kafka, settings.names)
    return await read_outputs(settings.kafka, settings.names, program, settings.partitions)


# --- what is watched meanwhile ---


async def _watch(settings: Settings, watched: Watched) -> None:
    starts = dict(
        await last_stable_offsets(settings.kafka, await places_of(settings.kafka, [settings.names.outcomes]))
    )
    async with _lags_noted(settings, watched):
        await _see_unlocks(settings, starts, watched)


@asynccontextmanager
async def _lags_noted(settings: Settings, watched: Watched) -> AsyncIterator[None]:
    noting = asyncio.create_task(note_lags(settings, watched.lags))
    try:
        yield
    finally:
        noting.cancel()


async def _see_unlocks(settings: Settings, starts: Positions, watched: Watched) -> None:
    async with consumer(settings.kafka) as client:
        reader = Reader(client, starts)
        while True:
            for batch in await reader.poll():
                at_ms = time.time() * 1000
                outcomes = (decode_unlock(record.value or b"") for record in batch.records)
                watched.seen.extend(
                    Seen(each.data.evidence.partition, each.data.evidence.offset, at_ms)
                    for each in outcomes
                    if each.type == UNLOCKED and each.data.origin == "live" and each.data.evidence
                )


# --- what it comes to ---


def waits(seen: Sequence[Seen], appended: Sequence[Appended]) -> list[Waited]:
    """Of every unlock of a published event how long it waited."""
    batches: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for place, first, event_at_ms in appended:
        batches[place[1]].append((first, event_at_ms))
    firsts = {partition: [first for first, _ in found] for partition, found in batches.items()}
    found = []
    for partition, offset, at_ms in seen:
        number = bisect_right(firsts[partition], offset) - 1
        if number >= 0:
            since_ms = batches[partition][number][1]
            found.append(Waited(since_ms, at_ms - since_ms))
    return found


def report(waited: Sequence[Waited], lags: Sequence[Lag], moments: Moments) -> dict[str, Any]:
    """Of the events that were appended before the replay began, while it ran, and behind its end."""
    parts = {
        name: _part(waited, lags, begin, end) for name, begin, end in zip(WHEN, moments, moments[1:], strict=False)
    }
    if not all(part["unlocks"] for part in parts.values()):
        raise LaurelError(f"no unlock in one of the three parts, so nothing can be said: {parts}; raise the rate")
    return {"parts": parts, "p99_times": round(parts["during"]["p99_ms"] / max(parts["before"]["p99_ms"], 1.0), 2)}


def _part(waited: Sequence[Waited], lags: Sequence[Lag], begin_s: float, end_s: float) -> Mapping[str, float]:
    """Units: milliseconds; lag_max, records."""
    found = [each.ms for each in waited if begin_s * 1000 <= each.event_at_ms < end_s * 1000]
    return {
        "unlocks": len(found),
        "p50_ms": round(percentile(found, 0.5), 1),
        "p99_ms": round(percentile(found, 0.99), 1),
        "lag_max": max((lag for at_s, lag in lags if begin_s <= at_s < end_s), default=0),
    }
