"""Categories, and how much of each a user has.

What counts is what everybody can still earn: active, not secret, not bound to a season, and no set itself. Of tiers
the lowest suffices.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from progress.standing import Standing
from progress.translations import category_title
from schemas.program import AchievementSpec


class CategoryProgress(msgspec.Struct, frozen=True, kw_only=True):
    category: str
    title: str
    earned: int
    total: int
    percent: int
    completed: bool
    completed_at: datetime | None


def counts(entry: AchievementSpec) -> bool:
    usual = entry.window is None and entry.all_of is None and entry.rank == 0
    return usual and entry.is_active and not entry.secret


def categories_of(standing: Standing, language: str | None = None) -> list[CategoryProgress]:
    """In the order of the catalog; a category in which nothing counts is left out."""
    grouped: dict[str, list[AchievementSpec]] = {key: [] for key, _ in standing.program.categories}
    for entry in filter(counts, standing.program.achievements):
        grouped.setdefault(entry.category, []).append(entry)
    return [_category(standing, key, entries, language) for key, entries in grouped.items() if key and entries]


def _category(
    standing: Standing, key: str, entries: list[AchievementSpec], language: str | None
) -> CategoryProgress:
    firsts = [_first_earned(standing, entry) for entry in entries]
    earned = [moment for moment in firsts if moment is not None]
    completed = len(earned) == len(entries)
    return CategoryProgress(
        category=key,
        title=category_title(standing.program, key, language),
        earned=len(earned),
        total=len(entries),
        percent=len(earned) * 100 // len(entries),
        completed=completed,
        completed_at=max(earned) if completed else None,
    )


def _first_earned(standing: Standing, entry: AchievementSpec) -> datetime | None:
    return min((award.earned_at for award in standing.held(entry.reference)), default=None)
