"""Conditions as far as they are met, and the percentages that come of them.

A comparison is min(100, value / target · 100). `all` is the mean of its parts, prerequisites and the members of a
set being parts that are 0 or 100; `any` is its best part. What is not met never shows 100.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal, NamedTuple

import msgspec

from progress.standing import Number, Standing
from schemas.program import HIDDEN_MARK, AchievementSpec, All, AtLeast, Condition

ConditionKind = Literal["metric", "streak", "level", "award", "all", "any"]
PERCENT_UNMET_MAX = 99
SECRET = "secret"  # a prerequisite that may not be named


class ConditionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A condition, or one of its parts.

    Shapes: a comparison has metric, value and target (of a level, these are levels), a prerequisite `achievement`
    (and perhaps `tier`); all and any have their parts. Units: value and target as the author of the catalog writes.
    """

    name: str
    kind: ConditionKind
    met: bool
    percent: int
    metric: str | None = None
    value: Number | None = None
    target: Number | None = None
    achievement: str | None = None
    tier: str | None = None
    parts: list[ConditionStatus] = []


class Part(NamedTuple):
    """One of the things an achievement asks for: a condition under its name, or an award."""

    name: str
    wanted: Condition | AchievementSpec


def parts_of(standing: Standing, entry: AchievementSpec) -> list[Part]:
    """What has to be true, all of it: conditions, then prerequisites."""
    required = [standing.entries[name] for name in entry.requires if name in standing.entries]
    return [*_named(entry), *(Part(each.reference, each) for each in required)]


def _named(entry: AchievementSpec) -> list[Part]:
    if entry.conditions:
        return [Part(name, condition) for name, condition in entry.conditions.items()]
    conditions = entry.when.of if isinstance(entry.when, All) else [entry.when]
    return [Part(name_of(condition), condition) for condition in conditions]


def name_of(condition: Condition) -> str:
    """A comparison goes by its metric, without the window in which that is looked at."""
    if not isinstance(condition, AtLeast):
        return "all" if isinstance(condition, All) else "any"
    return "level" if condition.level else shown_metric(condition.metric)


def shown_metric(key: str) -> str:
    return key.partition(HIDDEN_MARK)[0]


def percent_of(standing: Standing, entry: AchievementSpec) -> int:
    """100 only when it is held."""
    if standing.holds(entry):
        return 100
    return _shown(mean(share_of(standing, part.wanted) for part in parts_of(standing, entry)), met=False)


def share_of(standing: Standing, wanted: Condition | AchievementSpec) -> Fraction:
    """How much of it is there, 0 to 1."""
    if isinstance(wanted, AchievementSpec):
        return Fraction(int(bool(standing.held(wanted.reference))))
    if isinstance(wanted, AtLeast):
        return Fraction(max(0, min(standing_value(standing, wanted), wanted.at)), wanted.at)
    shares = [share_of(standing, part) for part in wanted.of]
    return mean(shares) if isinstance(wanted, All) else max(shares)


def standing_value(standing: Standing, condition: AtLeast) -> int:
    """The value that counts: of a streak the longest run once that suffices, till then the present one."""
    value = standing.value(condition.metric)
    if value < condition.at and standing.is_streak(condition):
        return standing.current_run(condition.metric)
    return value


def is_met(standing: Standing, wanted: Condition | AchievementSpec) -> bool:
    return share_of(standing, wanted) == 1


def is_complete(standing: Standing, entry: AchievementSpec) -> bool:
    """Whether nothing is missing. It may not be awarded all the same: who was past a threshold before the
    achievement was there has never reached it since."""
    parts = parts_of(standing, entry)
    return bool(parts) and all(is_met(standing, part.wanted) for part in parts)


def mean(shares: Iterable[Fraction]) -> Fraction:
    """Of nothing: 0, for an award straight from an event has no way to it."""
    listed = list(shares)
    return sum(listed, Fraction()) / len(listed) if listed else Fraction()


def _shown(share: Fraction, met: bool) -> int:
    return 100 if met else min(PERCENT_UNMET_MAX, int(share * 100))


def statuses_of(standing: Standing, entry: AchievementSpec) -> list[ConditionStatus]:
    return [status_of(standing, part) for part in parts_of(standing, entry)]


def status_of(standing: Standing, part: Part) -> ConditionStatus:
    wanted = part.wanted
    if isinstance(wanted, AchievementSpec):
        return _award_status(standing, part.name, wanted)
    if isinstance(wanted, AtLeast):
        return _comparison_status(standing, part.name, wanted)
    share = share_of(standing, wanted)
    return ConditionStatus(
        name=part.name,
        kind="all" if isinstance(wanted, All) else "any",
        met=share == 1,
        percent=_shown(share, share == 1),
        parts=[status_of(standing, Part(name_of(each), each)) for each in wanted.of],
    )


def _award_status(standing: Standing, name: str, entry: AchievementSpec) -> ConditionStatus:
    met = bool(standing.held(entry.reference))
    if standing.is_hidden(entry):
        return ConditionStatus(name=SECRET, kind="award", met=False, percent=0)
    return ConditionStatus(
        name=name, kind="award", met=met, percent=100 if met else 0, achievement=entry.key, tier=entry.tier
    )


def _comparison_status(standing: Standing, name: str, wanted: AtLeast) -> ConditionStatus:
    share, value = share_of(standing, wanted), standing_value(standing, wanted)
    kind: ConditionKind = "streak" if standing.is_streak(wanted) else "metric"
    return ConditionStatus(
        name=name,
        kind="level" if wanted.level else kind,
        met=share == 1,
        percent=_shown(share, share == 1),
        metric=shown_metric(wanted.metric),
        value=standing.level(value) if wanted.level else standing.told(wanted.metric, value),
        target=wanted.level or standing.told(wanted.metric, wanted.at),
    )


def leaves(statuses: Iterable[ConditionStatus]) -> Iterator[ConditionStatus]:
    """The comparisons and prerequisites, without what holds them together."""
    for status in statuses:
        if status.parts:
            yield from leaves(status.parts)
        else:
            yield status


def flags_of(statuses: Iterable[ConditionStatus]) -> dict[str, bool]:
    """Name -> whether it is met; a name that stands twice is told with its target."""
    flags: dict[str, bool] = {}
    for leaf in leaves(statuses):
        name = f"{leaf.name} >= {leaf.target}" if leaf.name in flags else leaf.name
        flags[name] = leaf.met
    return flags
