"""The periods that a window repeats in: days, weeks and months of the calendar, numbered and named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import lru_cache

from schemas.program import Period
from schemas.zones import EPOCH_DAY

EPOCH_WEEKDAY = 3  # 1970 began on a Thursday, the fourth day of a week that begins on Monday
DAYS_A_WEEK = 7
DAYS_MAX = date(9999, 1, 1).toordinal() - EPOCH_DAY  # behind it the calendar ends
FIRST_DAY: dict[Period, str] = {"day": "", "week": "-1", "month": "-01"}


def _week(day: int) -> int:
    return (day + EPOCH_WEEKDAY) // DAYS_A_WEEK


def _month(day: int) -> int:
    at = _date(day)
    return (at.year - 1970) * 12 + at.month - 1


PERIOD_OF: dict[Period, Callable[[int], int]] = {
    "day": lambda day: day,
    "week": _week,
    "month": lru_cache(4096)(_month),
}
"""The number of the period that holds a day. Units: days since 1970."""


@lru_cache(maxsize=4096)
def period_name(period: int, every: Period) -> str:
    """`2026-11-21`, `2026-W47` (ISO 8601) or `2026-11`."""
    if every == "month":
        return f"{1970 + period // 12:04}-{period % 12 + 1:02}"
    if every == "day":
        return _date(period).isoformat()
    year, week, _ = _date(period * DAYS_A_WEEK - EPOCH_WEEKDAY).isocalendar()
    return f"{year:04}-W{week:02}"


def first_day(name: str, every: Period) -> int | None:
    """The day on which the period of this name begins, in days since 1970; None where none is called so."""
    try:
        day = date.fromisoformat(name + FIRST_DAY[every]).toordinal() - EPOCH_DAY
    except ValueError:
        return None
    return day if 0 <= day < DAYS_MAX and period_name(PERIOD_OF[every](day), every) == name else None


def _date(day: int) -> date:
    return date.fromordinal(day + EPOCH_DAY)
