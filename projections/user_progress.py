"""The read model `user_progress`: one row for each user, from the changelog of the processor's states."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection

from broker.reading import Batch
from projections.columns import appended_at, json_text
from projections.decoding import decode, undecodable
from projections.projection import place
from projections.statements import statements
from schemas.program import Program
from schemas.records import Record
from schemas.state import (
    CONTROL_KEY,
    ZONE,
    NewerState,
    State,
    decode_control,
    decode_state,
    fresh_state,
    metric_values,
    streak_runs,
)
from schemas.topics import Names

SQL = statements("user_progress.sql")

USERS_PER_TURN = 200  # decoded before the other projections of this process get their turn

ProgressRow = tuple[Any, ...]
ReadProgram = Callable[[], Awaitable[Program]]


class Latest(NamedTuple):
    """The last state record of a user in these batches."""

    user: str
    record: Record
    place: str


class ProgressRows(NamedTuple):
    """Users to write, and users whose state was erased."""

    rows: list[ProgressRow]
    erased: list[str]


class KnownProgram:
    """The catalogs that states are read with, read again when the processor runs newer ones."""

    def __init__(self, read: ReadProgram) -> None:
        self._read = read
        self._program: Program | None = None
        self._fresh: State = []

    async def follow(self, versions: dict[str, int]) -> None:
        """Know at least these versions, which some processor runs."""
        if self._program is None or not self._knows(versions):
            await self.reread()

    async def reread(self) -> None:
        self._program = await self._read()
        self._fresh = fresh_state(self._program.ledger)

    def _knows(self, versions: dict[str, int]) -> bool:
        assert self._program is not None
        known = {catalog.catalog: catalog.version for catalog in self._program.catalogs}
        return all(known.get(catalog, -1) >= version for catalog, version in versions.items())

    def row(self, latest: Latest) -> ProgressRow:
        """The columns of `incoming_progress`, in order. Raises: NewerState."""
        assert self._program is not None
        assert latest.record.value is not None
        state = decode_state(latest.record.value, self._fresh)
        metrics = json_text(metric_values(state, self._program))
        streaks = json_text(streak_runs(state, self._program))
        return latest.user, metrics, streaks, state[ZONE], appended_at(latest.record)


class UserProgressProjection:
    name = "user_progress"
    window_s = 0.25  # the longer, the fewer rows: only the last state of a user is written

    def __init__(self, names: Names, read_program: ReadProgram) -> None:
        self.topic = names.changelog
        self._known = KnownProgram(read_program)

    async def prepare(self, connection: AsyncConnection) -> None:
        await connection.execute(SQL["create_incoming"])

    async def decode(self, batches: Sequence[Batch]) -> ProgressRows:
        latest = latest_states(batches)
        if not latest:
            return ProgressRows([], [])
        await self._known.follow(running_versions(batches))
        present = [each for each in latest if each.record.value is not None]
        erased = [each.user for each in latest if each.record.value is None]
        return ProgressRows(await self._rows(present), erased)

    async def _rows(self, present: list[Latest]) -> list[ProgressRow]:
        rows = []
        for start in range(0, len(present), USERS_PER_TURN):
            rows += [await self._row(each) for each in present[start : start + USERS_PER_TURN]]
            await asyncio.sleep(0)
        return rows

    async def _row(self, latest: Latest) -> ProgressRow:
        try:
            try:
                return self._known.row(latest)
            except NewerState:
                await self._known.reread()
                return self._known.row(latest)
        except (NewerState, msgspec.MsgspecError, ValueError, IndexError, TypeError) as error:
            raise undecodable(latest.record, latest.place, error) from error

    async def write(self, connection: AsyncConnection, rows: ProgressRows) -> int:
        async with connection.cursor() as cursor:
            if rows.rows:
                async with cursor.copy(SQL["copy_incoming"]) as copy:
                    for row in rows.rows:
                        await copy.write_row(row)
                await cursor.execute(SQL["upsert_progress"], prepare=False)
            if rows.erased:
                await cursor.execute(SQL["delete_progress"], {"users": rows.erased})
        return 0


def latest_states(batches: Sequence[Batch]) -> list[Latest]:
    """The last record of every user, the control records aside. Raises: Undecodable."""
    last = {record.key: (record, batch) for batch in batches for record in batch.records}
    last.pop(CONTROL_KEY, None)
    return [Latest(user_of(record, place(batch)), record, place(batch)) for record, batch in last.values()]


def user_of(record: Record, where: str) -> str:
    try:
        return (record.key or b"").decode()
    except UnicodeDecodeError as error:
        raise undecodable(record, where, error) from error


def running_versions(batches: Sequence[Batch]) -> dict[str, int]:
    """The newest version of each catalog that the control records of these batches name."""
    versions: dict[str, int] = {}
    for batch in batches:
        controls = [record for record in batch.records if record.key == CONTROL_KEY]
        for record in controls[-1:]:
            for catalog, version in decode(record, decode_control, place(batch)).catalogs.items():
                versions[catalog] = max(version, versions.get(catalog, version))
    return versions
