"""`laurel bench run` and `quick`: what an event costs the processor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.document import markdown_table, where_and_when, write_between
from bench.load import Load
from bench.oracle import expected
from bench.run import run_worker
from bench.stage import staged
from bench.worker import Worker
from cli.benches.machine import cache_folder, job_file, require_two_cores, say

Events = Annotated[int, typer.Option(min=1000, help="How many events are published.")]
Users = Annotated[int, typer.Option(min=1, help="How many users they are spread over.")]
Job = Annotated[str, typer.Option(help="A job of bench/jobs: full or small.")]
Runs = Annotated[int, typer.Option(min=1, help="Measure so often; the median, least and most are told.")]
Zipf = Annotated[float | None, typer.Option(min=0.1, help="Draw users as unevenly as this exponent says.")]
Write = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        writable=True,
        help="Write what is measured into this document, at its markers.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="End with one JSON object.")]


def run(
    job: Job = "small",
    events: Events = 5_000_000,
    users: Users = 50_000,
    zipf: Zipf = None,
    runs: Runs = 1,
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """The processor alone on one core, the broker on another: changelog, outcomes and transactions as shipped."""
    measured = _measure(job, Load(events, users, zipf), runs, as_json)
    if write:
        marker = f"laurel bench run {job}{' zipf' if zipf else ''}"
        write_between(write, marker, _text(_summary(measured), Load(events, users, zipf)))
    _refuse_wrong(measured)


def quick(
    events: Events = 1_000_000, users: Users = 50_000, job: Job = "full", runs: Runs = 1, as_json: AsJson = False
) -> None:
    """The same with a fifth of the events; start-up and first sight of every user weigh more in it."""
    _refuse_wrong(_measure(job, Load(events, users), runs, as_json))


def _measure(job: str, load: Load, runs: int, as_json: bool) -> list[dict[str, Any]]:
    file = job_file(job)
    require_two_cores()
    say(f"the oracle folds {load.events:,} events, unless it knows them")
    lines = expected(job, load, cache_folder())
    with staged(load, say) as stage:
        measured = [run_worker(Worker(file, f"bench{number}"), stage, lines, say) for number in range(1, runs + 1)]
    _report(measured, as_json)
    return measured


def _refuse_wrong(measured: Sequence[dict[str, Any]]) -> None:
    if not all(each["correct"] for each in measured):
        raise typer.Exit(1)


def _report(measured: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(_summary(measured)))
        return
    table = Table(
        "run", "CPU-s per million", "sustained", "events/s/core", "sustained", "wall s", "peak MB", "correct"
    )
    for number, each in enumerate(measured, start=1):
        table.add_row(
            str(number),
            f"{each['cpu_s_per_million']:.2f}",
            f"{each['sustained_cpu_s_per_million']:.2f}",
            f"{each['events_per_s_per_core']:,}",
            f"{each['sustained_events_per_s_per_core']:,}",
            f"{each['wall_s']:.1f}",
            str(each["peak_rss_mb"]),
            "yes" if each["correct"] else "; ".join(each["faults"]),
        )
    Console().print(table)


def _summary(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The run in the middle by its cost, and how far the others lie from it."""
    by_cost = sorted(measured, key=lambda each: float(each["cpu_s_per_million"]))
    return {
        **by_cost[len(by_cost) // 2],
        "correct": all(each["correct"] for each in measured),
        "runs": len(measured),
        "cpu_s_spread": _spread(measured, "cpu_s_per_million"),
        "sustained_cpu_s_spread": _spread(measured, "sustained_cpu_s_per_million"),
    }


def _text(summary: dict[str, Any], load: Load) -> str:
    """The summary as a table for a document."""
    drawn = f"drawn by Zipf {load.zipf:g}" if load.zipf else "drawn alike"
    rows = [
        ("CPU-s per million events, start-up included", _shown(summary["cpu_s_spread"])),
        ("the same, sustained", _shown(summary["sustained_cpu_s_spread"])),
        ("events a second on a core, sustained", f"{summary['sustained_events_per_s_per_core']:,}"),
        ("peak memory, MB", str(summary["peak_rss_mb"])),
        ("checkpoint, ms", ", ".join(f"{name} {ms:.0f}" for name, ms in summary["checkpoint_ms"].items())),
        ("breakdown, s per million", ", ".join(f"{name} {s:.2f}" for name, s in summary["breakdown"].items())),
        ("per event", ", ".join(f"{name} {count:.3g}" for name, count in summary["per_event"].items())),
        ("outputs equal the oracle's", "yes" if summary["correct"] else "; ".join(summary["faults"])),
    ]
    of = f"{load.events:,} events, {load.users:,} users {drawn}; median (least–most)."
    return f"{where_and_when()}{of}\n\n{markdown_table(('figure', ''), rows)}"


def _shown(spread: dict[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['min']:.2f}–{spread['max']:.2f})"


def _spread(measured: Sequence[dict[str, Any]], figure: str) -> dict[str, float]:
    values = [each[figure] for each in measured]
    return {"min": min(values), "median": median(values), "max": max(values)}
