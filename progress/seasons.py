"""Windows as a reader sees them: whether an achievement can be earned today."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from progress.standing import Standing, day_date
from schemas.periods import PERIOD_OF
from schemas.program import AchievementSpec, Period

SeasonState = Literal["upcoming", "open", "over"]


class Season(msgspec.Struct, frozen=True, kw_only=True):
    """When an achievement can be earned. Shapes: `until` is the first day on which it cannot any more.

    With `every` it can be earned once in each period; first and last day are those of the present `period`.
    """

    state: SeasonState
    first: date | None = msgspec.field(name="from")
    until: date | None
    every: Period | None = None
    period: str | None = None


def season_of(standing: Standing, entry: AchievementSpec) -> Season | None:
    """None for what can be earned at any time."""
    window = entry.window
    if window is None:
        return None
    if window.every:
        return _present_period(standing, window.every)
    return Season(
        state=_state(standing.today, window.first_day, window.end_day),
        first=None if window.first_day is None else day_date(window.first_day),
        until=None if window.end_day is None else day_date(window.end_day),
    )


def _state(today: int, first_day: int | None, end_day: int | None) -> SeasonState:
    if first_day is not None and today < first_day:
        return "upcoming"
    return "over" if end_day is not None and today >= end_day else "open"


def _present_period(standing: Standing, every: Period) -> Season:
    first, end = period_days(standing.today, every)
    return Season(
        state="open", first=day_date(first), until=day_date(end), every=every, period=standing.period(every)
    )


def period_days(day: int, every: Period) -> tuple[int, int]:
    """The first day of the period of a day, and that of the next one. Units: days since 1970."""
    number = PERIOD_OF[every](day)
    first, end = day, day + 1
    while PERIOD_OF[every](first - 1) == number:
        first -= 1
    while PERIOD_OF[every](end) == number:
        end += 1
    return first, end


def is_open(standing: Standing, entry: AchievementSpec) -> bool:
    season = season_of(standing, entry)
    return season is None or season.state == "open"
