"""streak: the longest run of active days, each day taken in its event's zone.

Slots: older runs, first, last, longest. Days may arrive in any order: a late one is put where it belongs, so the
answer is a function of the set of days. An isolated day beyond STREAK_RUNS_MAX runs is not taken in.
"""

from __future__ import annotations

from datetime import datetime

from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from schemas.events import Attributes
from schemas.state import STREAK_RUNS_MAX, State
from schemas.streaks import RUN
from schemas.zones import EPOCH_DAY, day_start, local_day

OLDER_BYTES_MAX = (STREAK_RUNS_MAX - 1) * RUN.size

Runs = list[tuple[int, int]]


def make_step(context: FeedContext) -> Step:
    """The usual day is the last one again or a later one; only a late one goes the long way."""
    slot = context.metric.slot
    first, last, longest = slot + 1, slot + 2, slot + 3
    zone, thresholds = context.zone, context.thresholds

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        own_zone = event.timezone or zone
        day = at.toordinal() - EPOCH_DAY if own_zone == "UTC" else local_day(at, own_zone)
        present = state[last]
        if day == present:
            return None
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


def insert(state: State, slot: int, day: int) -> tuple[int, int]:
    """Put a day into the runs; returns the run it now belongs to, or an empty one when it was not taken in."""
    runs, run = with_day(unpack(state[slot], state[slot + 1], state[slot + 2]), day)
    state[slot], state[slot + 1], state[slot + 2] = pack(runs)
    return run


def with_day(runs: Runs, day: int) -> tuple[Runs, tuple[int, int]]:
    """The runs with a day in them, and the run that holds it."""
    touching = [run for run in runs if run[0] - 1 <= day <= run[1] + 1]
    if not touching and len(runs) >= STREAK_RUNS_MAX:
        return runs, (day, day - 1)
    joined = min([day, *(run[0] for run in touching)]), max([day, *(run[1] for run in touching)])
    return sorted([run for run in runs if run not in touching] + [joined]), joined


def unpack(older: bytes, first: int | None, last: int | None) -> Runs:
    runs: Runs = list(RUN.iter_unpack(older))
    return runs if first is None or last is None else [*runs, (first, last)]


def pack(runs: Runs) -> tuple[bytes, int, int]:
    return b"".join(RUN.pack(*run) for run in runs[:-1]), *runs[-1]


def merge(earlier: Slots, later: Slots) -> Slots:
    runs = unpack(*earlier[:3])
    for first, last in unpack(*later[:3]):
        for day in range(first, last + 1):
            runs, _ = with_day(runs, day)
    if not runs:
        return earlier
    return *pack(runs), max(last - first + 1 for first, last in runs)


KIND = Kind(make_step, merge)
