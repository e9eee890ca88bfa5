"""How far a projection has read, kept in the transaction that writes what was read.

A crash before the commit shows nothing and is read again; after it the rows and the position are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from broker.reading import Batch
from projections.decoding import RESTART
from projections.statements import statements
from schemas.errors import LaurelError

SQL = statements("checkpoints.sql")


class TakenOver(LaurelError):  # noqa: N818 - what happened, not a fault
    """Another process has moved a position that this one held."""

    exit_code = RESTART


class Checkpoints:
    """The positions of one projection on its topic."""

    def __init__(self, projection: str, topic: str) -> None:
        self.projection, self.topic = projection, topic

    async def read(self, connection: AsyncConnection, beginnings: Mapping[int, int]) -> dict[int, int]:
        """Partition -> next position; a partition that is new here begins at the beginning of its log."""
        wanted = self._arguments(partitions=list(beginnings), beginnings=list(beginnings.values()))
        await connection.execute(SQL["create_positions"], wanted)
        cursor = await connection.execute(SQL["read_positions"], wanted)
        return dict(await cursor.fetchall())

    async def move(self, connection: AsyncConnection, batches: Sequence[Batch]) -> None:
        """Compare and set, before any row is written. Raises: TakenOver."""
        partitions = [batch.partition for batch in batches]
        starts, ends = [batch.start for batch in batches], [batch.end for batch in batches]
        wanted = self._arguments(partitions=partitions, starts=starts, ends=ends)
        cursor = await connection.execute(SQL["move_positions"], wanted)
        moved = {partition for (partition,) in await cursor.fetchall()}
        if lost := sorted(set(partitions) - moved):
            raise TakenOver(
                f"'{self.projection}' no longer holds partitions {lost} of '{self.topic}': another projector "
                "took over while this one was away; nothing was written, and this process must start again"
            )

    def _arguments(self, **more: Any) -> dict[str, Any]:
        return {"projection": self.projection, "topic": self.topic, **more}
