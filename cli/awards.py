"""`laurel awards`: what users have earned, as lines."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from psycopg import Connection

from cli.postgres import read_models
from cli.settings import Settings

STDOUT = "-"
FETCH_ROWS = 10_000

AWARDS = b"""
select user_id, catalog, concat_ws('/', achievement, tier), scope, earned_at from user_achievement
where revoked_at is null
order by user_id, catalog, achievement, tier, scope
"""

app = typer.Typer(no_args_is_help=True, help="What users have earned.")


class Award(NamedTuple):
    """A row of the read model, as far as an export tells it. Of tiers, `achievement` is `key/tier`."""

    user: str
    catalog: str
    achievement: str
    scope: str
    earned_at: datetime


@app.command()
def export(out: Annotated[str, typer.Option("--out", metavar="FILE", help="`-` writes to stdout.")]) -> None:
    """Write all awards as JSON lines {"user", "achievement", "scope", "earned_at"}, sorted.

    With several catalogs loaded an achievement is written as catalog/key.
    """
    with read_models(Settings()) as connection:
        count = write_awards(connection, out)
    print(f"{count} awards", file=sys.stderr)


def write_awards(connection: Connection, out: str) -> int:
    """The number of awards written. A file appears whole or not at all."""
    lines = list(award_lines(connection))
    if out == STDOUT:
        sys.stdout.writelines(lines)
        return len(lines)
    unfinished = Path(f"{out}.part")
    unfinished.write_text("".join(lines), encoding="utf-8")
    os.replace(unfinished, out)
    return len(lines)


def award_lines(connection: Connection) -> Iterator[str]:
    several = _catalogs(connection) > 1
    for award in read_awards(connection):
        achievement = f"{award.catalog}/{award.achievement}" if several else award.achievement
        line = {
            "user": award.user,
            "achievement": achievement,
            "scope": award.scope,
            "earned_at": rfc3339(award.earned_at),
        }
        yield json.dumps(line, ensure_ascii=False) + "\n"


def read_awards(connection: Connection) -> Iterator[Award]:
    """All awards that are held, in order, through a server-side cursor: there may be millions."""
    with connection.transaction(), connection.cursor("awards") as cursor:
        cursor.itersize = FETCH_ROWS
        cursor.execute(AWARDS)
        yield from (Award(*row) for row in cursor)


def rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _catalogs(connection: Connection) -> int:
    row = connection.execute(b"select count(*) from catalog").fetchone()
    return row[0] if row else 0
