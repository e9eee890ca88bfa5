"""What a replay has changed, from the read models: what was gained and lost, and what that came to in points."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from projections.statements import statements
from replays.registry import Replay

SQL = statements("comparing.sql", "replays")


class Tally(NamedTuple):
    """Of one achievement. Units: points, of all these awards together."""

    achievement: str
    users: int
    awards: int
    points: int


class Changed(NamedTuple):
    """An award that somebody gained, or lost."""

    achievement: str
    scope: str
    earned_at: datetime
    points: int
    is_gained: bool


class Diff(NamedTuple):
    """Shapes: shifted are given again, of another date; unchanged counts the catalog's other awards.

    shadow, where its own awards are compared, of a full one that is not promoted.

    Units: points_before are those of the catalog without this replay; inflation, a share of them.
    """

    replay: str
    status: str
    catalog: str
    version: int
    users: int
    gained: list[Tally]
    lost: list[Tally]
    shifted: list[Tally]
    unchanged: int
    points_before: int
    points_after: int
    inflation: float | None
    sample: dict[str, list[Changed]]
    shadow: str | None = None


def diff(connection: Connection, replay: Replay, count: int) -> Diff:
    """Of one moment. Shapes: count, of how many users to tell what they gained and lost."""
    named = {"id": replay.id, "catalog": replay.catalog, "version": replay.version}
    with connection.transaction():
        connection.execute(SQL["snapshot"])
        gained, lost, shifted = (_tallies(connection, what, named) for what in ("gained", "lost", "shifted"))
        ((unchanged, points_unchanged),) = connection.execute(SQL["unchanged"], named).fetchall()
        users, sample = _sampled(connection, named, count)
    points_lost, points_gained = (sum(each.points for each in tallies) for tallies in (lost, gained))
    before = points_unchanged + points_lost
    after = points_unchanged + points_gained
    return Diff(
        replay=replay.id,
        status=replay.status,
        catalog=replay.catalog,
        version=replay.version,
        users=users,
        gained=gained,
        lost=lost,
        shifted=shifted,
        unchanged=unchanged,
        points_before=before,
        points_after=after,
        inflation=round((after - before) / before, 4) if before else None,
        sample=sample,
    )


def _tallies(connection: Connection, what: str, named: dict[str, Any]) -> list[Tally]:
    return [Tally(*row) for row in connection.execute(SQL[what], named).fetchall()]


def _sampled(connection: Connection, named: dict[str, Any], count: int) -> tuple[int, dict[str, list[Changed]]]:
    """How many users are concerned, and what some of them gained and lost."""
    rows = connection.execute(SQL["users"], {**named, "count": count}).fetchall()
    users = sorted(user for user, _ in rows)
    sample: dict[str, list[Changed]] = {user: [] for user in users}
    for user, *changed in connection.execute(SQL["awards"], {**named, "users": users}):
        sample[user].append(Changed(*changed))
    return (rows[0][1] if rows else 0), sample
