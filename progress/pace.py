"""How fast a user goes, and how long the rest takes at that pace.

The rate is what was gained lately per day: a gain counts half after 14 days, and so does a day without one. It is
an average over the days since the first gain, so somebody who began yesterday is not told that they are slow.
"""

from __future__ import annotations

import math

from progress.rows import Pace

HALF_LIFE_DAYS = 14
ACTIVE_DAYS_MIN = 2
ESTIMATE_DAYS_MAX = 3650  # what lies further ahead is no estimate
ROUNDING = 1e-9


def daily_rate(pace: Pace, today: int) -> float | None:
    """Gained per day, None under two active days. Units: today, days since 1970."""
    if pace.days < ACTIVE_DAYS_MIN:
        return None
    today = max(today, pace.day)
    gained = pace.gained * _weight(today - pace.day)
    return gained / _days_weighed(today - pace.first_day + 1)


def days_left(remaining: int, pace: Pace | None, today: int) -> float | None:
    """Days until so much more is gained, None where the pace does not tell."""
    rate = daily_rate(pace, today) if pace else None
    if not rate or remaining / rate > ESTIMATE_DAYS_MAX:
        return None
    return remaining / rate


def whole_days(days: float) -> int:
    """Days that have to pass, a rounding error aside."""
    return math.ceil(days - ROUNDING)


def _weight(age_days: int) -> float:
    return math.exp2(-age_days / HALF_LIFE_DAYS)


def _days_weighed(count: int) -> float:
    """The weights of so many days, the newest of them today, together."""
    return (1 - _weight(count)) / (1 - _weight(1))
