"""From an event's append to the unlock that can be read and to the row that can be seen, at a steady rate.

Broker, Postgres, processor, projector, and this process, which publishes and watches, share two cores.
bench/README.md says what each moment is and how it is timed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from bench.draining import cpu_s_of
from bench.load import TOPIC, Load, values
from bench.stage import PARTITIONS, Say
from broker.connections import consumer, producer
from broker.positions import Place, Positions, group_positions, last_stable_offsets
from broker.producing import Outgoing, Publisher
from broker.reading import Reader
from cli.catalog_files import CatalogFile
from cli.settings import Settings
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.pipeline import running
from processor.profile import percentile
from projections.database import connect_async
from schemas.errors import LaurelError
from schemas.outcomes import decode_outcome
from schemas.topics import partition_of

CORES = {0, 1}
TICK_S = 0.02
LATE_MS_MAX = 50.0  # at p99; beyond it the rate was not kept
LOOK_S = 0.01  # at the positions in Postgres
SETTLE_TIMEOUT_S = 120.0
POSITIONS = "select partition, next_position from projection_position where projection = %s and topic = %s"
ROWS = "user_achievement"
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


class Appended(NamedTuple):
    """A batch of events on the broker. Units: milliseconds since 1970, by the broker."""

    place: Place
    first: int
    at_ms: int


class Seen(NamedTuple):
    """An unlock that was read. Units: at_ms by this process's clock, appended_ms by the broker."""

    place: Place
    offset: int
    at_ms: float
    appended_ms: int
    value: bytes


class Shown(NamedTuple):
    """Where the rows of a partition of the outcomes ended when we looked."""

    place: Place
    end: int
    at_ms: float


class Unlock(NamedTuple):
    """Units: milliseconds since its event's append."""

    event_at_ms: int
    written: float
    readable: float
    row: float


class Watched(NamedTuple):
    """What was noted down during a run. Units: cores, how many each process kept busy while events came."""

    appended: list[Appended]
    seen: list[Seen]
    shown: list[Shown]
    late_s: list[float]
    cores: dict[str, float]


class Plan(NamedTuple):
    """What is published: a history, as fast as it goes, and when all of it is rows, the rest at a steady rate."""

    history: int
    rate: int
    seconds: int
    users: int
    warm_up_s: float

    @property
    def load(self) -> Load:
        live = self.rate * self.seconds
        return Load(self.history + live, self.users, live=live, per_s=self.rate)


def measure(job: Path, plan: Plan, say: Say) -> dict[str, Any]:
    """Say how long the unlocks took of what was published at a steady rate. Raises: LaurelError."""
    os.sched_setaffinity(0, CORES)  # whatever is started from here on stays there too
    environ = {name: value for name, value in os.environ.items() if not name.startswith("LAUREL_")}
    stack = LocalStack(ephemeral=True, environ=environ)
    with running(stack, [CatalogFile(job.read_text(), job.name)]) as pipeline:
        watched = asyncio.run(_watch(pipeline.settings, stack.children, plan, say))
    say("working it out")
    return report(unlocks_of(watched), watched.late_s, plan.warm_up_s) | {"cores_busy": watched.cores}


async def _watch(settings: Settings, children: Mapping[str, Child], plan: Plan, say: Say) -> Watched:
    watched, records = Watched([], [], [], [], {}), values(plan.load)
    async with _beside(_see_rows(settings, watched)):
        say(f"publishing a history of {plan.history:,} events, and waiting for its rows")
        await _settled(settings, await _publish_history(settings.kafka, islice(records, plan.history)), watched)
        starts = dict(await last_stable_offsets(settings.kafka, _outcomes(settings)))
        async with _beside(_see_outcomes(settings, watched, starts)):
            say(f"publishing {plan.rate:,} events a second for {plan.seconds} s")
            ends = await _publish(settings.kafka, records, plan.rate, watched, children)
            await _settled(settings, ends, watched)
    return watched


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let this go on meanwhile. Raises: what it raised."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _outcomes(settings: Settings) -> list[Place]:
    return [(settings.names.outcomes, partition) for partition in range(PARTITIONS)]


async def _publish_history(bootstrap: str, records: Iterable[tuple[bytes, bytes]]) -> Positions:
    async with producer(bootstrap) as client:
        publisher = Publisher(client, {TOPIC: PARTITIONS})
        await publisher.send_all(Outgoing(TOPIC, key, value) for key, value in records)
    return publisher.ends


async def _publish(
    bootstrap: str,
    records: Iterable[tuple[bytes, bytes]],
    rate: int,
    watched: Watched,
    children: Mapping[str, Child],
) -> Positions:
    """Batches are made before the first is sent, so that keeping the schedule costs next to nothing."""
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, acks=1, linger_ms=0, enable_idempotence=False)
    await client.start()
    try:
        ticks = _ticks(client, records, max(1, round(rate * TICK_S)))
        gc.collect()
        gc.disable()  # a pass over all these batches would be a pause; this process ends soon
        before, began, sent = _cpu_s(children), time.monotonic(), []
        for number, batches in enumerate(ticks):
            wait_s = began + number * TICK_S - time.monotonic()
            await asyncio.sleep(max(0.0, wait_s))
            watched.late_s.append(max(0.0, -wait_s))
            for partition, batch in batches.items():
                sent.append((partition, batch, await client.send_batch(batch, TOPIC, partition=partition)))
        seconds, after = time.monotonic() - began, _cpu_s(children)
        watched.cores.update({name: round((after[name] - before[name]) / seconds, 2) for name in before})
        return await _acknowledged(sent, watched)
    finally:
        await client.stop()


def _cpu_s(children: Mapping[str, Child]) -> dict[str, float]:
    """Of each process, and of this one."""
    spent = {name: cpu_s_of(child.pid) for name, child in children.items()}
    return spent | {"publisher and watchers": time.process_time()}


async def _acknowledged(sent: Iterable[tuple[int, Any, Any]], watched: Watched) -> Positions:
    ends: Positions = {}
    for partition, batch, acknowledged in sent:
        told, place = await acknowledged, (TOPIC, partition)
        watched.appended.append(Appended(place, told.offset, told.timestamp))
        ends[place] = told.offset + batch.record_count()
    return ends


def _ticks(client: AIOKafkaProducer, records: Iterable[tuple[bytes, bytes]], size: int) -> list[dict[int, Any]]:
    """For each tick, a finished batch of each partition."""
    ticks: list[dict[int, Any]] = []
    for number, (key, value) in enumerate(records):
        if number % size == 0:
            ticks.append(defaultdict(client.create_batch))
        batch = ticks[-1][partition_of(key, PARTITIONS)]
        if batch.append(timestamp=None, key=key, value=value) is None:
            raise LaurelError(f"{size} events are too many for the batches of one tick: lower the rate")
    for batch in (batch for tick in ticks for batch in tick.values()):
        batch.close()
    return ticks


async def _see_outcomes(settings: Settings, watched: Watched, starts: Positions) -> None:
    """A reader of committed records: what it gets, anybody can read."""
    async with consumer(settings.kafka) as client:
        reader = Reader(client, starts)
        while True:
            for batch in await reader.poll():
                at_ms, place = time.time() * 1000, (batch.topic, batch.partition)
                watched.seen.extend(
                    Seen(place, each.offset, at_ms, each.timestamp, each.value or b"") for each in batch.records
                )


async def _see_rows(settings: Settings, watched: Watched) -> None:
    """A session that looks at the projection's positions: they commit in the transaction of the rows."""
    ends: dict[int, int] = {}
    topic = settings.names.outcomes
    async with await connect_async(settings.database, "latency") as connection:
        while True:
            cursor = await connection.execute(POSITIONS, [ROWS, topic])
            now: dict[int, int] = dict(await cursor.fetchall())
            at_ms = time.time() * 1000
            moved = {partition: end for partition, end in now.items() if ends.get(partition) != end}
            watched.shown.extend(Shown((topic, partition), end, at_ms) for partition, end in moved.items())
            ends = now
            await asyncio.sleep(LOOK_S)


async def _settled(settings: Settings, ends: Positions, watched: Watched) -> None:
    """Until all events up to these ends are folded and committed, and all of their outcomes are rows.

    Raises: LaurelError.
    """
    async with group_positions(settings.kafka, settings.names.processor) as group:

        async def folded() -> bool:
            return all(at >= ends[place] for place, at in (await group.committed(ends)).items())

        await _until(folded, "the processor did not commit every event")
    due = await last_stable_offsets(settings.kafka, _outcomes(settings))

    async def shown() -> bool:
        return _are_shown(watched, due)

    await _until(shown, "the projector did not write every row")


async def _until(true: Callable[[], Awaitable[bool]], failure: str) -> None:
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while not await true():
        if time.monotonic() > deadline:
            raise LaurelError(f"{failure} within {SETTLE_TIMEOUT_S:.0f} s")
        await asyncio.sleep(TICK_S)


def _are_shown(watched: Watched, due: Positions) -> bool:
    reached = {each.place: each.end for each in watched.shown}
    return all(reached.get(place, 0) >= end for place, end in due.items())


def unlocks_of(watched: Watched) -> list[Unlock]:
    """Each unlock with its event, found by the evidence in it, and with the first look that showed its row."""
    appended = _by_place((each.place, each.first, each.at_ms) for each in watched.appended)
    shown = _by_place((each.place, each.end, each.at_ms) for each in watched.shown)
    return [_unlock(each, appended, shown) for each in watched.seen]


Steps = Mapping[Place, tuple[list[int], list[float]]]


def _by_place(found: Iterable[tuple[Place, int, float]]) -> Steps:
    """Offsets and moments of each partition, by offset."""
    steps: dict[Place, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for place, offset, at_ms in sorted(found):
        steps[place][0].append(offset)
        steps[place][1].append(at_ms)
    return steps


def _unlock(seen: Seen, appended: Steps, shown: Steps) -> Unlock:
    evidence = decode_outcome(seen.value).data.evidence
    firsts, moments = appended[evidence.topic, evidence.partition]
    event_at_ms = moments[bisect_right(firsts, evidence.offset) - 1]
    ends, looks = shown[seen.place]
    row_at_ms = looks[bisect_right(ends, seen.offset)]
    return Unlock(
        int(event_at_ms), seen.appended_ms - event_at_ms, seen.at_ms - event_at_ms, row_at_ms - event_at_ms
    )


def report(unlocks: list[Unlock], late_s: list[float], warm_up_s: float) -> dict[str, Any]:
    """Milliseconds, of all unlocks and of those whose event came after the warm-up."""
    began = min(each.event_at_ms for each in unlocks)
    late = _shares([each * 1000 for each in late_s])
    steady = [each for each in unlocks if each.event_at_ms - began >= warm_up_s * 1000]
    return {
        "unlocks": len(unlocks),
        "warm_up_s": warm_up_s,
        "all": _latencies(unlocks),
        "steady": _latencies(steady),
        "publisher_late_ms": late,
        "rate_kept": late["p99"] <= LATE_MS_MAX,
    }


def _latencies(unlocks: list[Unlock]) -> dict[str, dict[str, float]]:
    return {
        "written_ms": _shares([each.written for each in unlocks]),
        "readable_ms": _shares([each.readable for each in unlocks]),
        "row_ms": _shares([each.row for each in unlocks]),
    }


def _shares(figures: list[float]) -> dict[str, float]:
    return {name: round(percentile(figures, share), 1) for name, share in SHARES.items()}
