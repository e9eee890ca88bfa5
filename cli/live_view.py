"""Unlocks as they land in Postgres: a moving picture on a terminal, else a JSON line every few seconds."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from psycopg import AsyncConnection
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cli.output import PROGRESS_SECONDS, stderr

RECENT = 10
LOOK_S = 0.2

TOTALS = b"""
select count(*), coalesce(sum(points), 0)::bigint, count(distinct user_id) from user_achievement
where revoked_at is null
"""
NEWEST = b"""
select user_id, coalesce(icon, ''), coalesce(name, achievement), rarity, points from user_award
order by awarded_at desc, id limit %s
"""


class Unlock(NamedTuple):
    user: str
    icon: str
    name: str
    rarity: str
    points: int


class Look(NamedTuple):
    """What the read models show at one moment. Units: at, seconds since the demo began."""

    at: float
    awards: int
    points: int
    users: int
    newest: list[Unlock]


class View(Protocol):
    def __call__(self, look: Look, published: int) -> None: ...


@contextmanager
def live_view() -> Iterator[View]:
    if not stderr.is_terminal:
        yield JsonView()
        return
    with Live(console=stderr, refresh_per_second=4, transient=True) as live:
        yield lambda look, published: live.update(picture(look, published))


class JsonView:
    """One line whenever the last is a few seconds old."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, look: Look, published: int) -> None:
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + PROGRESS_SECONDS
        line = {"seconds": round(look.at, 1), "published": published, "awards": look.awards, "points": look.points}
        newest = [f"{unlock.user}: {unlock.name}" for unlock in look.newest[:1]]
        print(json.dumps(line | {"newest": newest}, ensure_ascii=False), file=sys.stderr, flush=True)


def picture(look: Look, published: int) -> Group:
    rate = look.awards / look.at if look.at else 0
    figures = (
        f"{published:,} events published   {look.awards:,} unlocks   {look.points:,} points   {rate:,.0f} unlocks/s"
    )
    table = Table(box=None, show_header=False)
    for unlock in look.newest:
        table.add_row(
            unlock.icon,
            f"[bold]{escape(unlock.name)}[/bold]",
            escape(unlock.user),
            unlock.rarity,
            f"+{unlock.points}",
        )
    return Group(Text(figures), table)


async def look_at(connection: AsyncConnection, since: float) -> Look:
    """Units: since, the monotonic clock when the demo began."""
    totals = await (await connection.execute(TOTALS)).fetchone()
    newest = await (await connection.execute(NEWEST, [RECENT])).fetchall()
    awards, points, users = totals or (0, 0, 0)
    return Look(time.monotonic() - since, awards, points, users, [Unlock(*row) for row in newest])
