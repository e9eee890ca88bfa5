"""`laurel bench projection`: what an unlock, and a state, costs the projector and Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench import projection
from cli.benches.machine import job_file, require_two_cores, say

Summary = dict[str, Any]

LINES: dict[str, Callable[[Summary], str]] = {
    "records": lambda of: f"{of['records']:,}",
    "records/s": lambda of: f"{of['records_per_s']:,}",
    "least, most": lambda of: f"{of['records_per_s_spread']['min']:,}, {of['records_per_s_spread']['max']:,}",
    "rows": lambda of: f"{of['rows']:,}",
    "rows/s": lambda of: f"{of['rows_per_s']:,}",
    "projector's CPU s": lambda of: f"{of['client_cpu_s_per_million']:.1f}",
    "Postgres's CPU s": lambda of: f"{of['server_cpu_s_per_million']:.1f}",
    "projector's peak MB": lambda of: str(of["peak_rss_mb"]),
    "correct": lambda of: "yes" if of["correct"] else "; ".join(of["faults"]),
}


def measure(
    records: Annotated[
        int, typer.Option(min=1000, help="How many outcomes, and how many states, are published.")
    ] = 200_000,
    job: Annotated[str, typer.Option(help="A job of bench/jobs: full or small.")] = "full",
    runs: Annotated[int, typer.Option(min=1, help="Measure so often; the median, least and most are told.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Unlocks into all their read models and the queue, into one of them alone, and states into progress."""
    path = job_file(job)
    require_two_cores()
    measured = []
    for run in range(1, runs + 1):
        measured += projection.measure(path, records, projection.SUBJECTS, _teller(run, runs))
    _report([projection.summary(measured, subject) for subject in projection.SUBJECTS], as_json)
    if not all(each.correct for each in measured):
        raise typer.Exit(1)


def _teller(run: int, runs: int) -> Callable[[str], None]:
    return lambda what: say(f"run {run} of {runs}: {what}")


def _report(summaries: list[Summary], as_json: bool) -> None:
    if as_json:
        print(json.dumps({summary["subject"]: summary for summary in summaries}))
        return
    for summary in summaries:
        print(f"{summary['subject']}: {summary['what']}")
    table = Table("", *(summary["subject"] for summary in summaries))
    for line, cell in LINES.items():
        table.add_row(line, *map(cell, summaries))
    Console().print(table)
    print("Of the median run; CPU seconds are per million records.")
