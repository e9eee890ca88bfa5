"""The tiers of an achievement, and the members of a set: what an achievement consists of."""

from __future__ import annotations

from datetime import datetime

import msgspec

from progress.conditions import ConditionStatus, percent_of, statuses_of
from progress.standing import Standing
from progress.translations import texts_of
from schemas.program import AchievementSpec


class TierProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One tier, low before high."""

    tier: str
    rank: int
    name: str
    rarity: str
    points: int
    xp: int
    earned: bool
    earned_at: datetime | None
    percent: int
    conditions: list[ConditionStatus]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a set asks for."""

    key: str
    tier: str | None
    name: str
    held: bool


def tier_progress(standing: Standing, entry: AchievementSpec, language: str | None) -> TierProgress:
    awards = standing.held(entry.reference)
    return TierProgress(
        tier=entry.tier or "",
        rank=entry.rank,
        name=texts_of(entry, language).name,
        rarity=entry.rarity,
        points=entry.points,
        xp=entry.xp,
        earned=bool(awards),
        earned_at=awards[0].earned_at if awards else None,
        percent=percent_of(standing, entry),
        conditions=statuses_of(standing, entry),
    )


def members_of(standing: Standing, entry: AchievementSpec, language: str | None) -> list[Member]:
    if entry.all_of is None:
        return []
    members = [standing.entries[name] for name in entry.requires if name in standing.entries]
    return [
        Member(
            key=member.key,
            tier=member.tier,
            name=texts_of(member, language).name,
            held=bool(standing.held(member.reference)),
        )
        for member in members
    ]
