"""streak with grace or freezes, and what any streak is after a journey over the date line: chains of runs.

Here the answer is worked out anew from the sets of days, freezes and edge days (schemas/streaks.py), but for the
day after the latest one, which only makes the present chain longer.

Slots: older runs, first, last, longest, length of the present chain, freezes.
"""

from __future__ import annotations

from bisect import insort
from datetime import datetime

from processor.evaluator.metrics.days import day_of
from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step, Thresholds
from processor.evaluator.metrics.runs import insert, pack, unpack, with_day
from schemas.events import Attributes
from schemas.program import MetricSpec
from schemas.state import EDGES_MAX, FREEZE, FREEZES_MAX, State, edges_of, freezes_of, runs_of, storage_of
from schemas.streaks import (
    EDGE,
    EDGE_EAST,
    EDGE_WEST,
    Chain,
    chains,
    day_number,
    joins,
    length_of,
)
from schemas.zones import ZonesNearTheDateLine, day_start, local_minutes_ahead

LONGEST, LENGTH, FREEZES = 3, 4, 5
NEAR_THE_DATE_LINE = ZonesNearTheDateLine(EDGE_WEST, EDGE_EAST)


def make_step(context: FeedContext) -> Step:
    if any(context.feed is freeze for freeze in context.metric.freezes):
        return _make_freeze_step(context)
    slot, zone, reached = context.metric.slot, context.zone, context.thresholds.reached

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        own_zone = event.timezone or zone
        day, last = day_of(at, own_zone), state[slot + 2]
        near = NEAR_THE_DATE_LINE[own_zone]
        if day == last and not near:
            return None
        if near or last is None or day != last + 1:
            return take_day(state, context, day, at, own_zone)
        state[slot + 2], state[slot + LENGTH] = day, state[slot + LENGTH] + 1
        length = state[slot + LENGTH]
        if length <= state[slot + LONGEST]:
            return None
        state[slot + LONGEST] = length
        return [(reached[length], day_start(day, own_zone))] if length in reached else None

    return step


def _make_freeze_step(context: FeedContext) -> Step:
    metric, place = context.metric, context.metric.slot + FREEZES

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        freezes = freezes_of(state, metric)
        if len(freezes) >= FREEZES_MAX:
            return None
        own_zone = event.timezone or context.zone
        insort(freezes, day_of(at, own_zone))
        state[place] = _packed(freezes)
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
    found = chains_of(state, metric)
    if not found:
        return None
    before = state[metric.slot + LONGEST]
    longest = max(found, key=length_of)
    _keep(state, metric, found)
    return [
        (thresholds.reached[value], day_start(day_number(longest, value), zone))
        for value in thresholds.values_between(before, length_of(longest))
    ] or None


def chains_of(state: State, metric: MetricSpec) -> list[Chain]:
    joined = joins(edges_of(state, metric))
    return chains(runs_of(state, metric), metric.grace, freezes_of(state, metric), joined)


def _keep(state: State, metric: MetricSpec, found: list[Chain]) -> None:
    state[metric.slot + LONGEST] = max(map(length_of, found))
    if storage_of(metric) == "streak bridged":
        state[metric.slot + LENGTH] = length_of(found[-1])


def settle(state: State, metric: MetricSpec) -> None:
    """What follows from days, freezes and edge days."""
    found = chains_of(state, metric)
    if found:
        _keep(state, metric, found)


def merge(earlier: Slots, later: Slots) -> Slots:
    runs = unpack(*earlier[:3])
    for first, last in unpack(*later[:3]):
        for day in range(first, last + 1):
            runs, _ = with_day(runs, day)
    freezes = sorted([*FREEZE.iter_unpack(earlier[FREEZES]), *FREEZE.iter_unpack(later[FREEZES])])
    packed = _packed([day for (day,) in freezes[:FREEZES_MAX]])
    return (*pack(runs), 0, 0, packed) if runs else (*earlier[:FREEZES], packed)


def _packed(freezes: list[int]) -> bytes:
    return b"".join(map(FREEZE.pack, freezes))


KIND = Kind(make_step, merge, settle)
