"""The read model `user_progress`: one row for each user, from the changelog of the processor's states."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from struct import Struct
from typing import NamedTuple

import msgspec
from psycopg import AsyncConnection

from broker.reading import Batch
from projections.columns import NULL, append_moment, copied, encode_json, jsonb, text
from projections.decoding import decode, undecodable
from projections.projection import place
from projections.statements import statements
from schemas.program import CatalogProgram, Program
from schemas.records import Record
from schemas.state import (
    CONTROL_KEY,
    ZONE,
    NewerState,
    State,
    decode_control,
    decode_state,
    fresh_state,
    value_reader,
)
from schemas.topics import Names

SQL = statements("user_progress.sql")

USERS_PER_TURN = 200  # decoded before the other projections of this process get their turn

ReadProgram = Callable[[], Awaitable[Program]]
ReadValue = Callable[[State, int], int | None]

_begin_progress = Struct(">hiq").pack


class Latest(NamedTuple):
    """The last state record of a user in these batches."""

    user: str
    record: Record
    place: str


class Progress(NamedTuple):
    """A row of `user_progress`. Shapes: metrics and streaks are JSON. Units: updated_at, as columns.moment."""

    user: str
    metrics: bytes
    streaks: bytes
    zone: str | None
    updated_at: int


class ProgressRows(NamedTuple):
    """Users to write, and as COPY reads them, and users whose state was erased."""

    rows: list[Progress]
    copied: bytes
    erased: list[str]


class Shown(NamedTuple):
    """What is read out of a state for one catalog."""

    catalog: str
    metrics: list[tuple[str, ReadValue, int]]
    streaks: list[tuple[str, int]]


class KnownProgram:
    """The catalogs that states are read with, read again when the processor runs newer ones."""

    def __init__(self, read: ReadProgram) -> None:
        self._read = read
        self._program: Program | None = None
        self._fresh: State = []
        self._shown: list[Shown] = []

    async def follow(self, versions: dict[str, int]) -> None:
        """Know at least these versions, which some processor runs."""
        if self._program is None or not self._knows(versions):
            await self.reread()

    async def reread(self) -> None:
        self._program = await self._read()
        self._fresh = fresh_state(self._program.ledger)
        self._shown = [shown(catalog) for catalog in self._program.catalogs]

    def _knows(self, versions: dict[str, int]) -> bool:
        assert self._program is not None
        known = {catalog.catalog: catalog.version for catalog in self._program.catalogs}
        return all(known.get(catalog, -1) >= version for catalog, version in versions.items())

    def row(self, latest: Latest) -> Progress:
        """Raises: NewerState."""
        assert latest.record.value is not None
        state = decode_state(latest.record.value, self._fresh)
        return Progress(
            latest.user,
            encode_json(
                {of.catalog: {key: read(state, slot) for key, read, slot in of.metrics} for of in self._shown}
            ),
            encode_json({of.catalog: {key: run_of(state, slot) for key, slot in of.streaks} for of in self._shown}),
            state[ZONE],
            append_moment(latest.record),
        )


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
            return ProgressRows([], b"", [])
        await self._known.follow(running_versions(batches))
        present = [each for each in latest if each.record.value is not None]
        erased = [each.user for each in latest if each.record.value is None]
        rows = await self._rows(present)
        return ProgressRows(rows, copied(map(progress_row, rows)), erased)

    async def _rows(self, present: list[Latest]) -> list[Progress]:
        rows = []
        for start in range(0, len(present), USERS_PER_TURN):
            rows += [await self._row(each) for each in present[start : start + USERS_PER_TURN]]
            await asyncio.sleep(0)
        return rows

    async def _row(self, latest: Latest) -> Progress:
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
                    await copy.write(rows.copied)
                await cursor.execute(SQL["upsert_progress"], prepare=False)
            if rows.erased:
                await cursor.execute(SQL["delete_progress"], {"users": rows.erased})
        return 0


def shown(catalog: CatalogProgram) -> Shown:
    metrics = [(metric.key, value_reader(metric), metric.slot) for metric in catalog.metrics]
    streaks = [(metric.key, metric.slot) for metric in catalog.metrics if metric.kind == "streak"]
    return Shown(catalog.catalog, metrics, streaks)


def run_of(state: State, slot: int) -> dict[str, int | None]:
    """The present run of a streak and its longest: what a reader needs for the current streak.

    Units: days since 1970; first_day and last_day are None before the first active day.
    """
    return {"first_day": state[slot + 1], "last_day": state[slot + 2], "longest": state[slot + 3]}


def progress_row(row: Progress) -> bytes:
    """The columns of `copy_incoming`, in its order."""
    zone = NULL if row.zone is None else text(row.zone)
    return b"".join(
        (_begin_progress(5, 8, row.updated_at), text(row.user), zone, jsonb(row.metrics), jsonb(row.streaks))
    )


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
