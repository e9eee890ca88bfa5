"""streak with grace or freezes, and what any streak is after a journey over the date line: chains of runs.

Here the answer is worked out anew from the sets of days, freezes and edge days (schemas/streaks.py), but for a day
after the latest one, which makes the present chain longer or begins another, and for a freeze that no gap can use.

Slots: older runs, first, last, longest, length of the present chain, freezes. Apart from them, how many freezes the
chains have used: with it a gap behind the latest day is judged without the others.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from datetime import datetime

from processor.evaluator.metrics.bounds import keep_out
from processor.evaluator.metrics.days import day_of
from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step, Thresholds
from processor.evaluator.metrics.runs import OLDER_BYTES_MAX, insert, pack, unpack, with_day
from schemas.events import Attributes
from schemas.program import MetricSpec
from schemas.state import EDGES_MAX, FREEZE, FREEZES_MAX, State, edges_of, freezes_of, runs_of, storage_of
from schemas.streaks import (
    EDGE,
    EDGE_EAST,
    EDGE_WEST,
    RUN,
    Run,
    chains,
    day_number,
    joins,
    length_of,
    lengths,
)
from schemas.zones import EPOCH_DAY, ZonesNearTheDateLine, day_start, local_minutes_ahead

LONGEST, LENGTH, FREEZES = 3, 4, 5
pack_run = RUN.pack
FREEZE_BYTES = FREEZE.size
FREEZES_BYTES_MAX = FREEZES_MAX * FREEZE_BYTES
NEAR_THE_DATE_LINE = ZonesNearTheDateLine(EDGE_WEST, EDGE_EAST)


def make_step(context: FeedContext) -> Step:  # noqa: C901
    """A day after the latest one goes no long way. Hot."""
    if any(context.feed is freeze for freeze in context.metric.freezes):
        return _make_freeze_step(context)
    metric, zone, reached = context.metric, context.zone, context.thresholds.reached
    grace, edges, used = metric.grace, metric.edges, metric.used
    older, first, latest, longest, present, freezes = range(metric.slot, metric.slot + FREEZES + 1)
    day_of_freeze = FREEZE.unpack_from

    def step(  # noqa: C901
        state: State, data: Data, at: datetime, event: Attributes
    ) -> Crossed | None:
        own_zone, last = event.timezone or zone, state[latest]
        if own_zone == "UTC":
            day = at.toordinal() - EPOCH_DAY
        else:
            day = day_of(at, own_zone)
            if NEAR_THE_DATE_LINE[own_zone]:
                return take_day(state, context, day, at, own_zone)
        if last is None:
            return take_day(state, context, day, at, own_zone)
        gap = day - last
        if gap <= 0:
            return take_day(state, context, day, at, own_zone) if gap else None
        length = state[present] + 1
        if gap > 1:
            runs = state[older]
            if len(runs) >= OLDER_BYTES_MAX:
                return take_day(state, context, day, at, own_zone)
            state[older] = runs + pack_run(state[first], last)
            state[first] = state[latest] = day
            if edges is not None and state[edges]:
                return reckon(state, metric, context.thresholds, own_zone)
            needed = gap - 1 - grace
            if needed > 0:
                dated = state[freezes]
                end = len(dated)
                in_use = 0 if used is None else state[used]
                if needed > end // FREEZE_BYTES - (in_use or 0):
                    length = 1
                elif used is None or in_use is None:
                    length = _reckon_latest(state, metric)
                else:
                    while end and day_of_freeze(dated, end - FREEZE_BYTES)[0] >= day:
                        end -= FREEZE_BYTES  # of few: almost always all are of days before
                    if needed > end // FREEZE_BYTES - in_use:
                        length = 1
                    else:
                        state[used] = in_use + needed
        state[latest], state[present] = day, length
        if length <= state[longest]:
            return None
        state[longest] = length
        return [(reached[length], day_start(day, own_zone))] if length in reached else None

    return step


def _reckon_latest(state: State, metric: MetricSpec) -> int:
    """The length of the latest chain, of a state that does not say yet how many freezes are used."""
    found = lengths(runs_of(state, metric), metric.grace, freezes_of(state, metric), ())
    if metric.used is not None:
        state[metric.used] = found.used
    return found.last


def _make_freeze_step(context: FeedContext) -> Step:
    metric, place, latest_run = context.metric, context.metric.slot + FREEZES, context.metric.slot + 1
    zone, pack, last_of = context.zone, FREEZE.pack, FREEZE.unpack_from

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        known: bytes = state[place]
        size = len(known)
        if size >= FREEZES_BYTES_MAX:
            keep_out("freezes")
            return None
        own_zone = event.timezone or zone
        day = at.toordinal() - EPOCH_DAY if own_zone == "UTC" else day_of(at, own_zone)
        is_last = not size or last_of(known, size - FREEZE_BYTES)[0] <= day
        state[place] = known + pack(day) if is_last else _with_freeze(known, day)
        latest = state[latest_run]
        if latest is None or day >= latest:
            return None  # no gap lies behind it
        return reckon(state, metric, context.thresholds, own_zone)

    return step


def take_day(state: State, context: FeedContext, day: int, at: datetime, zone: str) -> Crossed | None:
    """Take in a day, wherever it belongs, and by which clock it was lived."""
    metric = context.metric
    travelled = _note_edge(state, metric, day, at, zone)
    known = any(first <= day <= last for first, last in runs_of(state, metric))
    if not known:
        insert(state, metric.slot, day)
    return reckon(state, metric, context.thresholds, zone) if travelled or not known else None


def _note_edge(state: State, metric: MetricSpec, day: int, at: datetime, zone: str) -> bool:
    """Remember an event near the date line; returns whether that was new."""
    if metric.edges is None or not NEAR_THE_DATE_LINE[zone]:
        return False
    offset = local_minutes_ahead(at, zone)
    if EDGE_WEST < offset < EDGE_EAST:
        return False
    known: bytes = state[metric.edges]
    state[metric.edges] = packed = united_edges(known, EDGE.pack(day, offset, offset))
    return known != packed


def united_edges(one: bytes, other: bytes) -> bytes:
    """The edge days of both, the latest EDGES_MAX of them."""
    edges: dict[int, tuple[int, int]] = {}
    for day, west, east in (*EDGE.iter_unpack(one), *EDGE.iter_unpack(other)):
        known = edges.get(day, (west, east))
        edges[day] = min(known[0], west), max(known[1], east)
    if len(edges) > EDGES_MAX:
        keep_out("edge days")
    return b"".join(EDGE.pack(day, *edges[day]) for day in sorted(edges)[-EDGES_MAX:])


def reckon(state: State, metric: MetricSpec, thresholds: Thresholds, zone: str) -> Crossed | None:
    """Work out the chains; what is crossed is dated by the longest, the first of equals."""
    before = state[metric.slot + LONGEST]
    longest = _reckoned(state, metric)
    if longest <= before:
        return None
    chain = max(chains(*_known(state, metric)), key=length_of)
    return [
        (thresholds.reached[value], day_start(day_number(chain, value), zone))
        for value in thresholds.values_between(before, longest)
    ] or None


def settle(state: State, metric: MetricSpec) -> None:
    """What follows from days, freezes and edge days."""
    _reckoned(state, metric)


def _reckoned(state: State, metric: MetricSpec) -> int:
    """Keep what follows from days, freezes and edge days. Returns the length of the longest chain."""
    found = lengths(*_known(state, metric))
    if found.last:
        state[metric.slot + LONGEST] = found.longest
        if storage_of(metric) == "streak bridged":
            state[metric.slot + LENGTH] = found.last
        if metric.used is not None:
            state[metric.used] = found.used
    return found.longest


def _known(state: State, metric: MetricSpec) -> tuple[Iterator[Run], int, list[int], set[int]]:
    """All that decides the chains."""
    joined = joins(edges_of(state, metric)) if metric.edges is not None and state[metric.edges] else set()
    return runs_of(state, metric), metric.grace, freezes_of(state, metric), joined


def merge(earlier: Slots, later: Slots) -> Slots:
    runs = unpack(*earlier[:3])
    for first, last in unpack(*later[:3]):
        for day in range(first, last + 1):
            runs, _ = with_day(runs, day)
    freezes = sorted([*FREEZE.iter_unpack(earlier[FREEZES]), *FREEZE.iter_unpack(later[FREEZES])])
    packed = _packed([day for (day,) in freezes[:FREEZES_MAX]])
    return (*pack(runs), 0, 0, packed) if runs else (*earlier[:FREEZES], packed)


def _with_freeze(freezes: bytes, day: int) -> bytes:
    days = [each for (each,) in FREEZE.iter_unpack(freezes)]
    insort(days, day)
    return _packed(days)


def _packed(freezes: list[int]) -> bytes:
    return b"".join(map(FREEZE.pack, freezes))


KIND = Kind(make_step, merge, settle)
