"""`laurel bench language`: what a catalog with every word of the language costs beside the full job."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bench.document import markdown_table, where_and_when, write_between
from bench.language import Cost, Ratio, measure
from bench.load import Load
from cli.benches.machine import say
from cli.benches.processor import AsJson, Events, Write

HEAD = ("catalog", "µs per event", "outcomes per event", "equals the reference")


def language(
    events: Events = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often all records are folded.")] = 5,
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """The fold alone, in this process: the full job and the whole language over the same events, in turns."""
    costs, ratio = measure(Load(events, users=max(1, events // 100)), rounds, say)
    text = f"{where_and_when()}\n{markdown_table(HEAD, map(_row, costs))}\n{_said(ratio)}\n"
    if write:
        write_between(write, "laurel bench language", text)
    summary = {"catalogs": [cost._asdict() for cost in costs], "ratio": ratio._asdict()}
    print(json.dumps(summary) if as_json else text)
    if not all(cost.correct for cost in costs):
        raise typer.Exit(1)


def _row(cost: Cost) -> list[str]:
    correct = "yes" if cost.correct else "no"
    return [cost.catalog, f"{cost.us_per_event:.2f}", f"{cost.outcomes_per_event:.3f}", correct]


def _said(ratio: Ratio) -> str:
    return (
        f"The whole language is folded at {ratio.median:.2f} of the full job's speed: the median of all stretches\n"
        f"between two cuts, of which the slowest came to {ratio.least:.2f} and the fastest to {ratio.most:.2f}."
    )
