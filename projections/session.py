"""The database as a projection sees it: positions, a transaction, and its rows.

A port with two sides: `PostgresSession` here, and simulation/database.py, which keeps everything in memory. One
suite, tests/simulation/test_database_contract.py, holds both to what is said here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from psycopg import AsyncConnection

from broker.reading import Batch
from projections.projection import Projection
from projections.statements import statements

SQL = statements("checkpoints.sql")


class Session(Protocol):
    """One session of one projection. What goes wrong on the way is an OperationalError of psycopg's."""

    async def positions(self, beginnings: Mapping[int, int]) -> dict[int, int]:
        """Partition -> next position; a partition that is new here begins at the beginning of its log.

        The projection resumes there.
        """

    def transaction(self) -> AbstractAsyncContextManager[object]:
        """All that happens within is there when it is left, or nothing of it when it is left by an error."""

    async def move(self, batches: Sequence[Batch]) -> set[int]:
        """Move the positions that still stand where their batch begins, and no others. Returns those moved.

        A position that another transaction has moved is waited for: it stands where that one ends.
        """

    async def write(self, rows: Any) -> int:
        """Write the rows that the projection decoded. Returns how many notifications that made."""

    async def close(self) -> None: ...


class PostgresSession:
    def __init__(self, connection: AsyncConnection, projection: Projection) -> None:
        self._connection, self._projection = connection, projection

    async def positions(self, beginnings: Mapping[int, int]) -> dict[int, int]:
        wanted = self._arguments(partitions=list(beginnings), beginnings=list(beginnings.values()))
        await self._connection.execute(SQL["create_positions"], wanted)
        cursor = await self._connection.execute(SQL["read_positions"], wanted)
        positions: dict[int, int] = dict(await cursor.fetchall())
        await self._projection.resume()
        return positions

    def transaction(self) -> AbstractAsyncContextManager[object]:
        return self._connection.transaction()

    async def move(self, batches: Sequence[Batch]) -> set[int]:
        partitions = [batch.partition for batch in batches]
        starts, ends = [batch.start for batch in batches], [batch.end for batch in batches]
        wanted = self._arguments(partitions=partitions, starts=starts, ends=ends)
        cursor = await self._connection.execute(SQL["move_positions"], wanted)
        return {partition for (partition,) in await cursor.fetchall()}

    async def write(self, rows: Any) -> int:
        return await self._projection.write(self._connection, rows)

    async def close(self) -> None:
        await self._connection.close()

    def _arguments(self, **more: Any) -> dict[str, Any]:
        return {"projection": self._projection.name, "topic": self._projection.topic, **more}


async def open_session(
    connect: Callable[[], Awaitable[AsyncConnection]], projection: Projection
) -> PostgresSession:
    """A session with the projection's temporary tables."""
    connection = await connect()
    try:
        await projection.prepare(connection)
    except BaseException:
        await connection.close()
        raise
    return PostgresSession(connection, projection)
