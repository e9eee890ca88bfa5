"""What a full reprocessing would change: what users hold live, against what they hold in its shadow, by SQL.

It is the fold from zero under the new version, against what runs now. Who holds an award keeps its date when it is
promoted, and without --policy revoke what the shadow does not give stays.
"""

from __future__ import annotations

from typing import Any

from psycopg import Connection, sql

from projections.statements import statements
from replays.comparing import Changed, Diff, Tally
from replays.registry import Replay
from schemas.topics import Names

SQL = statements("contrasting.sql", "replays")


class Contrast:
    """Of the schema of a connection with that of a shadow, of one moment."""

    def __init__(self, connection: Connection, replay: Replay) -> None:
        assert replay.shadow is not None, "only a full one has a shadow"
        self._connection, self._replay = connection, replay
        schema = sql.Identifier(Names(replay.shadow).postgres_schema)
        self._beginning = sql.SQL(SQL["contrast"].decode()).format(shadow=schema)
        self._named: dict[str, Any] = {"id": replay.id, "catalog": replay.catalog}

    def diff(self, count: int) -> Diff:
        """Shapes: count, of how many users to tell what they would gain and lose."""
        with self._connection.transaction():
            self._connection.execute(SQL["snapshot"])
            tallies = self._tallies()
            ((unchanged, before, after),) = self._rows("totals")
            users, sample = self._sampled(count)
        replay = self._replay
        return Diff(
            replay=replay.id,
            status=replay.status,
            catalog=replay.catalog,
            version=replay.version,
            users=users,
            gained=tallies["gained"],
            lost=tallies["lost"],
            shifted=tallies["shifted"],
            unchanged=unchanged,
            points_before=before,
            points_after=after,
            inflation=round((after - before) / before, 4) if before else None,
            sample=sample,
            shadow=replay.shadow,
        )

    def _tallies(self) -> dict[str, list[Tally]]:
        found: dict[str, list[Tally]] = {"gained": [], "lost": [], "shifted": []}
        for change, *told in self._rows("tallies"):
            found[change].append(Tally(*told))
        return found

    def _sampled(self, count: int) -> tuple[int, dict[str, list[Changed]]]:
        """How many users are concerned, and what some of them would gain and lose."""
        rows = self._rows("users", count=count)
        sample: dict[str, list[Changed]] = {user: [] for user in sorted(user for user, _ in rows)}
        for user, *changed in self._rows("awards", users=[*sample]):
            sample[user].append(Changed(*changed))
        return (rows[0][1] if rows else 0), sample

    def _rows(self, statement: str, **named: Any) -> list[tuple[Any, ...]]:
        whole = self._beginning + sql.SQL(SQL[statement].decode())
        return self._connection.execute(whole, self._named | named).fetchall()
