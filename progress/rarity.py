"""Rarity as measured, beside the one an author declared."""

from __future__ import annotations

import msgspec

USERS_MIN = 20  # of fewer a percentage says more about somebody than about the achievement


class Holders(msgspec.Struct, frozen=True, kw_only=True):
    """How many users hold an achievement, or a tier of it."""

    achievement: str
    tier: str | None
    holders: int
    users: int


class Rarity(msgspec.Struct, frozen=True, kw_only=True):
    """Shapes: `percent` of the users of the catalog, two places, None below 20 users."""

    achievement: str
    tier: str | None
    declared: str
    holders: int
    users: int
    percent: float | None


def measured_percent(holders: int, users: int) -> float | None:
    return round(100 * holders / users, 2) if users >= USERS_MIN else None


def rarity_of(held: Holders, declared: str) -> Rarity:
    return Rarity(
        achievement=held.achievement,
        tier=held.tier,
        declared=declared,
        holders=held.holders,
        users=held.users,
        percent=measured_percent(held.holders, held.users),
    )
