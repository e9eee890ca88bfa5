"""`laurel simulate`: a seeded year of a product as JSON lines of CloudEvents, in the order of publishing."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from cli.output import progress
from cli.simulation.products import PRODUCTS
from cli.simulation.year import simulate


def known_product(name: str) -> str:
    """Raises: BadParameter when nobody has made up users for such a catalog."""
    if name not in PRODUCTS:
        raise typer.BadParameter(f"nobody is made up for '{name}': choose one of {', '.join(PRODUCTS)}")
    return name


Bundled = Annotated[
    str,
    typer.Option(
        "--catalog",
        metavar="NAME",
        help=f"The product whose users are made up: {', '.join(PRODUCTS)}.",
        callback=known_product,
    ),
]
Users = Annotated[int, typer.Option("--users", min=1, help="How many people register.")]
Days = Annotated[int, typer.Option("--days", min=1, max=3650, help="How many days; the last is 2025-12-31.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes everywhere.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default stdout; .gz compresses.")]
TopicEvents = Annotated[
    bool, typer.Option("--topic-events", help="Name the topic in each event, for use with several catalogs.")
]


def command(
    users: Users = 100,
    days: Days = 365,
    seed: Seed = 1,
    out: Out = None,
    topic_events: TopicEvents = False,
    catalog: Bundled = "trackflow",
) -> None:
    """Make up a year of a product's users: what they do and undo, their travel, late and repeated events."""
    events = simulate(users, days, seed, catalog=catalog, with_topic=topic_events)
    with opened(out) as file, progress("simulating") as show:
        for count, event in enumerate(events, start=1):
            file.write(line(event))
            if count % 1000 == 0:
                show(events=count)


def line(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@contextmanager
def opened(out: Path | None) -> Iterator[IO[bytes]]:
    """The file to write to; a compressed one holds no time and no name, so that equal input gives equal files."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    elif out.suffix == ".gz":
        with out.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
            yield file  # type: ignore[misc]
    else:
        with out.open("wb") as plain:
            yield plain
