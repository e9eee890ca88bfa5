"""What is earned again and again: once in every period, or for every instance of something."""

from __future__ import annotations

from datetime import datetime

import msgspec

from progress.rows import Award
from progress.standing import Number, Standing
from schemas.program import AchievementSpec, AtLeast


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
    if entry.window is None or entry.window.every is None:
        return []
    values = values_of(standing, entry)
    earned = {award.scope: award.earned_at for award in standing.held(entry.reference)}
    names = {standing.period(entry.window.every), *values, *earned}
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
