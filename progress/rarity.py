"""Rarity as measured, beside the one an author declared."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from schemas.program import AchievementSpec, CatalogProgram

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


def rarities(program: CatalogProgram, held: Iterable[Holders]) -> list[Rarity]:
    """Of everything active that is no secret, in the order of the catalog."""
    counted = {(each.achievement, each.tier): each for each in held}
    told = [entry for entry in program.achievements if entry.is_active and not entry.secret]
    return [_rarity(each, counted[each.key, each.tier]) for each in told if (each.key, each.tier) in counted]


def _rarity(entry: AchievementSpec, held: Holders) -> Rarity:
    return Rarity(
        achievement=entry.key,
        tier=entry.tier,
        declared=entry.rarity,
        holders=held.holders,
        users=held.users,
        percent=measured_percent(held.holders, held.users),
    )
