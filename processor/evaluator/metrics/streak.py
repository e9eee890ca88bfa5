"""streak: the longest run of active days, each day taken in its event's zone.

Slots: older runs, first, last, longest. Days may arrive in any order: a late one is put where it belongs, so the
answer is a function of the set of days. An isolated day beyond STREAK_RUNS_MAX runs is not taken in. Only who was
near the date line once goes the way of streaks that bridge gaps.
"""

from __future__ import annotations

from datetime import datetime

from processor.evaluator.metrics.bridged import NEAR_THE_DATE_LINE, settle, take_day
from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from processor.evaluator.metrics.runs import OLDER_BYTES_MAX, insert, pack, unpack, with_day
from schemas.events import Attributes
from schemas.state import State
from schemas.streaks import RUN
from schemas.zones import EPOCH_DAY, day_start, local_day


def make_step(context: FeedContext) -> Step:  # noqa: C901
    """The usual day is the last one again or a later one; only a late one goes the long way. Hot."""
    slot = context.metric.slot
    first, last, longest = slot + 1, slot + 2, slot + 3
    zone, thresholds, edges = context.zone, context.thresholds, context.metric.edges

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        own_zone = event.timezone or zone
        if own_zone == "UTC":
            day = at.toordinal() - EPOCH_DAY
        elif edges is not None and NEAR_THE_DATE_LINE[own_zone]:
            return take_day(state, context, local_day(at, own_zone), at, own_zone)
        else:
            day = local_day(at, own_zone)
        present = state[last]
        if day == present:
            return None
        if edges is not None and state[edges]:
            return take_day(state, context, day, at, own_zone)
        if present is None:
            run_first = run_last = state[first] = state[last] = day
        elif day == present + 1:
            state[last] = day
            run_first, run_last = state[first], day
        elif day > present and len(state[slot]) < OLDER_BYTES_MAX:
            state[slot] += RUN.pack(state[first], present)
            run_first = run_last = state[first] = state[last] = day
        else:
            run_first, run_last = insert(state, slot, day)
        before, length = state[longest], run_last - run_first + 1
        if length <= before:
            return None
        state[longest] = length
        return [
            (thresholds.reached[value], day_start(run_first + value - 1, own_zone))
            for value in thresholds.values_between(before, length)
        ] or None

    return step


def merge(earlier: Slots, later: Slots) -> Slots:
    runs = unpack(*earlier[:3])
    for first, last in unpack(*later[:3]):
        for day in range(first, last + 1):
            runs, _ = with_day(runs, day)
    if not runs:
        return earlier
    return *pack(runs), max(last - first + 1 for first, last in runs)


KIND = Kind(make_step, merge, settle)
