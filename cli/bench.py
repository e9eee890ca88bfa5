"""`laurel bench`: what the processor costs, on a real broker, counted only when the outputs are right."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.load import Load
from bench.run import Measured, measure
from schemas.errors import LaurelError

app = typer.Typer(help="Measure the processor.", no_args_is_help=True)
JOBS = Path(__file__).parent.parent / "bench" / "jobs"
CORES_MIN = 2


@app.callback()
def _group() -> None: ...


@app.command()
def quick(
    events: Annotated[int, typer.Option(min=1000, help="How many events are published.")] = 1_000_000,
    users: Annotated[int, typer.Option(min=1, help="How many users they are spread over.")] = 50_000,
    job: Annotated[str, typer.Option(help="A job of bench/jobs: full or small.")] = "full",
    runs: Annotated[int, typer.Option(min=1, help="Measure so often; the median, least and most are told.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """The processor alone on one core, the broker on another: changelog, outcomes and transactions as shipped."""
    path = JOBS / f"{job}.yaml"
    _refuse_the_impossible(path)
    measured = []
    for run in range(1, runs + 1):
        measured.append(measure(path, Load(events, users), _cache(), lambda what, run=run: _say(run, runs, what)))  # type: ignore[misc]
    _report(measured, as_json)
    if not all(each.correct for each in measured):
        raise typer.Exit(1)


def _refuse_the_impossible(job: Path) -> None:
    if not job.exists():
        raise LaurelError(f"there is no job '{job.stem}': choose one of {', '.join(_jobs())}")
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < CORES_MIN:
        raise LaurelError("a measurement needs Linux and two cores, one for the broker and one for the worker")


def _jobs() -> list[str]:
    return sorted(path.stem for path in JOBS.glob("*.yaml"))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laurel" / "bench"


def _say(run: int, runs: int, what: str) -> None:
    print(f"run {run} of {runs}: {what} …", file=sys.stderr, flush=True)


def _report(measured: list[Measured], as_json: bool) -> None:
    by_cost = sorted(measured, key=lambda each: each.cpu_s_per_million)
    middle = by_cost[len(by_cost) // 2]
    if as_json:
        costs = [each.cpu_s_per_million for each in by_cost]
        spread = {"min": costs[0], "median": median(costs), "max": costs[-1]}
        correct = all(each.correct for each in measured)
        print(json.dumps({**middle._asdict(), "correct": correct, "runs": len(measured), "cpu_s_spread": spread}))
        return
    table = Table("run", "CPU-s per million", "events/s/core", "wall s", "peak MB", "correct")
    for number, each in enumerate(measured, start=1):
        table.add_row(
            str(number),
            f"{each.cpu_s_per_million:.2f}",
            f"{each.events_per_s_per_core:,}",
            f"{each.wall_s:.1f}",
            str(each.peak_rss_mb),
            "yes" if each.correct else "; ".join(each.faults),
        )
    Console().print(table)
