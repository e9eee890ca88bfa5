"""Runs of active days, as a streak keeps them: older ones packed, the present one apart."""

from __future__ import annotations

from processor.evaluator.metrics.bounds import keep_out
from schemas.state import STREAK_RUNS_MAX, State
from schemas.streaks import RUN

OLDER_BYTES_MAX = (STREAK_RUNS_MAX - 1) * RUN.size

Runs = list[tuple[int, int]]


def insert(state: State, slot: int, day: int) -> tuple[int, int]:
    """Put a day into the runs; returns the run it now belongs to, or an empty one when it was not taken in."""
    runs, run = with_day(unpack(state[slot], state[slot + 1], state[slot + 2]), day)
    state[slot], state[slot + 1], state[slot + 2] = pack(runs)
    return run


def with_day(runs: Runs, day: int) -> tuple[Runs, tuple[int, int]]:
    """The runs with a day in them, and the run that holds it."""
    touching = [run for run in runs if run[0] - 1 <= day <= run[1] + 1]
    if not touching and len(runs) >= STREAK_RUNS_MAX:
        keep_out("streak runs")
        return runs, (day, day - 1)
    joined = min([day, *(run[0] for run in touching)]), max([day, *(run[1] for run in touching)])
    return sorted([run for run in runs if run not in touching] + [joined]), joined


def unpack(older: bytes, first: int | None, last: int | None) -> Runs:
    runs: Runs = list(RUN.iter_unpack(older))
    return runs if first is None or last is None else [*runs, (first, last)]


def pack(runs: Runs) -> tuple[bytes, int, int]:
    return b"".join(RUN.pack(*run) for run in runs[:-1]), *runs[-1]
