"""What is earned again and again: once in every period, or for every instance of something."""

from __future__ import annotations

from datetime import datetime

import msgspec

from progress.rows import Award
from progress.standing import Number, Standing
from schemas.errors import LaurelError
from schemas.periods import first_day
from schemas.program import AchievementSpec, AtLeast, Period
from schemas.zones import day_start


class PeriodProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A period in which something was counted, or earned. Shapes: `value` is None where it is not kept any more."""

    period: str
    value: Number | None
    earned_at: datetime | None


class ScopeEarned(msgspec.Struct, frozen=True, kw_only=True):
    """One award of an achievement that has one for each instance."""

    scope: str
    earned_at: datetime
    metadata: dict[str, object]


def periods_of(standing: Standing, entry: AchievementSpec) -> list[PeriodProgress]:
    """The periods known, newest first, the present one always among them."""
    every = every_of(entry)
    if every is None:
        return []
    values = values_of(standing, entry)
    earned = {award.scope: award.earned_at for award in standing.held(entry.reference)}
    names = {standing.period(every), *values, *earned}
    return [
        PeriodProgress(period=name, value=values.get(name), earned_at=earned.get(name))
        for name in sorted(names, reverse=True)
    ]


def values_of(standing: Standing, entry: AchievementSpec) -> dict[str, Number]:
    """By period, those that are still kept."""
    if not isinstance(entry.when, AtLeast):
        return {}
    metric, kept = entry.when.metric, standing.person.metrics.get(entry.when.metric)
    return {name: standing.told(metric, value) for name, value in kept.items()} if isinstance(kept, dict) else {}


def scopes_of(entry: AchievementSpec, awards: list[Award]) -> list[ScopeEarned]:
    if entry.scope is None:
        return []
    return [ScopeEarned(scope=each.scope, earned_at=each.earned_at, metadata=each.metadata) for each in awards]


def comes_again(entry: AchievementSpec) -> bool:
    return entry.scope is not None or every_of(entry) is not None


def every_of(entry: AchievementSpec) -> Period | None:
    return entry.window.every if entry.window else None


def standing_in(standing: Standing, entry: AchievementSpec, scope: str) -> Standing:
    """Where the user stands in one instance or period of an achievement: without the awards of the others.

    Raises: LaurelError where there is no such thing.
    """
    if not comes_again(entry):
        what = f"'{entry.key}' is given once, for no instance or period"
        raise LaurelError(f"{what}: ask without '{scope}'")
    awards = [each for each in standing.person.awards if each.achievement != entry.key or each.scope == scope]
    person = msgspec.structs.replace(standing.person, awards=awards)
    return Standing(standing.program, person, _moment_in(standing, every_of(entry), scope))


def _moment_in(standing: Standing, every: Period | None, scope: str) -> datetime:
    """Now, or the first moment of another period."""
    if every is None or scope == standing.period(every):
        return standing.now
    day = first_day(scope, every)
    if day is None:
        raise LaurelError(f"'{scope}' is no {every}: write it as {standing.period(every)}")
    return day_start(day, standing.zone)
