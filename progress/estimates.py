"""How long it takes: what remains of each condition at the pace of this user.

Of a compound the latest of its conditions, of `any` the earliest that is known. A streak takes a day for each day
that is missing, as long as its present run has two days at least.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from progress.conditions import is_complete, is_met, parts_of, standing_value
from progress.pace import ACTIVE_DAYS_MIN, days_left, whole_days
from progress.seasons import season_of
from progress.standing import Standing, day_date, day_number
from schemas.program import AchievementSpec, All, AtLeast, Condition


def estimated_completion(standing: Standing, entry: AchievementSpec) -> date | None:
    """The day on which it is earned if the user goes on as lately; None where that cannot be told."""
    if standing.holds(entry):
        return None
    days = effort_days(standing, entry)
    return None if days is None else day_date(standing.today + whole_days(days))


def effort_days(standing: Standing, entry: AchievementSpec) -> float | None:
    """Days of the user's own pace that are left.

    None where the pace is unknown, where the window closes before, and where nothing is missing but the award.
    """
    if standing.holds(entry):
        return 0.0
    season = season_of(standing, entry)
    if not entry.is_active or (season and season.state != "open") or is_complete(standing, entry):
        return None
    days = _latest(_effort(standing, part.wanted) for part in parts_of(standing, entry))
    until = season.until if season else None
    late = days is not None and until is not None and standing.today + whole_days(days) >= day_number(until)
    return None if late else days


def _effort(standing: Standing, wanted: Condition | AchievementSpec) -> float | None:
    if is_met(standing, wanted):
        return 0.0
    if isinstance(wanted, AchievementSpec):
        return effort_days(standing, wanted)
    if isinstance(wanted, AtLeast):
        return _comparison_effort(standing, wanted)
    efforts = [_effort(standing, part) for part in wanted.of]
    return _latest(efforts) if isinstance(wanted, All) else _earliest(efforts)


def _comparison_effort(standing: Standing, wanted: AtLeast) -> float | None:
    remaining = wanted.at - standing_value(standing, wanted)
    if standing.is_streak(wanted):
        return _streak_effort(standing, wanted.metric, remaining)
    if standing.metrics[wanted.metric].kind == "max":  # the best single event: no sum of days leads there
        return None
    return days_left(remaining, standing.pace(wanted.metric), standing.utc_today)


def _streak_effort(standing: Standing, metric: str, remaining: int) -> float | None:
    """Today counts while it may still become an active day."""
    if standing.current_run(metric) < ACTIVE_DAYS_MIN:
        return None
    last_day = standing.run(metric).last_day
    active_today = last_day is not None and last_day >= standing.today
    return float(remaining if active_today else remaining - 1)


def _latest(efforts: Iterable[float | None]) -> float | None:
    """None when one of them is not known, or there is none at all."""
    known = list(efforts)
    return None if not known or None in known else max(days for days in known if days is not None)


def _earliest(efforts: Iterable[float | None]) -> float | None:
    return min((days for days in efforts if days is not None), default=None)
