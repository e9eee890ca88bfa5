"""count, sum and distinct of every day, week or month: one value for each of the latest PERIODS_MAX periods.

An event counts in the period of its own local day, however late it comes; one of a period before all that are kept,
when none is free, counts for nothing.

Slots: older periods in order, the latest period, and its values as the kind without periods keeps them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from processor.evaluator.metrics.bounds import keep_out
from processor.evaluator.metrics.days import day_of
from processor.evaluator.metrics.distinct import place_of, value_hash, value_of
from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from processor.evaluator.metrics.sum import saturated
from schemas.events import Attributes
from schemas.periods import PERIOD_OF
from schemas.state import (
    ID_BYTES,
    PERIOD,
    PERIOD_DISTINCT_MAX,
    PERIOD_HASHES,
    PERIOD_SUMS,
    PERIODS_MAX,
    VALUE_MAX,
    State,
    unpack_period_hashes,
)
from schemas.zones import EPOCH, EPOCH_DAY, microseconds, moment_of

HASHES_BYTES_MAX = PERIOD_DISTINCT_MAX * ID_BYTES
pack_row = PERIOD_SUMS.pack
SUMS_BYTES_MAX = (PERIODS_MAX - 1) * PERIOD_SUMS.size

Sums = tuple[int, int, datetime]  # plus, minus, time
Hashes = tuple[bytes, datetime]


class Instance(NamedTuple):
    """What waits for a threshold, in one period. Shapes: value is the period's."""

    waiting: object
    period: int
    value: int


def make_step(context: FeedContext) -> Step:
    """The usual event is of the latest period or a later one; only a late one goes the long way. Hot."""
    slot, field = context.metric.slot, context.attribute(context.metric.of or "")
    present, plus, minus, time = range(slot + 1, slot + 5)
    moved = plus if context.feed.sign > 0 else minus
    period_of, ordered = _period_reader(context), context.thresholds.ordered

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        amount = getattr(data, field)
        if amount is None:
            return None
        period, latest = period_of(at, event), state[present]
        if period != latest:
            if latest is not None:
                if period < latest:
                    return _late(context, state, period, amount, at)
                state[slot] = _with_row(state[slot], latest, state[plus], state[minus], state[time])
            state[present], state[plus], state[minus], state[time] = period, 0, 0, at
        elif at > state[time]:
            state[time] = at
        before, total = state[plus] - state[minus], state[moved] + amount
        state[moved] = total if -VALUE_MAX <= total <= VALUE_MAX else saturated(total)
        after = state[plus] - state[minus]
        next_one = bisect_right(ordered, before)
        if next_one == len(ordered) or after < ordered[next_one]:
            return None
        return _crossed(context, period, before, after, state[time])

    return step


def make_count_step(context: FeedContext) -> Step:
    """As `make_step`, of what moves by one. Hot."""
    slot, rises, reached = context.metric.slot, context.feed.sign > 0, context.thresholds.reached
    waits = rises and bool(reached)
    present, plus, minus, time = range(slot + 1, slot + 5)
    moved, zone, number = plus if rises else minus, context.zone, _number_of(context)

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        own_zone, latest = event.timezone or zone, state[present]
        day = at.toordinal() - EPOCH_DAY if own_zone == "UTC" else day_of(at, own_zone)
        period = day if number is None else number(day)
        if period != latest:
            if latest is not None:
                if period < latest:
                    return _late(context, state, period, 1, at)
                state[slot] = _with_row(state[slot], latest, state[plus], state[minus], state[time])
            state[present], state[plus], state[minus], state[time] = period, 0, 0, at
        elif at > state[time]:
            state[time] = at
        state[moved] += 1
        if not waits:
            return None
        count = state[plus] - state[minus]
        return [(Instance(reached[count], period, count), state[time])] if count in reached else None

    return step


def _with_row(older: bytes, period: int, plus: int, minus: int, at: datetime) -> bytes:
    """The older periods with one that is over behind them. Hot: of days, few have a second event."""
    rows = older + pack_row(period, plus, minus, microseconds(at))
    return rows if len(rows) <= SUMS_BYTES_MAX else rows[-SUMS_BYTES_MAX:]


def _late(context: FeedContext, state: State, period: int, amount: int, at: datetime) -> Crossed | None:
    """An event of a period that is over."""
    older = context.metric.slot
    place = place_of(state[older], PERIOD.pack(period), PERIOD_SUMS.size)
    if place < 0:
        return _into_a_gap(context, state, period, amount, at)
    _, *values, known_at = PERIOD_SUMS.unpack_from(state[older], place)
    before = (values[0], values[1], moment_of(known_at))
    after = _moved(before, amount, context.feed.sign, at)
    row = PERIOD_SUMS.pack(period, after[0], after[1], microseconds(after[2]))
    state[older] = state[older][:place] + row + state[older][place + PERIOD_SUMS.size :]
    return _crossed(context, period, before[0] - before[1], after[0] - after[1], after[2])


def _into_a_gap(context: FeedContext, state: State, period: int, amount: int, at: datetime) -> Crossed | None:
    """An event of a period that is over and had none, where there is room for it."""
    slots = slice(context.metric.slot, context.metric.slot + 5)
    periods = unpack_sums(tuple(state[slots]))
    if not has_room(periods, period):
        return None
    periods[period] = after = _moved((0, 0, EPOCH), amount, context.feed.sign, at)
    state[slots] = pack_sums(periods)
    return _crossed(context, period, 0, after[0] - after[1], after[2])


def _moved(values: Sums, amount: int, sign: int, at: datetime) -> Sums:
    plus, minus, time = values
    if sign > 0:
        return saturated(plus + amount), minus, max(time, at)
    return plus, saturated(minus + amount), max(time, at)


def _crossed(context: FeedContext, period: int, before: int, after: int, at: datetime) -> Crossed | None:
    crossed = context.thresholds.between(before, after, at)
    return crossed and [(Instance(waiting, period, after), moment) for waiting, moment in crossed]


def _period_reader(context: FeedContext) -> Callable[[datetime, Attributes], int]:
    """The period of an event, by its local day."""
    zone, number = context.zone, _number_of(context)

    def period(at: datetime, event: Attributes) -> int:
        own_zone = event.timezone or zone
        day = at.toordinal() - EPOCH_DAY if own_zone == "UTC" else day_of(at, own_zone)
        return day if number is None else number(day)

    return period


def _number_of(context: FeedContext) -> Callable[[int], int] | None:
    """What numbers the period of a day; nothing where a day is one."""
    every = context.metric.every
    assert every is not None
    return None if every == "day" else PERIOD_OF[every]


def has_room(periods: dict[int, Sums] | dict[int, Hashes], period: int) -> bool:
    if period in periods or len(periods) < PERIODS_MAX or period > min(periods):
        return True
    keep_out("periods")
    return False


def unpack_sums(slots: Slots) -> dict[int, Sums]:
    older, present, *values = slots
    rows = PERIOD_SUMS.iter_unpack(older)
    periods = {period: (plus, minus, moment_of(at)) for period, plus, minus, at in rows}
    return periods if present is None else periods | {present: tuple(values)}


def pack_sums(periods: dict[int, Sums]) -> Slots:
    """The slots of the latest periods."""
    *older, present = sorted(periods)[-PERIODS_MAX:]
    rows = ((period, *periods[period]) for period in older)
    packed = (PERIOD_SUMS.pack(period, plus, minus, microseconds(at)) for period, plus, minus, at in rows)
    return b"".join(packed), present, *periods[present]


def make_distinct_step(context: FeedContext) -> Step:  # noqa: C901
    """As `make_step`, of values. Hot."""
    slot, period_of = context.metric.slot, _period_reader(context)
    read, hash_of = value_of(context), value_hash(context)
    older, present, values, time = range(slot, slot + 4)
    ordered = context.thresholds.ordered

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        digest = hash_of(read(data))
        if digest is None:
            return None
        period, latest = period_of(at, event), state[present]
        if period != latest:
            if latest is not None and period < latest:
                return late(state, period, digest, at)
            if latest is not None:
                state[older] = _shelved(state[older], latest, state[values], state[time])
            state[present : slot + 4] = period, b"", EPOCH
        if at > state[time]:
            state[time] = at
        hashes = state[values]
        if place_of(hashes, digest, ID_BYTES) >= 0:
            return None
        if len(hashes) >= HASHES_BYTES_MAX:
            keep_out("period values")
            return None
        state[values] = hashes + digest
        if not ordered:
            return None
        size = len(hashes) // ID_BYTES
        return _crossed(context, period, size, size + 1, state[time])

    def late(state: State, period: int, digest: bytes, at: datetime) -> Crossed | None:
        periods = unpack_hashes(tuple(state[slot : slot + 4]))
        if not has_room(periods, period):
            return None
        kept = periods.get(period, (b"", EPOCH))
        periods[period] = after = _with_hash(kept, digest, at)
        state[slot : slot + 4] = pack_hashes(periods)
        return _crossed(context, period, len(kept[0]) // ID_BYTES, len(after[0]) // ID_BYTES, after[1])

    return step


def _shelved(older: bytes, period: int, hashes: bytes, at: datetime) -> bytes:
    """The older periods with one that is over behind them, the latest that there is room for."""
    older += PERIOD_HASHES.pack(period, microseconds(at), len(hashes)) + hashes
    if len(older) < PERIODS_MAX * (PERIOD_HASHES.size + ID_BYTES):  # each has one value at least
        return older
    starts = [*_row_starts(older)]
    return older[starts[-(PERIODS_MAX - 1)] :] if len(starts) >= PERIODS_MAX else older


def _row_starts(older: bytes) -> Iterator[int]:
    place = 0
    while place < len(older):
        yield place
        place += PERIOD_HASHES.size + PERIOD_HASHES.unpack_from(older, place)[2]


def _with_hash(kept: Hashes, digest: bytes, at: datetime) -> Hashes:
    hashes, time = kept
    if place_of(hashes, digest, ID_BYTES) < 0:
        if len(hashes) < HASHES_BYTES_MAX:
            hashes += digest
        else:
            keep_out("period values")
    return hashes, max(time, at)


def unpack_hashes(slots: Slots) -> dict[int, Hashes]:
    older, present, *values = slots
    periods = {period: (hashes, at) for period, at, hashes in unpack_period_hashes(older)}
    return periods if present is None else periods | {present: tuple(values)}


def pack_hashes(periods: dict[int, Hashes]) -> Slots:
    """The slots of the latest periods."""
    *older, present = sorted(periods)[-PERIODS_MAX:]
    rows = ((period, *periods[period]) for period in older)
    packed = (PERIOD_HASHES.pack(period, microseconds(at), len(hashes)) + hashes for period, hashes, at in rows)
    return b"".join(packed), present, *periods[present]


def merge_sums(earlier: Slots, later: Slots) -> Slots:
    periods = unpack_sums(earlier)
    for period, (plus, minus, time) in unpack_sums(later).items():
        known = periods.get(period, (0, 0, EPOCH))
        periods[period] = saturated(known[0] + plus), saturated(known[1] + minus), max(known[2], time)
    return pack_sums(periods) if periods else earlier


def merge_hashes(earlier: Slots, later: Slots) -> Slots:
    periods = unpack_hashes(earlier)
    for period, (hashes, time) in unpack_hashes(later).items():
        known = periods.get(period, (b"", EPOCH))
        for start in range(0, len(hashes), ID_BYTES):
            known = _with_hash(known, hashes[start : start + ID_BYTES], time)
        periods[period] = known
    return pack_hashes(periods) if periods else earlier


SUMS = Kind(make_step, merge_sums)
COUNTS = Kind(make_count_step, merge_sums)
DISTINCT = Kind(make_distinct_step, merge_hashes)
