"""`laurel bench restore`: seconds until a worker has its users back, and bytes for each of them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bench.document import markdown_table, where_and_when, write_between
from bench.restore import measure
from cli.benches.machine import require_two_cores, say
from cli.benches.processor import AsJson, Users, Write


def restore(
    users: Users = 1_000_000,
    events: Annotated[int, typer.Option(min=1, help="So many events each user has behind them.")] = 20,
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """A worker on one core restores users with ten metrics; memory is counted before anybody touches them."""
    require_two_cores()
    measured = measure(users, events, say)
    rows = [[name.replace("_", " "), f"{figure:,}"] for name, figure in measured.items()]
    text = f"{where_and_when()}\n{markdown_table(('restore', ''), rows)}"
    if write:
        write_between(write, "laurel bench restore", text)
    print(json.dumps(measured) if as_json else text)
