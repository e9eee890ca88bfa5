"""`laurel demo`: the whole path on this machine, shown at work and held against the reference.

What takes time to import is imported while Kafka and Postgres start.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.catalog_files import catalog_file
from cli.stack import LocalStack
from schemas.errors import Precondition

if TYPE_CHECKING:
    from cli.demonstration import Activity, Outcome

DIFFERENT, SOME_REFUSED = 5, 3


def command(
    catalog: Annotated[
        list[str] | None, typer.Option("--catalog", metavar="FILE", help="A path or a bundled name; repeatable.")
    ] = None,
    events: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON lines of CloudEvents, .gz too; `-` is stdin.")
    ] = None,
    git: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The history of this repository instead.")
    ] = None,
    awards_out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the awards in Postgres, as `laurel awards export`.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=8, help="How many processors share the work.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="The summary as one JSON line.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data, for `laurel dev --data-dir`.")] = False,
) -> None:
    """Run Kafka, Postgres, a processor and a projector, publish a year of activity, and check every award.

    Exit code 0 only when the awards and metrics in Postgres equal those of a plain reference fold of the same
    events, 5 when they differ; 3 when lines of the file were bad, and the rest is equal.
    """
    if events is not None and git is not None:
        raise typer.BadParameter("give either --events or --git, not both")
    refuse_missing(events, git)
    started = time.monotonic()
    importing = threading.Thread(target=importlib.import_module, args=["cli.demonstration"], daemon=True)
    importing.start()
    catalogs = catalog or ["git" if git else "trackflow"]
    files = [catalog_file(named) for named in catalogs]
    folder = Path(tempfile.mkdtemp(prefix="laurel-demo-")) if keep else None
    say("starting Kafka and Postgres")
    with LocalStack(folder, ephemeral=not keep) as stack:
        importing.join()
        from cli import demonstration

        say("making topics, catalog and read models")
        stage = demonstration.set_up(stack, files, workers)
        say("publishing")
        outcome = demonstration.demonstrate(stage, files, activity(catalogs, events, git), awards_out, started)
        tell(outcome, as_json, folder)
    raise typer.Exit(exit_code(outcome))


def say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def refuse_missing(events: str | None, git: Path | None) -> None:
    """Now, rather than when everything runs. Raises: Precondition, LaurelError."""
    if git is not None:
        from cli.git_history import check_repository

        check_repository(os.fspath(git))
    if events not in (None, "-") and not Path(events or "").is_file():
        raise Precondition(f"there is no file '{events}': give JSON lines of CloudEvents, or - for stdin")


def activity(catalogs: list[str], events: str | None, git: Path | None) -> Activity:
    from cli.demonstration import Activity
    from cli.event_files import in_pieces, lines_of
    from cli.git_history import events_of
    from cli.samples import sample_lines, sampled

    if git is not None:
        return Activity(f"history of {git}", in_pieces(json.dumps(event).encode() for event in events_of(git)))
    if events is not None:
        return Activity(events, lines_of(events))
    products = sampled(catalogs)
    return Activity(f"sample of {' and '.join(products)}", in_pieces(sample_lines(products)))


def tell(outcome: Outcome, as_json: bool, folder: Path | None) -> None:
    if folder is not None:
        print(f"the data is kept: ./laurel dev --data-dir {folder}", file=sys.stderr)
    if as_json:
        print(json.dumps(outcome.told, ensure_ascii=False), flush=True)
    else:
        print(summary(outcome))


def summary(outcome: Outcome) -> str:
    told = outcome.told
    first = f"first unlock after {told['first_unlock_s']} s" if told["first_unlock_s"] else "nothing was unlocked"
    lines = [
        "",
        f"{told['events']:,} events, {told['awards']:,} awards, {told['points']:,} points; {first}",
        *(
            f"  {user['user']}: {user['events']:,} events, {user['awards']} awards, {user['points']:,} points"
            for user in told["busiest"]
        ),
        *outcome.differences,
        f"{told['bad_lines']:,} bad lines left out" if told["bad_lines"] else "",
        "Postgres equals the reference fold" if told["equal"] else "Postgres DIFFERS from the reference fold",
    ]
    return "\n".join(line for line in lines if line)


def exit_code(outcome: Outcome) -> int:
    if outcome.differences:
        return DIFFERENT
    return SOME_REFUSED if outcome.published.bad_lines else 0
