"""`laurel bench scan`: what it costs a replay to find the events of one type in the log."""

from __future__ import annotations

import json
import os

import typer

from bench.document import markdown_table, where_and_when, write_between
from bench.load import Load
from bench.scan import measure
from cli.benches.machine import require_two_cores, say
from cli.benches.processor import AsJson, Events, Users, Write


def scan(events: Events = 1_000_000, users: Users = 50_000, write: Write = None, as_json: AsJson = False) -> None:
    """One type of five, then one that nobody sends: one core scans, the broker has another."""
    require_two_cores()
    measured = measure(Load(events, users), say)
    rows = [[str(figure) for figure in each.values()] for each in measured]
    head = [name.replace("_", " ") for name in measured[0]]
    text = f"{where_and_when()}Load average {os.getloadavg()[0]:.1f}.\n\n{markdown_table(head, rows)}"
    if write:
        write_between(write, "laurel bench scan", text)
    print(json.dumps({"scans": measured}) if as_json else text)
    if not all(each["correct"] for each in measured):
        raise typer.Exit(1)
