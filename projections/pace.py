"""How fast the metrics of a user rise: what an estimated completion is told from.

Gains of long ago count less: half for every 14 days that lie between them and the latest one. What a metric loses
again (an undo, a falling gauge) is taken off. A metric's day is that of its own event time, so whoever folds a year
of history does not seem to have done it today; but only the last state of a batch is seen, and what it brought
together counts for its last day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from schemas.zones import local_day

HALF_LIFE_DAYS = 14

Moved = tuple[str, int, datetime]  # a metric, its value, and the event time up to which it has moved


class Pace(msgspec.Struct, gc=False, frozen=True):
    """Units: days since 1970. Shapes: `gained` is as of `day`, the last with a gain; `days` says how many had."""

    value: int
    gained: float
    day: int
    first_day: int
    days: int


def follow(paces: Mapping[str, Pace], moved: Sequence[Moved], zone: str) -> dict[str, Pace]:
    """The paces after these moves; a metric that is no longer there has none."""
    after: dict[str, Pace] = {}
    for metric, value, at in moved:
        before = paces.get(metric)
        if before is not None:
            after[metric] = before if value == before.value else followed(before, value, local_day(at, zone))
        elif value > 0:
            day = local_day(at, zone)
            after[metric] = Pace(value, value, day, day, 1)
    return after


def followed(before: Pace, value: int, day: int) -> Pace:
    change = value - before.value
    if change < 0:
        return Pace(value, max(0, before.gained + change), before.day, before.first_day, before.days)
    if day <= before.day:  # a late event: its metric's time stays where it was
        return Pace(value, round(before.gained + change, 4), before.day, before.first_day, before.days)
    faded = before.gained * 0.5 ** ((day - before.day) / HALF_LIFE_DAYS)
    return Pace(value, round(faded + change, 4), day, before.first_day, before.days + 1)
