"""The read model `user_progress`: one row for each user, from the changelog of the processor's states.

A row is its user's state, and what only the states before it could tell: the pace of its metrics, and since when
the user is known. That is computed from the row as it was, in the transaction that writes it. It changes when a
metric moves on a new day, which is seldom: a row that has these days already is not read again.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from struct import Struct
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection, AsyncCursor

from broker.reading import Batch
from projections.columns import NULL, append_moment, copied, encode_json, jsonb, moment_at, nullable, text
from projections.decoding import undecodable
from projections.pace import Pace, follow
from projections.progress_view import ReadControls, Stage, View, Views
from projections.projection import place
from projections.shown import Moves, Shown
from projections.statements import statements
from projections.turns import HURRIED, UNHURRIED, Gait, in_turns
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogProgram, CatalogRecord
from schemas.records import Record
from schemas.state import CONTROL_KEY, ZONE, NewerState, State, decode_state, fresh_state
from schemas.topics import Names

SQL = statements("user_progress.sql")

USERS_PER_TURN, ROWS_PER_TURN = 100, 2_000
BACKLOG_USERS = 75_000  # so many at once are a backlog, in which rests would help nobody
REMEMBERED_MAX = 100_000  # users whose row is known to have the paces of certain days

ReadCatalogs = Callable[[], Awaitable[Sequence[CatalogRecord]]]

offset_of = attrgetter("offset")
_begin_progress = Struct(">hiq").pack


class Followed(NamedTuple):
    """A batch, and how its records are seen."""

    batch: Batch
    stages: list[Stage]

    def view_at(self, offset: int) -> View | None:
        if len(self.stages) == 1:
            return self.stages[0].view
        return self.stages[bisect_left(self.stages, offset, key=offset_of) - 1].view


class Latest(NamedTuple):
    """The last state record of a user in these batches."""

    user: str
    record: Record
    place: str
    view: View | None


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
    gait: Gait


class Past(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """What the row of a user said before. Shapes: all are by catalog; of values only numbers are wanted."""

    metrics: dict[str, dict[str, int | None]] = {}
    windows: dict[str, dict[str, Any]] = {}
    paces: dict[str, dict[str, Pace]] = {}
    known_since: dict[str, datetime] = {}


NO_PAST = Past()
decode_past = msgspec.json.Decoder(Past).decode


class KnownCatalogs:
    """Every version of every catalog, read again when a state or a control record knows more of them."""

    def __init__(self, read: ReadCatalogs) -> None:
        self._read = read
        self._programs: dict[tuple[str, int], CatalogProgram] = {}
        self._newest: dict[str, int] = {}
        self._fresh: State = []
        self._shown: dict[View | None, list[Shown]] = {}

    async def reread(self) -> None:
        """Raises: Precondition when nothing is published."""
        records = await self._read()
        if not records:
            raise Precondition(
                "the processor runs a catalog, and none is published: was the catalogs topic recreated?"
            )
        self._programs = {(record.catalog, record.version): record.program for record in records}
        self._newest = dict(sorted((record.catalog, record.version) for record in records if record.announced))
        self._fresh = fresh_state(records[-1].ledger)
        self._shown = {view: self._make(view) for view in self._shown}

    async def learn(self, views: Iterable[View | None]) -> None:
        """Know how to show these. Raises: LaurelError when one names a version that nobody has published."""
        for view in {*views} - self._shown.keys():
            if not self._programs or not self._knows(view):
                await self.reread()
            self._shown[view] = self._make(view)

    def _knows(self, view: View | None) -> bool:
        return view is None or self._programs.keys() >= set(view.catalogs)

    def _make(self, view: View | None) -> list[Shown]:
        if view is None:  # no owner has said what it runs
            return [Shown(self._programs[each]) for each in self._newest.items()]
        if not self._knows(view):
            raise LaurelError(
                f"the processor runs {dict(view.catalogs)}, not all of which are published: was the catalogs topic "
                "recreated?"
            )
        return [Shown(self._programs[each], hidden_of(view, each[0])) for each in view.catalogs]

    async def row(self, latest: Latest) -> Progress:
        """Raises: NewerState."""
        try:
            return self._row(latest)
        except NewerState:
            await self.reread()
            return self._row(latest)

    def _row(self, latest: Latest) -> Progress:
        assert latest.record.value is not None
        state, shown = decode_state(latest.record.value, self._fresh), self._shown[latest.view]
        moves = {of.catalog: of.moves(state) for of in shown}
        return Progress(
            latest.user,
            encode_json({of.catalog: of.metrics(state) for of in shown}),
            encode_json({of.catalog: of.streaks(state) for of in shown}),
            encode_json({of.catalog: of.windows(state) for of in shown if of.has_windows}),
            state[ZONE],
            append_moment(latest.record),
            moves,
            hash(tuple((each.days, each.is_known) for each in moves.values())),
        )


def hidden_of(view: View, catalog: str) -> set[str]:
    return {key for of, key in view.hidden if of == catalog}


class UserProgressProjection:
    name = "user_progress"
    window_s, window_s_max = 0.25, 30.0  # the longer, the fewer rows: only the last state of a user is written
    records_max, fetch_bytes_min, condenses = 2 * BACKLOG_USERS, 1 << 20, True

    def __init__(self, names: Names, read_catalogs: ReadCatalogs, read_controls: ReadControls) -> None:
        self.topic = names.changelog
        self._known = KnownCatalogs(read_catalogs)
        self._views = Views(read_controls)
        self._days: dict[str, int] = {}  # user -> hash of the days of the paces in the row
        self._resumed_at_ms = 0.0

    async def prepare(self, connection: AsyncConnection) -> None:
        self._days.clear()  # the last transaction of the session before may not have been committed
        await connection.execute(SQL["create_incoming"])

    async def resume(self) -> None:
        await self._views.look()
        self._resumed_at_ms = time.time() * 1000

    async def decode(self, batches: Sequence[Batch]) -> ProgressRows:
        await self._views.catch_up(batches)
        gait, followed = (
            gait_of(batches, self._resumed_at_ms),
            [Followed(batch, self._views.follow(batch)) for batch in batches],
        )
        rows, erased = [], []
        async for turn in in_turns([*last_records(followed)], USERS_PER_TURN, gait):
            latest = [latest_state(record, batch) for record, batch in turn]
            await self._known.learn({each.view for each in latest})
            rows += [await self._row(each) for each in latest if each.record.value is not None]
            erased += [each.user for each in latest if each.record.value is None]
        return ProgressRows(rows, erased, gait)

    async def _row(self, latest: Latest) -> Progress:
        try:
            return await self._known.row(latest)
        except (NewerState, msgspec.MsgspecError, ValueError, IndexError, TypeError) as error:
            raise undecodable(latest.record, latest.place, error) from error

    async def write(self, connection: AsyncConnection, rows: ProgressRows) -> int:
        async with connection.cursor() as cursor:
            if rows.rows:
                await self._write_rows(cursor, rows)
            if rows.erased:
                await cursor.execute(SQL["delete_progress"], {"users": rows.erased})
        for user in rows.erased:
            self._days.pop(user, None)
        return 0

    async def _write_rows(self, cursor: AsyncCursor, rows: ProgressRows) -> None:
        async for turn in in_turns(rows.rows, ROWS_PER_TURN, rows.gait):
            moved = {row.user: row.days for row in turn if self._days.get(row.user) != row.days}
            past = await read_past(cursor, list(moved)) if moved else {}
            async with cursor.copy(SQL["copy_incoming"]) as copy:
                await copy.write(copied([start_of_row(row) + paces_of_row(row, past, moved) for row in turn]))
            await cursor.execute(SQL["upsert_progress"], prepare=False)
            self._remember(moved)

    def _remember(self, moved: Mapping[str, int]) -> None:
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


def paces_of_row(row: Progress, written: Mapping[str, Past], moved: Mapping[str, int]) -> bytes:
    """The columns pace and known_since: null where they stay as they are."""
    if row.user not in moved:
        return NULL + NULL
    past = written.get(row.user, NO_PAST)
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


def gait_of(batches: Sequence[Batch], resumed_at_ms: float) -> Gait:
    """A busy machine has the awards to tell first; but with what came while nobody was here it is to catch up."""
    came_before = any(batch.records[0].timestamp < resumed_at_ms for batch in batches if batch.records)
    is_behind = came_before or sum(len(batch.records) for batch in batches) >= BACKLOG_USERS
    return HURRIED if is_behind else UNHURRIED


def last_records(batches: Sequence[Followed]) -> Iterable[tuple[Record, Followed]]:
    """The last record of every user, the control records aside."""
    last = {record.key: (record, followed) for followed in batches for record in followed.batch.records}
    last.pop(CONTROL_KEY, None)
    return last.values()


def latest_state(record: Record, followed: Followed) -> Latest:
    where = place(followed.batch)
    return Latest(user_of(record, where), record, where, followed.view_at(record.offset))


def user_of(record: Record, where: str) -> str:
    try:
        return (record.key or b"").decode()
    except UnicodeDecodeError as error:
        raise undecodable(record, where, error) from error
