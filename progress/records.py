"""Progress in the form that a badge system keeps it: what was earned, how far the rest is, and the sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any

import msgspec

from progress.achievements import Family, families_of
from progress.conditions import ConditionStatus, flags_of, percent_of, statuses_of
from progress.estimates import estimated_completion
from progress.standing import Standing
from progress.statistics import statistics

EARNED_PERCENT = 100


class EarnedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A badge that is held; of one with tiers the highest, `xp_earned` being that of all of them."""

    earned: bool
    earned_date: datetime
    xp_earned: int
    tier: str | None
    conditions_met: list[str]
    progress_when_earned: int
    context: dict[str, Any]


class ProgressRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A badge that is not held, or has a tier that is not."""

    progress: int
    conditions_status: dict[str, bool]
    last_updated: datetime | None
    estimated_completion: date | None


class BadgeStats(msgspec.Struct, frozen=True, kw_only=True):
    total_earned: int
    categories_completed: list[str]
    current_streak: int
    highest_tier_earned: str | None
    total_badge_xp: int


class BadgeRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Shapes: by the key of the achievement."""

    badges: dict[str, EarnedRecord]
    badge_progress: dict[str, ProgressRecord]
    badge_stats: BadgeStats


def records_of(standing: Standing) -> BadgeRecords:
    families = {family.entries[0].key: family for family in families_of(standing)}
    told = statistics(standing)
    return BadgeRecords(
        badges={key: earned_record(standing, each) for key, each in families.items() if _held(standing, each)},
        badge_progress={
            key: record for key, each in families.items() if (record := progress_record(standing, each))
        },
        badge_stats=BadgeStats(**{name: getattr(told, name) for name in BadgeStats.__struct_fields__}),
    )


def _held(standing: Standing, family: Family) -> bool:
    return any(standing.held(entry.reference) for entry in family.entries)


def earned_record(standing: Standing, family: Family) -> EarnedRecord:
    """Of a family of which something is held."""
    highest = [entry for entry in family.entries if standing.held(entry.reference)][-1]
    first = standing.held(highest.reference)[-1]
    conditions = statuses_of(standing, highest)
    return EarnedRecord(
        earned=True,
        earned_date=first.earned_at,
        xp_earned=sum(award.xp for entry in family.entries for award in standing.held(entry.reference)),
        tier=highest.tier,
        conditions_met=list(dict.fromkeys(met_once(conditions))),
        progress_when_earned=EARNED_PERCENT,
        context=first.context,
    )


def met_once(conditions: Iterable[ConditionStatus], needed: bool = True) -> Iterator[str]:
    """What was met when it was earned, whatever fell since; of `any`, where that is not known, what is met now."""
    for condition in conditions:
        if condition.parts:
            yield from met_once(condition.parts, needed and condition.kind == "all")
        elif needed or condition.met:
            yield condition.name


def progress_record(standing: Standing, family: Family) -> ProgressRecord | None:
    """Of what is to be earned next; None when everything is."""
    aim = next((entry for entry in family.entries if not standing.holds(entry)), None)
    if aim is None:
        return None
    return ProgressRecord(
        progress=percent_of(standing, aim),
        conditions_status=flags_of(statuses_of(standing, aim)),
        last_updated=standing.person.updated_at,
        estimated_completion=estimated_completion(standing, aim),
    )
