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
    SLOT_OF_TIME,
    ZONE,
    NewerState,
    State,
    decode_control,
    decode_state,
    edges_of,
    freezes_of,
    fresh_state,
    period_values,
    present_chain,
    storage_of,
    value_reader,
)
from schemas.topics import Names
from schemas.zones import DAY_US, EPOCH, moment_of

SQL = statements("user_progress.sql")

USERS_PER_TURN = 200  # decoded before the other projections of this process get their turn

PERIODS_SHOWN = 8  # the latest of a repeating window

ReadProgram = Callable[[], Awaitable[Program]]
ReadValue = Callable[[State, int], int | None]

_begin_progress = Struct(">hiq").pack


class Latest(NamedTuple):
    """The last state record of a user in these batches."""

    user: str
    record: Record
    place: str


class Moves(NamedTuple):
    """What has moved of a catalog, and the zone in which its days are counted."""

    zone: str
    moved: list[Moved]


class Progress(NamedTuple):
    """A row of `user_progress` as far as the state has it.

    Shapes: metrics, streaks and windows are JSON; moves and known_since, the earliest event time that the state
    shows, are by catalog. Units: updated_at, as columns.moment.
    """

    user: str
    metrics: bytes
    streaks: bytes
    windows: bytes
    zone: str | None
    updated_at: int
    moves: dict[str, Moves]
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
        plain = [metric for metric in catalog.metrics if metric.every is None]
        self.catalog, self._zone = catalog.catalog, catalog.timezone
        self._named = readers([metric for metric in plain if HIDDEN_MARK not in metric.key])
        self._seasons = readers([metric for metric in plain if HIDDEN_MARK in metric.key])
        self._repeating = [metric for metric in catalog.metrics if metric.every is not None]
        self._streaks = [metric for metric in plain if metric.kind == "streak"]
        self._timed = [
            (metric.key, value_reader(metric), metric.slot, metric.slot + SLOT_OF_TIME[storage_of(metric)])
            for metric in plain
            if metric.kind != "streak"
        ]
        self._events = [event.window for event in catalog.events]

    def metrics(self, state: State) -> dict[str, int | None]:
        return {key: value_of(state, slot) for key, value_of, slot in self._named}

    def streaks(self, state: State) -> dict[str, dict[str, int | None]]:
        return {metric.key: run_of(state, metric) for metric in self._streaks}

    def windows(self, state: State) -> dict[str, int | dict[str, int] | None]:
        seasons = {key: value_of(state, slot) for key, value_of, slot in self._seasons}
        return seasons | {metric.key: latest_periods(state, metric) for metric in self._repeating}

    def moves(self, state: State) -> Moves:
        moved = [
            (key, value_of(state, slot) or 0, state[time])
            for key, value_of, slot, time in self._timed
            if state[time] != EPOCH
        ]
        return Moves(state[ZONE] or self._zone, moved)

    def is_known(self, state: State) -> bool:
        """Whether the user has had an event of this catalog."""
        return any(state[window] for window in self._events)

    def known_since(self, state: State, moved: Sequence[Moved]) -> datetime | None:
        """The earliest event time that the state still shows."""
        days = [state[metric.slot + 1] for metric in self._streaks]
        starts = [moment_of(day * DAY_US) for day in days if day is not None]
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
        moves = {of.catalog: of.moves(state) for of in self._shown}
        known = [of for of in self._shown if of.is_known(state)]
        appended = appended_at(latest.record)
        return Progress(
            latest.user,
            encode_json({of.catalog: of.metrics(state) for of in self._shown}),
            encode_json({of.catalog: of.streaks(state) for of in self._shown}),
            encode_json({of.catalog: windows for of in self._shown if (windows := of.windows(state))}),
            state[ZONE],
            append_moment(latest.record),
            moves,
            {of.catalog: of.known_since(state, moves[of.catalog].moved) or appended for of in known},
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


def run_of(state: State, metric: MetricSpec) -> dict[str, int | None]:
    """The present run of a streak and its longest: what a reader needs for the current streak.

    Units: days since 1970; first_day and last_day are None before the first active day. Shapes: length is less than
    the days from first to last where grace or freezes bridged some; freezes are those left.
    """
    first, last, longest = state[metric.slot + 1 : metric.slot + 4]
    if first is None:
        return run_row(None, None, 0, longest, len(freezes_of(state, metric)))
    if metric.grace or metric.freezes or edges_of(state, metric):
        chain = present_chain(state, metric)
        assert chain is not None, "it has a first day"
        return run_row(chain.first_day, chain.last_day, chain.length, longest, chain.freezes_left)
    return run_row(first, last, last - first + 1, longest, 0)


def run_row(first: int | None, last: int | None, length: int, longest: int, freezes: int) -> dict[str, int | None]:
    return {"first_day": first, "last_day": last, "length": length, "longest": longest, "freezes": freezes}


def latest_periods(state: State, metric: MetricSpec) -> dict[str, int]:
    return dict(list(period_values(state, metric).items())[-PERIODS_SHOWN:])


def progress_row(row: Progress, past: Past) -> bytes:
    """The columns of `copy_incoming`, in its order."""
    paces = {
        catalog: follow(past.paces.get(catalog, {}), moves.moved, moves.zone)
        for catalog, moves in row.moves.items()
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
