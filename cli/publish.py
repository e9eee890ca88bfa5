"""`laurel publish`: a file of events, and on demand the wait until it is visible."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from broker.catalogs import read_program
from cli.event_files import lines_of
from cli.events import SOME_REFUSED, STDIN, LineVerdict
from cli.kafka import run
from cli.output import print_json, progress
from cli.publishing import Hear, Manner, Published, publish_lines
from cli.settings import Settings
from cli.visibility import STILL_S_MAX, wait_until_visible


def command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="JSON lines of CloudEvents, .gz too; `-` is stdin.")],
    topic: Annotated[str | None, typer.Option(help="All of it to this topic, whatever else has its types.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when all of it is visible in Postgres.")] = False,
    timeout: Annotated[
        float, typer.Option(help="Wait no longer than so many seconds without movement.")
    ] = STILL_S_MAX,
    transactional: Annotated[bool, typer.Option("--transactional", help="In transactions.")] = False,
    abort_every: Annotated[
        int, typer.Option(min=0, help="Write every n-th transaction twice, aborted the first time: tests readers.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Publish a file of events. Bad lines are told on stderr and left out; the exit code is 3 then."""
    manner = Manner(topic, transactional or abort_every > 0, abort_every)
    started = time.monotonic()
    published = run(_publish(Settings(), file, manner, timeout if wait else None))
    if as_json:
        print_json(told(published) | {"visible": wait, "seconds": round(time.monotonic() - started, 3)})
    else:
        print(summary(published) + (", visible in Postgres" if wait else ""))
    if published.bad_lines:
        raise typer.Exit(SOME_REFUSED)


def told(published: Published) -> dict[str, object]:
    return {"events": published.events, "bad_lines": published.bad_lines, "unplaced": published.unplaced}


def summary(published: Published) -> str:
    parts = [f"{published.events:,} events published"]
    if published.bad_lines:
        parts.append(f"{published.bad_lines:,} bad lines left out")
    if published.unplaced:
        parts.append(f"{published.unplaced:,} lines left out that no catalog declares (--topic publishes them)")
    return ", ".join(parts)


async def _publish(settings: Settings, file: str, manner: Manner, patience_s: float | None) -> Published:
    program = await read_program(settings.kafka, settings.names)
    with progress(f"publishing {file}") as show:
        published = await publish_lines(settings, program, lines_of(file), manner, refusals_of(file), show)
    if patience_s is not None:
        with progress("waiting until it is visible in Postgres") as show:
            await wait_until_visible(settings, published.ends, show, patience_s)
    return published


def refusals_of(file: str) -> Hear:
    """Tells each bad line with its number and why, as compilers do."""
    name = "stdin" if file == STDIN else file

    def hear(verdict: LineVerdict) -> None:
        if verdict.fate == "refused":
            print(f"{name}:{verdict.number}: {verdict.cause}: {verdict.message}", file=sys.stderr)

    return hear
