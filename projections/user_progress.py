"""The read model `user_progress`: one row for each user, from the changelog of the processor's states.

A row is its user's state, and what only the states before it could tell: the pace of its metrics, and since when
the user is known. That is computed from the row as it was, in the transaction that writes it. It changes when a
metric moves on a new day, which is seldom: a row that has these days already is not read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from struct import Struct
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection, AsyncCursor

from broker.reading import Batch
from projections.columns import NULL, append_moment, copied, encode_json, jsonb, moment_at, nullable, text
from projections.decoding import decode, undecodable
from projections.pace import Pace, follow
from projections.projection import place
from projections.shown import Moves, Shown
from projections.statements import statements
from schemas.program import Program
from schemas.records import Record
from schemas.state import CONTROL_KEY, ZONE, NewerState, State, decode_control, decode_state, fresh_state
from schemas.topics import Names

SQL = statements("user_progress.sql")

USERS_PER_TURN = 200  # decoded before the other projections of this process get their turn
REMEMBERED_MAX = 100_000  # users whose row is known to have the paces of certain days

ReadProgram = Callable[[], Awaitable[Program]]

_begin_progress = Struct(">hiq").pack


class Latest(NamedTuple):
    """The last state record of a user in these batches."""

    user: str
    record: Record
    place: str


class Progress(NamedTuple):
    """A row of `user_progress` as far as the state has it.

    Shapes: metrics, streaks and windows are JSON; moves are by catalog, and `days` is the hash of what the pace
    depends on. Units: updated_at, as columns.moment.
    """

    user: str
    metrics: bytes
    streaks: bytes
    windows: bytes
    zone: str | None
    updated_at: int
    moves: dict[str, Moves]
    days: int


class ProgressRows(NamedTuple):
    """Users to write, and users whose state was erased."""

    rows: list[Progress]
    erased: list[str]


class Past(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """What the row of a user said before. Shapes: all are by catalog; of values only numbers are wanted."""

    metrics: dict[str, dict[str, int | None]] = {}
    windows: dict[str, dict[str, Any]] = {}
    paces: dict[str, dict[str, Pace]] = {}
    known_since: dict[str, datetime] = {}


NO_PAST = Past()
decode_past = msgspec.json.Decoder(Past).decode


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
        self._shown = [Shown(catalog) for catalog in self._program.catalogs]

    def _knows(self, versions: dict[str, int]) -> bool:
        assert self._program is not None
        known = {catalog.catalog: catalog.version for catalog in self._program.catalogs}
        return all(known.get(catalog, -1) >= version for catalog, version in versions.items())

    def row(self, latest: Latest) -> Progress:
        """Raises: NewerState."""
        assert latest.record.value is not None
        state = decode_state(latest.record.value, self._fresh)
        moves = {of.catalog: of.moves(state) for of in self._shown}
        return Progress(
            latest.user,
            encode_json({of.catalog: of.metrics(state) for of in self._shown}),
            encode_json({of.catalog: of.streaks(state) for of in self._shown}),
            encode_json({of.catalog: of.windows(state) for of in self._shown if of.has_windows}),
            state[ZONE],
            append_moment(latest.record),
            moves,
            hash(tuple((each.days, each.is_known) for each in moves.values())),
        )


class UserProgressProjection:
    name = "user_progress"
    window_s = 0.25  # the longer, the fewer rows: only the last state of a user is written

    def __init__(self, names: Names, read_program: ReadProgram) -> None:
        self.topic = names.changelog
        self._known = KnownProgram(read_program)
        self._days: dict[str, int] = {}  # user -> hash of the days of the paces in the row

    async def prepare(self, connection: AsyncConnection) -> None:
        self._days.clear()  # the last transaction of the session before may not have been committed
        await connection.execute(SQL["create_incoming"])

    async def decode(self, batches: Sequence[Batch]) -> ProgressRows:
        latest = latest_states(batches)
        if not latest:
            return ProgressRows([], [])
        await self._known.follow(running_versions(batches))
        present = [each for each in latest if each.record.value is not None]
        erased = [each.user for each in latest if each.record.value is None]
        return ProgressRows(await self._rows(present), erased)

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
                await self._write_rows(cursor, rows.rows)
            if rows.erased:
                await cursor.execute(SQL["delete_progress"], {"users": rows.erased})
        for user in rows.erased:
            self._days.pop(user, None)
        return 0

    async def _write_rows(self, cursor: AsyncCursor, rows: Sequence[Progress]) -> None:
        moved = {row.user: row.days for row in rows if self._days.get(row.user) != row.days}
        past = await read_past(cursor, list(moved)) if moved else {}
        incoming = [start_of_row(row) + paces_of_row(row, past.get(row.user, NO_PAST), moved) for row in rows]
        async with cursor.copy(SQL["copy_incoming"]) as copy:
            await copy.write(copied(incoming))
        await cursor.execute(SQL["upsert_progress"], prepare=False)
        if len(self._days) + len(moved) > REMEMBERED_MAX:
            self._days.clear()
        self._days.update(moved)


async def read_past(cursor: AsyncCursor, users: list[str]) -> dict[str, Past]:
    await cursor.execute(SQL["read_past"], {"users": users}, prepare=False)
    return {user: decode_past(written) for user, written in await cursor.fetchall()}


def start_of_row(row: Progress) -> bytes:
    """The columns of `copy_incoming` up to the pace, in its order."""
    return b"".join(
        (
            _begin_progress(8, 8, row.updated_at),
            text(row.user),
            nullable(row.zone),
            jsonb(row.metrics),
            jsonb(row.streaks),
            jsonb(row.windows),
        )
    )


def paces_of_row(row: Progress, past: Past, moved: Mapping[str, int]) -> bytes:
    """The columns pace and known_since: null where they stay as they are."""
    if row.user not in moved:
        return NULL + NULL
    paces = {
        catalog: follow(past.paces.get(catalog, {}), values_of(past, catalog), moves.moved)
        for catalog, moves in row.moves.items()
    }
    return jsonb(encode_json(paces)) + jsonb(encode_json(dict(known_since(row, past))))


def values_of(past: Past, catalog: str) -> dict[str, Any]:
    return past.metrics.get(catalog, {}) | past.windows.get(catalog, {})


def known_since(row: Progress, past: Past) -> Iterator[tuple[str, datetime]]:
    for catalog, moves in row.moves.items():
        before = past.known_since.get(catalog)
        if before is not None:
            yield catalog, before
        elif moves.is_known:
            yield catalog, moves.since or moment_at(row.updated_at)


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
