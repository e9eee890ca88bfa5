"""One run of an engine on the stage: what it cost, and whether it counts, which the oracle says."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol

from bench.draining import Done, Drained, drain
from bench.oracle import is_award
from bench.outputs import differences
from bench.stage import BROKER_CORE, Say, Stage, on_core
from bench.worker import Worker
from cli.stack.child import Child


class Engine(Protocol):
    """Something that drains the load and writes awards."""

    @property
    def name(self) -> str: ...
    def prepare(self, stage: Stage) -> None: ...
    def start(self, stage: Stage) -> Child: ...
    def progress(self, stage: Stage) -> AbstractAsyncContextManager[Done]: ...
    def stop(self, child: Child) -> None: ...
    def wanted(self, lines: list[str]) -> list[str]: ...
    async def lines(self, stage: Stage) -> list[str]: ...


class Cost(NamedTuple):
    """What a run cost. It counts only when `correct`: its outputs equal the oracle's, no award twice.

    Units: CPU of all the engine's processes and threads, in seconds per million events. `cpu_s_per_million` is
    everything from the start of the process to its last event, its start-up included; `sustained` leaves the first
    20 % of the events away, and with them the start-up; `steady` the last 10 % too, so that as much is folded and
    not committed yet at its end as at its beginning. wall_s, from the first progress seen to the last event.
    """

    engine: str
    cpu_s_per_million: float
    sustained_cpu_s_per_million: float
    steady_cpu_s_per_million: float
    events_per_s_per_core: int
    sustained_events_per_s_per_core: int
    wall_s: float
    peak_rss_mb: int
    correct: bool
    awards: int
    faults: list[str]


def run(engine: Engine, stage: Stage, lines: list[str], say: Say) -> Cost:
    """Let an engine drain the load once, alone, and compare what it wrote. Raises: LaurelError."""
    engine.prepare(stage)
    say(f"{engine.name} drains the topic")
    child = engine.start(stage)
    try:
        with on_core(BROKER_CORE):  # whoever watches is no burden of the engine's
            drained = asyncio.run(_drain(engine, stage, child))
        engine.stop(child)
    finally:
        child.kill()
    say("comparing with the oracle")
    found = asyncio.run(engine.lines(stage))
    return _cost(engine.name, drained, stage.load.events, found, differences(engine.wanted(lines), found))


async def _drain(engine: Engine, stage: Stage, child: Child) -> Drained:
    async with engine.progress(stage) as done:
        return await drain(child, done, stage.load.events)


def _cost(name: str, drained: Drained, events: int, found: list[str], faults: list[str]) -> Cost:
    return Cost(
        engine=name,
        cpu_s_per_million=round(drained.cpu_s * 1e6 / events, 3),
        sustained_cpu_s_per_million=round(drained.sustained_cpu_s * 1e6 / events, 3),
        steady_cpu_s_per_million=round(drained.steady_cpu_s * 1e6 / events, 3),
        events_per_s_per_core=round(events / drained.cpu_s),
        sustained_events_per_s_per_core=round(events / drained.sustained_cpu_s),
        wall_s=round(drained.wall_s, 2),
        peak_rss_mb=drained.peak_rss_mb,
        correct=not faults,
        awards=sum(map(is_award, found)),
        faults=faults,
    )


def run_worker(worker: Worker, stage: Stage, lines: list[str], say: Say) -> dict[str, Any]:
    """A run of ours, with where the time went: in seconds per million events."""
    cost = run(worker, stage, lines, say)
    say("decoding once more, to know its share")
    told, million = worker.told(stage), stage.load.events / 1e6
    seconds = {**told["seconds"], "decode": told["decode_s"]}
    seconds["fold"] -= seconds["decode"]  # it decodes what it folds
    return {
        **cost._asdict(),
        "settings": {name: value for name, value in os.environ.items() if name.startswith("LAUREL_CHECKPOINT")},
        "starting_cpu_s": told["starting_cpu_s"],
        "checkpoint_ms": told["checkpoint_ms"],
        "breakdown": {what: round(spent / million, 3) for what, spent in seconds.items()},
        "per_event": {what: round(count / stage.load.events, 4) for what, count in told["counts"].items()},
    }
