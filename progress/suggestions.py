"""What to go for next: the closest first, by the days it takes at the user's own pace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from math import inf
from typing import NamedTuple

import msgspec

from progress.conditions import ConditionStatus, is_complete, percent_of, statuses_of
from progress.estimates import effort_days
from progress.pace import whole_days
from progress.seasons import is_open
from progress.standing import Standing, day_date
from progress.translations import texts_of
from schemas.program import AchievementSpec, AtLeast

SUGGESTIONS = 5


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """An unearned achievement. Units: `days_left` of the user's own pace, None where that is not known.

    Shapes: `leads_to` are the achievements that ask for this one, by their keys.
    """

    key: str
    tier: str | None
    name: str
    description: str
    icon: str
    category: str
    rarity: str
    points: int
    percent: int
    days_left: float | None
    estimated_completion: date | None
    missing: list[ConditionStatus]
    leads_to: list[str]


class Ranked(NamedTuple):
    """Sorts by effort: few days first, an unknown pace last and then by what is done already."""

    days: float
    undone: int
    order: int
    rank: int
    entry: AchievementSpec


def suggest(standing: Standing, language: str | None = None, count: int = SUGGESTIONS) -> list[Suggestion]:
    """The closest unearned: what can be worked for now, nothing secret, the next step only of each family."""
    chosen: dict[str, Ranked] = {}
    for ranked in by_effort(standing):
        prepared = all(standing.held(name) for name in ranked.entry.requires)
        if prepared and not is_complete(standing, ranked.entry):
            chosen.setdefault(family_of(ranked.entry), ranked)
    leads_to = dependants(standing)
    return [suggestion_of(standing, ranked, leads_to, language) for ranked in [*chosen.values()][:count]]


def by_effort(standing: Standing) -> list[Ranked]:
    """Everything that is still to be earned and may be told, the closest first."""
    open_entries = [entry for entry in standing.program.achievements if can_be_told(standing, entry)]
    return sorted((ranked_of(standing, entry) for entry in open_entries), key=lambda ranked: ranked[:4])


def can_be_told(standing: Standing, entry: AchievementSpec) -> bool:
    """Unearned, and neither secret, nor inactive, nor out of its season."""
    return entry.is_active and not entry.secret and not standing.holds(entry) and is_open(standing, entry)


def ranked_of(standing: Standing, entry: AchievementSpec) -> Ranked:
    days = effort_days(standing, entry)
    return Ranked(inf if days is None else days, 100 - percent_of(standing, entry), entry.order, entry.rank, entry)


def family_of(entry: AchievementSpec) -> str:
    """Tiers of one key are a family, and so is whatever asks one metric alone for more and more."""
    if entry.tier is None and isinstance(entry.when, AtLeast):
        return f"{entry.when.metric} >="
    return entry.key


def suggestion_of(
    standing: Standing, ranked: Ranked, leads_to: Mapping[str, list[str]], language: str | None
) -> Suggestion:
    entry, texts = ranked.entry, texts_of(ranked.entry, language)
    days = None if ranked.days == inf else ranked.days
    return Suggestion(
        key=entry.key,
        tier=entry.tier,
        name=texts.name,
        description=texts.description,
        icon=entry.icon,
        category=entry.category,
        rarity=entry.rarity,
        points=entry.points,
        percent=100 - ranked.undone,
        days_left=None if days is None else tenths(days),
        estimated_completion=None if days is None else day_date(standing.today + whole_days(days)),
        missing=[status for status in statuses_of(standing, entry) if not status.met],
        leads_to=leads_to.get(entry.reference, []),
    )


def tenths(days: float) -> float:
    """Rounded up, so that whole days of it are those to the estimated date."""
    return whole_days(days * 10) / 10


def dependants(standing: Standing) -> dict[str, list[str]]:
    """Reference -> the keys of what asks for it and can still be earned."""
    found: dict[str, list[str]] = {}
    for entry in standing.program.achievements:
        for name in entry.requires if can_be_told(standing, entry) else []:
            found.setdefault(name, []).append(entry.key)
    return found
