"""Moments worth remembering: round numbers of awards and points, the first of a rarity or tier, a full category."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

import msgspec

from progress.categories import categories_of
from progress.rows import Award
from progress.standing import Standing

MilestoneKind = Literal["awards", "points", "rarity", "tier", "category", "level"]
AWARD_COUNTS = (1, 5, 10, 25, 50, 100, 250, 500, 1000)
POINT_COUNTS = (100, 500, 1_000, 5_000, 10_000, 50_000, 100_000)
RARE = ("rare", "epic", "legendary")
LEVELS_EVERY = 5


class Milestone(msgspec.Struct, frozen=True, kw_only=True):
    """Shapes: `reached` is the number, rarity, tier, category or level; `key` the achievement that made it so."""

    at: datetime
    kind: MilestoneKind
    reached: str
    key: str | None = None


def milestones(standing: Standing) -> list[Milestone]:
    """Out of what is still held, oldest first."""
    held = sorted((each for each in standing.person.awards if not each.revocation), key=lambda each: each.earned_at)
    found = [
        *_counts(held, "awards", AWARD_COUNTS, [1] * len(held)),
        *_counts(held, "points", POINT_COUNTS, [award.points for award in held]),
        *_firsts(held),
        *_categories(standing),
        *_levels(standing),
    ]
    return sorted(found, key=lambda each: each.at)


def _counts(held: list[Award], kind: MilestoneKind, marks: Iterable[int], gains: list[int]) -> Iterator[Milestone]:
    total, ahead = 0, list(marks)
    for award, gain in zip(held, gains, strict=True):
        total += gain
        while ahead and total >= ahead[0]:
            yield Milestone(at=award.earned_at, kind=kind, reached=str(ahead.pop(0)), key=award.achievement)


def _firsts(held: list[Award]) -> Iterator[Milestone]:
    seen: set[str] = set()
    for award in held:
        named: list[tuple[MilestoneKind, str]] = [("rarity", award.rarity)] if award.rarity in RARE else []
        named += [("tier", award.tier)] if award.tier else []
        for kind, name in named:
            if name not in seen:
                seen.add(name)
                yield Milestone(at=award.earned_at, kind=kind, reached=name, key=award.achievement)


def _categories(standing: Standing) -> Iterator[Milestone]:
    for category in categories_of(standing):
        if category.completed_at:
            yield Milestone(at=category.completed_at, kind="category", reached=category.category)


def _levels(standing: Standing) -> Iterator[Milestone]:
    for reached in standing.person.levels:
        if reached.level % LEVELS_EVERY == 0:
            yield Milestone(at=reached.earned_at, kind="level", reached=str(reached.level))
