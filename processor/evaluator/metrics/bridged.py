"""streak with grace or freezes, and what any streak is after a journey over the date line: chains of runs.

Here the answer is worked out anew from the sets of days, freezes and edge days (schemas/streaks.py), but for a day
after the latest one, which makes the present chain longer or begins another, and for a freeze that no gap can use.

Slots: older runs, first, last, longest, length of the present chain, freezes.
"""

from __future__ import annotations

from bisect import insort
from datetime import datetime

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
    Chain,
    chains,
    day_number,
    joins,
    length_of,
)
from schemas.zones import ZonesNearTheDateLine, day_start, local_minutes_ahead

LONGEST, LENGTH, FREEZES = 3, 4, 5
FREEZES_BYTES_MAX = FREEZES_MAX * FREEZE.size
NEAR_THE_DATE_LINE = ZonesNearTheDateLine(EDGE_WEST, EDGE_EAST)


def make_step(context: FeedContext) -> Step:
    if any(context.feed is freeze for freeze in context.metric.freezes):
        return _make_freeze_step(context)
    metric, zone, reached = context.metric, context.zone, context.thresholds.reached
    slot = metric.slot

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        own_zone = event.timezone or zone
        day, last = day_of(at, own_zone), state[slot + 2]
        near = NEAR_THE_DATE_LINE[own_zone]
        if day == last and not near:
            return None
        if near or last is None or day < last:
            return take_day(state, context, day, at, own_zone)
        if day == last + 1:
            length = state[slot + LENGTH] + 1
        elif is_plain_gap(state, metric, day - last - 1):
            length = state[slot + LENGTH] + 1 if day - last - 1 <= metric.grace else 1
            state[slot] += RUN.pack(state[slot + 1], last)
            state[slot + 1] = day
        else:
            return take_day(state, context, day, at, own_zone)
        state[slot + 2], state[slot + LENGTH] = day, length
        if length <= state[slot + LONGEST]:
            return None
        state[slot + LONGEST] = length
        return [(reached[length], day_start(day, own_zone))] if length in reached else None

    return step


def is_plain_gap(state: State, metric: MetricSpec, missed: int) -> bool:
    """Whether grace alone decides if a gap before a new run is bridged, and there is room for the run."""
    if len(state[metric.slot]) >= OLDER_BYTES_MAX or (metric.edges is not None and state[metric.edges]):
        return False
    return missed <= metric.grace or not state[metric.slot + FREEZES]


def _make_freeze_step(context: FeedContext) -> Step:
    metric, place, latest_run = context.metric, context.metric.slot + FREEZES, context.metric.slot + 1

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        if len(state[place]) >= FREEZES_BYTES_MAX:
            return None
        own_zone = event.timezone or context.zone
        day = day_of(at, own_zone)
        state[place] = _with_freeze(state[place], day)
        if state[latest_run] is None or day >= state[latest_run]:
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
    return b"".join(EDGE.pack(day, *edges[day]) for day in sorted(edges)[-EDGES_MAX:])


def reckon(state: State, metric: MetricSpec, thresholds: Thresholds, zone: str) -> Crossed | None:
    """Work out the chains; what is crossed is dated by the longest, the first of equals."""
    found, before = chains_of(state, metric), state[metric.slot + LONGEST]
    if not found:
        return None
    lengths = [*map(length_of, found)]
    longest = max(lengths)
    _keep(state, metric, lengths)
    return [
        (thresholds.reached[value], day_start(day_number(found[lengths.index(longest)], value), zone))
        for value in thresholds.values_between(before, longest)
    ] or None


def chains_of(state: State, metric: MetricSpec) -> list[Chain]:
    joined = joins(edges_of(state, metric))
    return chains(runs_of(state, metric), metric.grace, freezes_of(state, metric), joined)


def _keep(state: State, metric: MetricSpec, lengths: list[int]) -> None:
    state[metric.slot + LONGEST] = max(lengths)
    if storage_of(metric) == "streak bridged":
        state[metric.slot + LENGTH] = lengths[-1]


def settle(state: State, metric: MetricSpec) -> None:
    """What follows from days, freezes and edge days."""
    found = chains_of(state, metric)
    if found:
        _keep(state, metric, [*map(length_of, found)])


def merge(earlier: Slots, later: Slots) -> Slots:
    runs = unpack(*earlier[:3])
    for first, last in unpack(*later[:3]):
        for day in range(first, last + 1):
            runs, _ = with_day(runs, day)
    freezes = sorted([*FREEZE.iter_unpack(earlier[FREEZES]), *FREEZE.iter_unpack(later[FREEZES])])
    packed = _packed([day for (day,) in freezes[:FREEZES_MAX]])
    return (*pack(runs), 0, 0, packed) if runs else (*earlier[:FREEZES], packed)


def _with_freeze(freezes: bytes, day: int) -> bytes:
    if not freezes or FREEZE.unpack_from(freezes, len(freezes) - FREEZE.size)[0] <= day:
        return freezes + FREEZE.pack(day)
    days = [each for (each,) in FREEZE.iter_unpack(freezes)]
    insort(days, day)
    return _packed(days)


def _packed(freezes: list[int]) -> bytes:
    return b"".join(map(FREEZE.pack, freezes))


KIND = Kind(make_step, merge, settle)
