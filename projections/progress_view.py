"""By which versions of the catalogs the states of a partition are shown, and which metrics are shown to nobody.

A checkpoint begins with the partition's control record. So what stands behind one, up to the next, was written
under the versions that it names, and while the replays that it knows were in the phases that it says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection

from broker.reading import Batch
from projections.columns import encode_json
from projections.decoding import decode
from projections.projection import place
from projections.statements import statements
from schemas.records import Record
from schemas.replays import Named, Phase
from schemas.state import CONTROL_KEY, Control, decode_control

SQL = statements("progress_view.sql")

HIDING: set[Phase] = {"filling", "ready", "cancelled"}  # what a cancelled one began, nobody will end

ReadControls = Callable[[], Awaitable[Mapping[int, Control]]]


class View(msgspec.Struct, frozen=True, cache_hash=True):
    """Shapes: catalogs (name, version); hidden are metrics that a replay has not filled yet."""

    catalogs: tuple[tuple[str, int], ...]
    hidden: frozenset[Named]


class Stage(msgspec.Struct, frozen=True):
    """From this offset on, a partition is seen so; None before any control record was."""

    offset: int
    view: View | None


class Views:
    """How each partition is seen where its reader stands."""

    def __init__(self, read_controls: ReadControls) -> None:
        self._read_controls = read_controls
        self._views: dict[int, View] = {}

    async def resume(self, partitions: Sequence[int], kept: Mapping[int, View]) -> None:
        """Stand where the positions do, and see what is read from there on as the newest control record says.

        Compaction may have left none of those between: states behind a replay's end would be seen as if it still
        filled, and nobody writes them again. States from before it are seen too early so, until its own follow.
        """
        found = await self._read_controls()
        self._views = {
            partition: view_of(found[partition]) if partition in found else kept[partition]
            for partition in partitions
            if partition in found or partition in kept
        }

    def follow(self, batch: Batch) -> list[Stage]:
        """How the records of a batch are seen, one stage after the other."""
        before = self._views.get(batch.partition)
        controls = [record for record in batch.records if record.key == CONTROL_KEY]
        if not controls or viewed(controls[-1], batch) == before:  # versions and phases never go back
            return [Stage(-1, before)]
        stages = [Stage(-1, before), *(Stage(record.offset, viewed(record, batch)) for record in controls)]
        last = stages[-1].view
        assert last is not None, "a control record was read"
        self._views[batch.partition] = last
        return stages


def viewed(record: Record, batch: Batch) -> View:
    """Raises: Undecodable."""
    return view_of(decode(record, decode_control, place(batch)))


def view_of(control: Control) -> View:
    hiding = [note.filling for note in control.replays.values() if note.phase in HIDING]
    hidden = frozenset(metric for metrics in hiding for metric in metrics)
    return View(tuple(sorted(control.catalogs.items())), hidden)


async def read_views(connection: AsyncConnection, partitions: Sequence[int]) -> dict[int, View]:
    cursor = await connection.execute(SQL["read_views"], [list(partitions)])
    rows = await cursor.fetchall()
    return {partition: kept_view(catalogs, hidden) for partition, catalogs, hidden in rows}


def kept_view(catalogs: dict[str, int], hidden: list[list[str]]) -> View:
    return View(tuple(sorted(catalogs.items())), frozenset((catalog, key) for catalog, key in hidden))


async def write_views(connection: AsyncConnection, views: Mapping[int, View]) -> None:
    rows = [row(partition, view) for partition, view in views.items()]
    await connection.execute(SQL["write_views"], [encode_json(rows).decode()], prepare=False)


def row(partition: int, view: View) -> dict[str, Any]:
    return {"partition": partition, "catalogs": dict(view.catalogs), "hidden": sorted(view.hidden)}
