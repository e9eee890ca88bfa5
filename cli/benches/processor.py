"""`laurel bench run` and `quick`: what an event costs the processor."""

from __future__ import annotations

import json
from collections.abc import Callable
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.load import Load
from bench.run import Measured, measure
from cli.benches.machine import cache_folder, job_file, require_two_cores, say


def quick(
    events: Annotated[int, typer.Option(min=1000, help="How many events are published.")] = 1_000_000,
    users: Annotated[int, typer.Option(min=1, help="How many users they are spread over.")] = 50_000,
    job: Annotated[str, typer.Option(help="A job of bench/jobs: full or small.")] = "full",
    runs: Annotated[int, typer.Option(min=1, help="Measure so often; the median, least and most are told.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """The processor alone on one core, the broker on another: changelog, outcomes and transactions as shipped."""
    _measure(job, Load(events, users), runs, as_json)


def _measure(job: str, load: Load, runs: int, as_json: bool) -> None:
    path = job_file(job)
    require_two_cores()
    measured = []
    for run in range(1, runs + 1):
        measured.append(measure(path, load, cache_folder(), _teller(run, runs)))
    _report(measured, as_json)
    if not all(each.correct for each in measured):
        raise typer.Exit(1)


def _teller(run: int, runs: int) -> Callable[[str], None]:
    return lambda what: say(f"run {run} of {runs}: {what}")


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
