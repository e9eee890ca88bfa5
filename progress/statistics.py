"""A user in numbers."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import msgspec

from progress.categories import CategoryProgress, categories_of
from progress.levels import Level, level_of
from progress.milestones import Milestone, milestones
from progress.rows import Award
from progress.standing import Standing
from progress.streaks import Streak, tell_streaks

LATELY = timedelta(30)


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """All that is held, added up.

    `total_earned` counts achievements, each once whatever its tiers and scopes; `awards` counts every award;
    `total_badge_xp` is what the awards held have given, `points` their points. `current_streak` is the headline's,
    0 in a catalog without one. `completion_percent` is of what everybody can still earn.
    """

    total_earned: int
    categories_completed: list[str]
    current_streak: int
    highest_tier_earned: str | None
    total_badge_xp: int
    awards: int
    revoked: int
    points: int
    completion_percent: int
    by_rarity: dict[str, int]
    by_tier: dict[str, int]
    categories: list[CategoryProgress]
    streaks: list[Streak]
    level: Level | None
    challenges_completed: int
    first_earned_at: datetime | None
    last_earned_at: datetime | None
    earned_in_30_days: int
    milestones: list[Milestone]


def statistics(standing: Standing, language: str | None = None) -> Statistics:
    held = [award for award in standing.person.awards if award.revocation is None]
    categories = categories_of(standing, language)
    streaks = tell_streaks(standing.program, standing.person.streaks, standing.today)
    moments = [award.earned_at for award in held]
    return Statistics(
        total_earned=len({award.achievement for award in held}),
        categories_completed=[each.category for each in categories if each.completed],
        current_streak=next((streak.current for streak in streaks if streak.headline), 0),
        highest_tier_earned=highest_tier(standing, held),
        total_badge_xp=sum(award.xp for award in held),
        awards=len(held),
        revoked=len(standing.person.awards) - len(held),
        points=sum(award.points for award in held),
        completion_percent=_completion(categories),
        by_rarity=dict(Counter(award.rarity for award in held)),
        by_tier=dict(Counter(award.tier for award in held if award.tier)),
        categories=categories,
        streaks=streaks,
        level=level_of(standing, language),
        challenges_completed=len(standing.person.challenges),
        first_earned_at=min(moments, default=None),
        last_earned_at=max(moments, default=None),
        earned_in_30_days=sum(moment > standing.now - LATELY for moment in moments),
        milestones=milestones(standing),
    )


def highest_tier(standing: Standing, held: list[Award]) -> str | None:
    """By the catalog's ladder; a tier that a newer version does not know any more is the lowest."""
    places = {tier: place for place, tier in enumerate(standing.program.tiers)}
    tiers = {award.tier for award in held if award.tier}
    return max(sorted(tiers), key=lambda tier: places.get(tier, -1), default=None)


def _completion(categories: list[CategoryProgress]) -> int:
    total = sum(category.total for category in categories)
    return sum(category.earned for category in categories) * 100 // total if total else 0
