"""One run of a job: a real broker on one core, the worker on another, and an oracle that says whether it counts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import TOPIC, Load, values
from bench.oracle import expected
from bench.outputs import read_outputs
from broker.catalogs import read_program, submit
from broker.connections import producer
from broker.positions import GroupPositions, Place, Positions, group_positions
from broker.producing import Outgoing, Publisher
from broker.topics import create_topics, wanted_topics
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.kafka import BENCH
from processor.evaluator.compile import compile_catalog
from schemas.errors import LaurelError
from schemas.topics import Names

BROKER_CORE, WORKER_CORE = 0, 1
PARTITIONS = 8
DRAIN_TIMEOUT_S = 900.0
STOP_TIMEOUT_S = 30.0
NAMES = Names("bench")

Say = Callable[[str], None]


class Measured(NamedTuple):
    """What a run cost.

    Units: CPU of the worker process, all its threads, from its first fold to its end; wall from the first look at
    its positions to the last. It counts only when `correct`: its outputs equal the oracle's, no award twice.
    """

    cpu_s_per_million: float
    events_per_s_per_core: int
    wall_s: float
    peak_rss_mb: int
    correct: bool
    awards: int
    breakdown: dict[str, float]
    faults: list[str]


def measure(job: Path, load: Load, cache: Path, say: Say) -> Measured:
    """Run a job once, in a stack of its own."""
    say(f"the oracle folds {load.events:,} events")
    lines = expected(job, load, cache)
    environ = {**os.environ, "LAUREL_POSTGRES": "not used here"}
    environ.pop("LAUREL_KAFKA", None)
    with LocalStack(ephemeral=True, kafka_flags=BENCH, kafka_core=BROKER_CORE, environ=environ) as stack:
        say("publishing")
        ends = asyncio.run(_prepare(stack.kafka, job.read_text(), load))
        profile = stack.data_dir / "profile.jsonl"
        say("the worker drains the topic")
        worker = _start_worker(stack, profile)
        wall_s = asyncio.run(_drained(stack.kafka, ends, worker))
        _stop(worker)
        say("comparing with the oracle")
        awards, faults = asyncio.run(_compare(stack.kafka, lines))
        return _measured(json.loads(profile.read_text().splitlines()[-1]), load, wall_s, awards, faults)


async def _prepare(bootstrap: str, job: str, load: Load) -> Positions:
    """Topics, the catalog, and the whole load published; returns where its partitions end."""
    await create_topics(bootstrap, wanted_topics(NAMES, [TOPIC], PARTITIONS))
    await submit(bootstrap, NAMES, job, "job.yaml", compile_catalog)
    async with producer(bootstrap) as client:
        publisher = Publisher(client, {TOPIC: PARTITIONS})
        for key, value in values(load):
            await publisher.send(Outgoing(TOPIC, key, value))
        await publisher.flush()
    return publisher.ends


def _start_worker(stack: LocalStack, profile: Path) -> Child:
    argv = ["taskset", "-c", str(WORKER_CORE), sys.executable, "-m", "cli.main", "worker"]
    settings = {"LAUREL_KAFKA": stack.kafka, "LAUREL_NAMESPACE": NAMES.namespace, "LAUREL_PROFILE": str(profile)}
    return stack.run("worker", argv, settings, restart=False)


async def _drained(bootstrap: str, ends: Positions, worker: Child) -> float:
    """Seconds from the first committed position to the last."""
    deadline, began = time.monotonic() + DRAIN_TIMEOUT_S, None
    async with group_positions(bootstrap, NAMES.processor) as group:
        while left := await _behind(group, ends):
            if not worker.alive or time.monotonic() > deadline:
                raise LaurelError(f"the worker stopped at {left}: its log ends with\n{worker.last_lines()}")
            if began is None and left != ends:
                began = time.monotonic()
            await asyncio.sleep(0.25)
    return time.monotonic() - (began or time.monotonic())


async def _behind(group: GroupPositions, ends: Positions) -> Positions:
    committed = await group.committed(ends)
    behind: dict[Place, int] = {place: end - committed[place] for place, end in ends.items()}
    return {place: records for place, records in behind.items() if records > 0}


def _stop(worker: Child) -> None:
    os.kill(worker.pid, signal.SIGTERM)
    if not worker.wait(STOP_TIMEOUT_S):
        raise LaurelError(f"the worker did not stop within {STOP_TIMEOUT_S:.0f} s of a SIGTERM")


async def _compare(bootstrap: str, lines: list[str]) -> tuple[int, list[str]]:
    """How many awards there are, and the first differences from the oracle."""
    program = await read_program(bootstrap, NAMES)
    outputs = await read_outputs(bootstrap, NAMES, program, PARTITIONS)
    wanted, found = set(lines), set(outputs.lines)
    faults = [f"missing: {line}" for line in sorted(wanted - found)[:3]]
    faults += [f"too much: {line}" for line in sorted(found - wanted)[:3]]
    if outputs.repeated:
        faults.append(f"{outputs.repeated} awards stand in the outcomes more than once")
    return outputs.awards, faults


def _measured(profile: dict[str, Any], load: Load, wall_s: float, awards: int, faults: list[str]) -> Measured:
    per_million = 1_000_000 / load.events
    cpu_s = profile["cpu_s"] - profile["starting_cpu_s"]
    return Measured(
        cpu_s_per_million=round(cpu_s * per_million, 3),
        events_per_s_per_core=round(load.events / cpu_s),
        wall_s=round(wall_s, 2),
        peak_rss_mb=profile["peak_rss_mb"],
        correct=not faults,
        awards=awards,
        breakdown={what: round(seconds * per_million, 3) for what, seconds in profile["seconds"].items()},
        faults=faults,
    )
