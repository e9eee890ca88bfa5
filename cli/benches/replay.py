"""`laurel bench replay`: how long it takes until everybody has what they earned before."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import replay as sweeping
from bench import under_load as loading
from bench.document import markdown_table, where_and_when, write_between
from bench.load import Load
from bench.oracle import expected
from bench.under_load import Plan
from cli.benches.machine import cache_folder, require_two_cores, say
from cli.benches.processor import AsJson, Users, Write

LOADED_USERS = 50_000

DOUBTS = {
    "rate_kept": " The rate was not kept, so this counts for nothing.",
    "carried": " The worker was behind before the replay: this machine does not carry the rate with all of it.",
}

Sweep = dict[str, Any]

LINES: dict[str, Callable[[Sweep], str]] = {
    "seconds from the command to done": lambda of: f"{of['seconds']:.1f}",
    "the last award in Postgres, seconds after that": lambda of: f"{of['awards_after_done_s']:.1f}",
    "the last of how far people are, seconds after that": lambda of: f"{of['rows_after_done_s']:.1f}",
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
    under_load: Annotated[
        int | None, typer.Option(min=100, help="Instead: how live unlocks fare at so many events a second.")
    ] = None,
    history: Annotated[int, typer.Option(min=1000, help="Of --under-load: events before it.")] = 1_000_000,
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """New achievements over metrics that users have: planned, swept, and held against the plan and the oracle.

    Broker, Postgres, worker, projector and job on two cores. Exit code 1: something is wrong, or the plan was off
    by more than a tenth. With --under-load: what live unlocks wait for before, during and after a replay that folds
    the past of new metrics aside.
    """
    require_two_cores()
    if under_load:
        _measure_under_load(Plan(under_load, min(users, LOADED_USERS), history), write, as_json)
        return
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
    few, *most = sweeps  # the aim is of looking at everybody; where most win, it is of telling and storing it
    aim = [f"within {sweeping.SECONDS_ASKED:.0f} s, the aim where few win", "yes" if few["in_time"] else "no"]
    rows[1:1] = [
        [*aim, *("" for _ in most)],
        *(
            [f"of these: {name}", *(f"{each['phases_s'][name]:.1f}" for each in sweeps)]
            for name in sweeps[0]["phases_s"]
        ),
    ]
    rows.append(
        ["outputs equal the oracle's", *(["yes" if measured["correct"] else "; ".join(measured["faults"])] * 2)]
    )
    head = ("", *(each["achievement"] for each in sweeps))
    of = (
        f"{measured['users']:,} users with {measured['events']:,} events behind them, which took "
        f"{measured['prepared_s']:.0f} s to prepare."
    )
    return f"{where_and_when()}{of}\n\n{markdown_table(head, rows)}"


def _measure_under_load(plan: Plan, write: Path | None, as_json: bool) -> None:
    """Raises: typer.Exit when what came out is wrong."""
    measured = loading.measure(plan, say)
    if write:
        write_between(write, "laurel bench replay --under-load", loaded_text(measured))
    print(json.dumps(measured) if as_json else loaded_text(measured))
    if not measured["correct"]:
        raise typer.Exit(1)


def loaded_text(measured: dict[str, Any]) -> str:
    rows = [
        [when, f"{part['unlocks']:,}", f"{part['p50_ms']:,.0f}", f"{part['p99_ms']:,.0f}", f"{part['lag_max']:,}"]
        for when, part in measured["parts"].items()
    ]
    kept = "".join(word for known, word in DOUBTS.items() if not measured[known])
    right = "yes" if measured["correct"] else "; ".join(measured["faults"])
    head = ("the replay", "live unlocks", "p50 ms", "p99 ms", "records behind, most")
    return (
        f"{where_and_when()}{measured['rate']:,} events/s over {measured['users']:,} users, {measured['events']:,} "
        f"events in all; the publisher was late by {measured['publisher_late_ms']:,} ms at p99.{kept} The replay "
        f"took {measured['replay_s']:,.0f} s, kept {measured['job_cores']:.2f} cores busy and held at most "
        f"{measured['job_mb']:,} MB; p99 during it is {measured['p99_times']:.2f} times that before, at most "
        f"{loading.TIMES_ASKED:g} is the aim. Outputs equal the oracle's: {right}.\n\n"
        f"{markdown_table(head, rows)}"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,}" for count in counts.values())
