"""`laurel bench latency`: how long an unlock takes at a steady rate, everything on two cores."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from bench.document import markdown_table, where_and_when, write_between
from bench.latency import Plan, measure
from cli.benches.machine import job_file, require_two_cores, say
from cli.benches.processor import AsJson, Job, Users, Write

MEANINGS = {
    "written_ms": "outcome appended, its transaction still open",
    "readable_ms": "unlock readable (read committed)",
    "row_ms": "row visible in Postgres",
}


def latency(
    rate: Annotated[int, typer.Option(min=100, help="Events a second.")] = 10_000,
    seconds: Annotated[int, typer.Option(min=1, help="For so long.")] = 60,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds that are told apart, at the start.")] = 10,
    history: Annotated[int, typer.Option(min=0, help="Events that are folded and shown before.")] = 1_000_000,
    users: Users = 50_000,
    job: Job = "small",
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """From an event's append to the unlock and to the row; broker, Postgres, worker and projector on two cores."""
    require_two_cores()
    plan = Plan(history, rate, seconds, users, warm_up)
    measured = measure(job_file(job), plan, say)
    text = _text(measured, plan)
    if write:
        write_between(write, "laurel bench latency", text)
    print(json.dumps({**plan._asdict(), **measured}) if as_json else text)


def _text(measured: dict[str, Any], plan: Plan) -> str:
    late = measured["publisher_late_ms"]
    rows = [
        [MEANINGS[moment], when, *(f"{figure:.0f}" for figure in shares.values())]
        for when, told in (("all", measured["all"]), (f"after {measured['warm_up_s']:g} s", measured["steady"]))
        for moment, shares in told.items()
    ]
    kept = "" if measured["rate_kept"] else "The rate was not kept, so this counts for nothing. "
    busy = ", ".join(f"{name} {cores:.2f}" for name, cores in measured["cores_busy"].items())
    table = markdown_table(["ms after the event's append", "of the run", "p50", "p90", "p99", "max"], rows)
    return (
        f"{where_and_when()}{plan.rate:,} events/s for {plan.seconds} s over {plan.users:,} users who have "
        f"{plan.history:,} events behind them: {measured['unlocks']:,} unlocks; the publisher was late by "
        f"{late['p99']:.0f} ms at p99. {kept}Cores kept busy: {busy}.\n\n{table}"
    )
