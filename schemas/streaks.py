"""Chains of active days: what a streak bridges, as a function of the sets of days and freezes.

A gap between two active days is bridged by grace (so many missed days in a row), by freezes (one for each missed
day beyond grace, dated on or before the last missed one), or because the missed day never was: a journey over the
date line skips it. Freezes are given to gaps in the order of the days, to each all that it needs or none.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

RUN = struct.Struct(">ii")  # first day, last day
EDGE = struct.Struct(">ihh")  # day, least and greatest offset from UTC in minutes, of those near the date line
EDGE_WEST, EDGE_EAST = -10 * 60, 13 * 60
SKIPPED_DAY = 24 * 60

Run = tuple[int, int]  # first day, last day
Chain = list[Run]
Edge = tuple[int, int, int]


def chains(runs: Iterable[Run], grace: int, freezes: Sequence[int], joined: Collection[int]) -> list[Chain]:
    """The runs, those together between which every gap is bridged.

    Shapes: runs and freezes (days) in order; joined are the days behind which one was skipped.
    """
    found: list[Chain] = []
    used = before = 0
    for run in runs:
        needed = _needed(before, run[0], grace, joined) if found else 0
        if not found or (needed and needed > bisect_left(freezes, run[0]) - used):
            found.append([run])
        else:
            used += needed
            found[-1].append(run)
        before = run[1]
    return found


class Lengths(NamedTuple):
    """The active days of the longest of the chains, and of the last one; how many freezes all of them use."""

    longest: int
    last: int
    used: int


def lengths(runs: Iterable[Run], grace: int, freezes: Sequence[int], joined: Collection[int]) -> Lengths:
    """Hot: what `chains` says, without them."""
    longest = length = used = 0
    before: int | None = None
    for first, last in runs:
        needed = 0 if before is None else first - before - 1 - grace
        if needed > 0 and joined:
            needed = _needed(before or 0, first, grace, joined)
        if needed > 0 and needed > bisect_left(freezes, first) - used:
            longest, length = max(longest, length), 0
        elif needed > 0:
            used += needed
        length += last - first + 1
        before = last
    return Lengths(max(longest, length), length, used)


def _needed(last: int, first: int, grace: int, joined: Collection[int]) -> int:
    missed = first - last - 1
    return 0 if missed <= grace or (missed == 1 and last in joined) else missed - grace


def freezes_left(found: Iterable[Chain], grace: int, freezes: Sequence[int], joined: Collection[int]) -> int:
    """How many freezes no chain has used."""
    gaps = (gap for chain in found for gap in _gaps(chain))
    return len(freezes) - sum(_needed(last, first, grace, joined) for last, first in gaps)


def _gaps(chain: Chain) -> Iterator[tuple[int, int]]:
    return ((before[1], after[0]) for before, after in pairwise(chain))


def length_of(chain: Chain) -> int:
    """The active days of a chain."""
    return sum(last - first + 1 for first, last in chain)


def day_number(chain: Chain, number: int) -> int:
    """The day that is this active day of a chain, the first being 1."""
    for first, last in chain:
        if number <= last - first + 1:
            return first + number - 1
        number -= last - first + 1
    raise ValueError("a chain has no such day")


def joins(edges: Iterable[Edge]) -> set[int]:
    """The days behind which a day was skipped: an event on d, and on d+2 one at least 24 hours further east."""
    known = {day: (west, east) for day, west, east in edges}
    return {day for day, (west, _) in known.items() if day + 2 in known and known[day + 2][1] - west >= SKIPPED_DAY}
