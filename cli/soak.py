"""`laurel soak`: the whole pipeline under random faults, and the invariants at the end. For real, or simulated."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.document import around, write_between
from cli.faults import replay_report as replay_reports
from cli.faults import report as reports
from cli.faults.replay_soak import Shape, soak_replays
from cli.faults.soak import soak
from cli.output import print_json
from cli.simulated_soak import soak_simulated

BROKEN = 5
REPLAYS = "laurel soak --replays"


def command(
    minutes: Annotated[float, typer.Option(min=0.5, help="How long faults go on.")] = 10,
    seed: Annotated[int, typer.Option(help="Draws the load and the faults; of simulations, the first seed.")] = 1,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="In memory and on a virtual clock, a deployment for each seed.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="How many simulations.")] = 10_000,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result into this Markdown file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
    replays: Annotated[
        bool, typer.Option("--replays", help="Replays under load, whose job, processor and projector are killed.")
    ] = False,
    rate: Annotated[int, typer.Option(min=100, help="Of --replays: events a second.")] = 20_000,
    users: Annotated[int, typer.Option(min=1000, help="Of --replays: users.")] = 50_000,
    history: Annotated[int, typer.Option(min=1000, help="Of --replays: events before the first.")] = 500_000,
) -> None:
    """Kill, freeze, cut and starve a pipeline under load, then hold it against the reference.

    It has a Kafka and a Postgres of its own. With --replays it takes as long as these take, whatever the minutes.
    Exit code 5: an invariant does not hold.
    """
    if simulated:
        raise typer.Exit(0 if soak_simulated(seed, seeds, as_json) else BROKEN)
    if replays:
        raise typer.Exit(0 if _soaked(Shape(rate, users, history), report, as_json) else BROKEN)
    found = soak(minutes, seed, say)
    if report is not None:
        reports.write(found, report)
    if as_json:
        print_json(reports.told(found))
    else:
        print("\n".join(reports.lines(found)))
    if not found.holds:
        raise typer.Exit(BROKEN)


def _soaked(shape: Shape, file: Path | None, as_json: bool) -> bool:
    """Whether all invariants of replays hold."""
    if file is not None:
        around(file, REPLAYS)  # rather now than when there is a result to lose
    found = soak_replays(shape, say)
    if file is not None:
        write_between(file, REPLAYS, replay_reports.markdown(found))
    if as_json:
        print_json(replay_reports.told(found))
    else:
        print("\n".join(replay_reports.lines(found)))
    return found.holds


def say(**figures: Any) -> None:
    print(json.dumps({"progress": "soak", **figures}), file=sys.stderr, flush=True)
