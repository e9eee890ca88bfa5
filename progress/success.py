"""How well a catalog does: five numbers out of views of the read models."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import msgspec

from schemas.program import CatalogProgram

NAMED = 5


class Earned(msgspec.Struct, frozen=True, kw_only=True):
    """How many users hold an achievement, any tier of it."""

    achievement: str
    holders: int


class DayRate(msgspec.Struct, frozen=True, kw_only=True):
    """What was earned on a day, in UTC."""

    day: date
    awards: int
    users: int


class Success(msgspec.Struct, frozen=True, kw_only=True):
    """Of the users who had an event of the catalog.

    Shapes: percentages and averages are None while there is no user; `most_earned` and `least_earned` hold a few,
    of what is active and not secret; `unlock_rate` only days on which something was earned, oldest first.
    """

    catalog: str
    users: int
    users_with_award: int
    users_with_award_percent: float | None
    awards: int
    awards_per_user: float | None
    most_earned: list[Earned]
    least_earned: list[Earned]
    mean_time_to_first: timedelta | None
    median_time_to_first: timedelta | None
    unlock_rate: list[DayRate]


def extremes(program: CatalogProgram, earned: Iterable[Earned]) -> tuple[list[Earned], list[Earned]]:
    """The most and the least earned, equals in the order of their keys; nothing secret."""
    told = {entry.key for entry in program.achievements if entry.is_active and not entry.secret}
    named = sorted((each for each in earned if each.achievement in told), key=lambda each: each.achievement)
    most = sorted(named, key=lambda each: -each.holders)
    least = sorted(named, key=lambda each: each.holders)
    return most[:NAMED], least[:NAMED]
