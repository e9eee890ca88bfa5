"""How fast the metrics of a user rise: what an estimated completion is told from.

Gains of long ago count less: half for every 14 days that lie between them and the latest one. What a metric loses
again (an undo, a falling gauge) is taken off. A metric's day is that of its own event time, so whoever folds a year
of history does not seem to have done it today; but only the last state of a batch is seen, and what it brought
together counts for its last day.

A pace changes only when its metric moves on a new day: what it gained since then is its value less `base`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

HALF_LIFE_DAYS = 14

Values = Mapping[str, int | None]


class Pace(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """A metric's gains, as of the day on which it last moved.

    Units: days since 1970, in UTC. Shapes: base is its value when `day` began, gained what it had gained before
    that, faded to `day`; all that it gained is max(0, gained + value - base). days counts those on which it moved.
    """

    base: int
    gained: float
    day: int
    first_day: int
    days: int


def follow(paces: Mapping[str, Pace], before: Values, moved: Iterable[tuple[str, int]]) -> dict[str, Pace]:
    """The paces of metrics that last moved on these days, having had the values `before`."""
    return {metric: paced(paces.get(metric), before.get(metric) or 0, day) for metric, day in moved}


def paced(pace: Pace | None, value: int, day: int) -> Pace:
    if pace is None:
        return Pace(value, 0, day, day, 1)
    if day <= pace.day:
        return pace
    gained = max(0, pace.gained + value - pace.base) * 0.5 ** ((day - pace.day) / HALF_LIFE_DAYS)
    return Pace(value, round(gained, 3), day, pace.first_day, pace.days + 1)
