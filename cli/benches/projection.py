"""`laurel bench projection`: what an unlock, and a state, costs the projector and Postgres."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from bench import projection
from bench.document import markdown_table, where_and_when, write_between
from cli.benches.machine import job_file, require_two_cores, say
from cli.benches.processor import Write

Summary = dict[str, Any]

LINES: dict[str, Callable[[Summary], str]] = {
    "records": lambda of: f"{of['records']:,}",
    "rows they come to": lambda of: f"{of['rows']:,}",
    "records/s": lambda of: f"{of['records_per_s']:,}",
    "records/s, least and most": lambda of: "{min:,}–{max:,}".format(**of["records_per_s_spread"]),
    "rows/s": lambda of: f"{of['rows_per_s']:,}",
    "CPU s of the projector, per million records": lambda of: f"{of['client_cpu_s_per_million']:.1f}",
    "CPU s of Postgres, per million records": lambda of: f"{of['server_cpu_s_per_million']:.1f}",
    "CPU s of Kafka, per million records": lambda of: f"{of['broker_cpu_s_per_million']:.1f}",
    "peak MB of the projector": lambda of: str(of["peak_rss_mb"]),
    "every row right": lambda of: "yes" if of["correct"] else "; ".join(of["faults"]),
}


def measure(
    records: Annotated[
        int, typer.Option(min=1000, help="How many outcomes, and how many states, are published.")
    ] = 200_000,
    job: Annotated[str, typer.Option(help="A job of bench/jobs: full or small.")] = "full",
    runs: Annotated[int, typer.Option(min=1, help="Measure so often; the median, least and most are told.")] = 1,
    write: Write = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Unlocks into all their read models and the queue, into one of them alone, and states into progress."""
    path = job_file(job)
    require_two_cores()
    measured = []
    for run in range(1, runs + 1):
        measured += projection.measure(path, records, projection.SUBJECTS, _teller(run, runs))
    summaries = [projection.summary(measured, subject) for subject in projection.SUBJECTS]
    text = _text(summaries)
    if write:
        write_between(write, "laurel bench projection", text)
    print(json.dumps({summary["subject"]: summary for summary in summaries}) if as_json else text)
    if not all(each.correct for each in measured):
        raise typer.Exit(1)


def _teller(run: int, runs: int) -> Callable[[str], None]:
    return lambda what: say(f"run {run} of {runs}: {what}")


def _text(summaries: list[Summary]) -> str:
    runs = f"The median of {summaries[0]['runs']} runs by speed.\n"
    rows = [[line, *map(cell, summaries)] for line, cell in LINES.items()]
    return f"{where_and_when()}{runs}\n{markdown_table(('', *(summary['what'] for summary in summaries)), rows)}"
