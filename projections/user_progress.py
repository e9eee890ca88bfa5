"""The read model `user_progress`: one row for each user, from the changelog of the processor's states.

A row is its user's state, and what only the states before it could tell: the pace of its metrics and since when
the user is known. That is computed from the row as it was, in the transaction that writes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from struct import Struct
from typing import NamedTuple

import msgspec
from psycopg import AsyncConnection, AsyncCursor

from broker.reading import Batch
from projections.columns import append_moment, appended_at, copied, encode_json, jsonb, nullable, text
from projections.decoding import decode, undecodable
from projections.pace import Moved, Pace, follow
from projections.projection import place
from projections.statements import statements
from schemas.program import HIDDEN_MARK, CatalogProgram, MetricSpec, Program
from schemas.records import Record
from schemas.state import (
    CONTROL_KEY,
    ZONE,
    NewerState,
    State,
    decode_control,
    decode_state,
    fresh_state,
    storage_of,
    value_reader,
)
from schemas.topics import Names
from schemas.zones import DAY_US, EPOCH, moment_of

SQL = statements("user_progress.sql")

USERS_PER_TURN = 200  # decoded before the other projections of this process get their turn

TIME_SLOT = {"count": 2, "sum": 2, "xp": 2, "max": 1, "latest": 1, "distinct": 1, "distinct with minus": 2}

ReadProgram = Callable[[], Awaitable[Program]]
ReadValue = Callable[[State, int], int | None]

_begin_progress = Struct(">hiq").pack


class Latest(NamedTuple):
    """The last state record of a user in these batches."""

    user: str
    record: Record
    place: str


class Progress(NamedTuple):
    """A row of `user_progress` as far as the state has it.

    Shapes: metrics, streaks and windows are JSON; moves, catalog -> zone and what moved in it; known_since, catalog
    -> earliest event time that the state shows. Units: updated_at, as columns.moment.
    """

    user: str
    metrics: bytes
    streaks: bytes
    windows: bytes
    zone: str | None
    updated_at: int
    moves: dict[str, tuple[str, list[Moved]]]
    known_since: dict[str, datetime]


class ProgressRows(NamedTuple):
    """Users to write, and users whose state was erased."""

    rows: list[Progress]
    erased: list[str]


class Past(NamedTuple):
    """What the row of a user said before."""

    paces: dict[str, dict[str, Pace]]
    known_since: dict[str, datetime]


UNKNOWN = Past({}, {})
decode_paces = msgspec.json.Decoder(dict[str, dict[str, Pace]]).decode
decode_times = msgspec.json.Decoder(dict[str, datetime]).decode


class Shown:
    """What is read out of a state for one catalog."""

    def __init__(self, catalog: CatalogProgram) -> None:
        named = [metric for metric in catalog.metrics if HIDDEN_MARK not in metric.key]
        hidden = [metric for metric in catalog.metrics if HIDDEN_MARK in metric.key]
        self.catalog, self.zone = catalog.catalog, catalog.timezone
        self.metrics, self.windows = readers(named), readers(hidden)
        self.streaks = [(metric.key, metric.slot) for metric in named if metric.kind == "streak"]
        self._times = [
            (metric.key, value_reader(metric), metric.slot, metric.slot + TIME_SLOT[storage_of(metric)])
            for metric in catalog.metrics
            if metric.kind != "streak" and metric.every is None
        ]
        self._seen = [event.window for event in catalog.events]

    def moved(self, state: State) -> list[Moved]:
        return [
            (key, read(state, slot) or 0, state[time])
            for key, read, slot, time in self._times
            if state[time] != EPOCH
        ]

    def is_known(self, state: State) -> bool:
        """Whether the user has had an event of this catalog."""
        return any(state[window] for window in self._seen)

    def earliest(self, state: State, moved: Sequence[Moved]) -> datetime | None:
        """The earliest event time that the state still shows."""
        starts = [moment_of(state[slot + 1] * DAY_US) for _, slot in self.streaks if state[slot + 1] is not None]
        return min([at for _, _, at in moved] + starts, default=None)


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
        moves = {of.catalog: (state[ZONE] or of.zone, of.moved(state)) for of in self._shown}
        return Progress(
            latest.user,
            encode_json({of.catalog: values(state, of.metrics) for of in self._shown}),
            encode_json({of.catalog: {key: run_of(state, slot) for key, slot in of.streaks} for of in self._shown}),
            encode_json({of.catalog: values(state, of.windows) for of in self._shown if of.windows}),
            state[ZONE],
            append_moment(latest.record),
            moves,
            {
                of.catalog: of.earliest(state, moves[of.catalog][1]) or appended_at(latest.record)
                for of in self._shown
                if of.is_known(state)
            },
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
                past = await read_past(cursor, [row.user for row in rows.rows])
                incoming = copied([progress_row(row, past.get(row.user, UNKNOWN)) for row in rows.rows])
                async with cursor.copy(SQL["copy_incoming"]) as copy:
                    await copy.write(incoming)
                await cursor.execute(SQL["upsert_progress"], prepare=False)
            if rows.erased:
                await cursor.execute(SQL["delete_progress"], {"users": rows.erased})
        return 0


async def read_past(cursor: AsyncCursor, users: list[str]) -> dict[str, Past]:
    await cursor.execute(SQL["read_past"], {"users": users}, prepare=False)
    return {user: Past(decode_paces(pace), decode_times(known)) for user, pace, known in await cursor.fetchall()}


def readers(metrics: Sequence[MetricSpec]) -> list[tuple[str, ReadValue, int]]:
    return [(metric.key, value_reader(metric), metric.slot) for metric in metrics]


def values(state: State, read: Sequence[tuple[str, ReadValue, int]]) -> dict[str, int | None]:
    return {key: value_of(state, slot) for key, value_of, slot in read}


def run_of(state: State, slot: int) -> dict[str, int | None]:
    """The present run of a streak and its longest: what a reader needs for the current streak.

    Units: days since 1970; first_day and last_day are None before the first active day.
    """
    return {"first_day": state[slot + 1], "last_day": state[slot + 2], "longest": state[slot + 3]}


def progress_row(row: Progress, past: Past) -> bytes:
    """The columns of `copy_incoming`, in its order."""
    paces = {
        catalog: follow(past.paces.get(catalog, {}), moved, zone) for catalog, (zone, moved) in row.moves.items()
    }
    return b"".join(
        (
            _begin_progress(8, 8, row.updated_at),
            text(row.user),
            nullable(row.zone),
            jsonb(row.metrics),
            jsonb(row.streaks),
            jsonb(row.windows),
            jsonb(encode_json(paces)),
            jsonb(encode_json(dict(earliest(past.known_since, row.known_since)))),
        )
    )


def earliest(one: Mapping[str, datetime], other: Mapping[str, datetime]) -> Iterator[tuple[str, datetime]]:
    for catalog in one.keys() | other.keys():
        yield catalog, min(times[catalog] for times in (one, other) if catalog in times)


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
