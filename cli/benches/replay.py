"""`laurel bench replay`: how long it takes until everybody has what they earned before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from bench import replay as sweeping
from bench.document import markdown_table, where_and_when, write_between
from bench.load import Load
from bench.oracle import expected
from cli.benches.machine import cache_folder, require_two_cores, say
from cli.benches.processor import AsJson, Users, Write

Sweep = dict[str, Any]

LINES: dict[str, Callable[[Sweep], str]] = {
    "seconds from the command to done": lambda of: f"{of['seconds']:.1f}",
    "the last row in Postgres, seconds after that": lambda of: f"{of['rows_after_done_s']:.1f}",
    "users who gain it": lambda of: f"{of['happened']['users']:,}",
    "the plan said users, awards, notices": lambda of: _counts(of["planned"]),
    "it came to": lambda of: _counts(of["happened"]),
    "seconds the plan took": lambda of: f"{of['planned_in_s']:.1f}",
    "CPU seconds": lambda of: ", ".join(f"{name} {spent:.1f}" for name, spent in of["cpu_s"].items()),
    "peak MB": lambda of: ", ".join(f"{name} {of['peak_mb'][name]}" for name in ("job", "worker")),
}


def replay(
    users: Users = 1_000_000,
    events: Annotated[int, typer.Option(min=1, help="So many events each user has behind them.")] = 5,
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """New achievements over metrics that users have: planned, swept, and held against the plan and the oracle.

    Broker, Postgres, worker, projector and job on two cores. Exit code 1: something is wrong, or the plan was off
    by more than a tenth.
    """
    require_two_cores()
    load = Load(users * events, users)
    say(f"the oracle folds {load.events:,} events, unless it knows them")
    measured = sweeping.measure(load, expected(sweeping.JOB, load, cache_folder()), say)
    if write:
        write_between(write, "laurel bench replay", text(measured))
    print(json.dumps(measured) if as_json else text(measured))
    if not measured["correct"] or not all(each["plan_holds"] for each in measured["sweeps"]):
        raise typer.Exit(1)


def text(measured: dict[str, Any]) -> str:
    sweeps: Sequence[Sweep] = measured["sweeps"]
    rows = [[line, *map(cell, sweeps)] for line, cell in LINES.items()]
    rows[1:1] = [
        [f"of these: {name}", *(f"{each['phases_s'][name]:.1f}" for each in sweeps)]
        for name in sweeps[0]["phases_s"]
    ]
    rows.append(
        ["outputs equal the oracle's", *(["yes" if measured["correct"] else "; ".join(measured["faults"])] * 2)]
    )
    head = ("", *(each["achievement"] for each in sweeps))
    of = f"{measured['users']:,} users with {measured['events']:,} events behind them."
    return f"{where_and_when()}{of}\n\n{markdown_table(head, rows)}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,}" for count in counts.values())
