"""What happened, newest first: awards, revocations, levels, challenges; and how it adds up month by month."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from progress.rows import Award, ChallengeCompleted, LevelReached
from progress.standing import Standing
from progress.translations import filled, texts_of
from schemas.zones import find_zone

What = Literal["award", "revocation", "level", "challenge"]


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a user.

    Shapes: points and xp are what it changed, less than 0 of a revocation; `is_held` says of an award that nothing
    has revoked it since, `is_legacy` that its rule is no more; of a level `key` is its number, of a challenge
    `scope` its day.
    """

    at: datetime
    what: What
    key: str
    name: str
    message: str = ""
    icon: str = ""
    category: str = ""
    rarity: str = ""
    tier: str | None = None
    scope: str = ""
    points: int = 0
    xp: int = 0
    is_held: bool = True
    is_legacy: bool = False
    metadata: dict[str, Any] = {}


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month in the user's zone, and the totals at its end."""

    month: str
    awards: int
    points: int
    xp: int
    total_awards: int
    total_points: int
    total_xp: int


def history(standing: Standing, language: str | None = None) -> list[Happening]:
    """Everything, newest first; of one moment in the order of its keys."""
    happened = [*_awards(standing, language), *_levels(standing, language), *_challenges(standing, language)]
    return sorted(happened, key=lambda each: (-each.at.timestamp(), each.key, each.tier or "", each.scope))


def _awards(standing: Standing, language: str | None) -> Iterator[Happening]:
    for award in standing.person.awards:
        yield _award(standing, award, language)
        if award.revocation:
            yield _revocation(standing, award, language)


def _award(standing: Standing, award: Award, language: str | None) -> Happening:
    name, message = words_of(standing, award, language)
    return Happening(
        at=award.earned_at,
        what="award",
        key=award.achievement,
        name=name,
        message=message,
        icon=award.icon,
        category=award.category,
        rarity=award.rarity,
        tier=award.tier,
        scope=award.scope,
        points=award.points,
        xp=award.xp,
        is_held=award.revocation is None,
        is_legacy=award.is_legacy,
        metadata=award.metadata,
    )


def _revocation(standing: Standing, award: Award, language: str | None) -> Happening:
    assert award.revocation is not None
    return Happening(
        at=award.revocation.revoked_at,
        what="revocation",
        key=award.achievement,
        name=words_of(standing, award, language)[0],
        icon=award.icon,
        category=award.category,
        tier=award.tier,
        scope=award.scope,
        points=-award.points,
        xp=-award.xp,
        is_held=False,
    )


def words_of(standing: Standing, award: Award, language: str | None) -> tuple[str, str]:
    """Name and message; what the catalog has no translation for is said as when it was given."""
    entry = standing.entries.get(award.reference)
    if entry is None or not entry.translations:
        return award.name, award.message
    texts, own = texts_of(entry, language), texts_of(entry, None)
    return texts.name, award.message if texts.message == own.message else filled(texts.message, award.metadata)


def _levels(standing: Standing, language: str | None) -> Iterator[Happening]:
    for reached in standing.person.levels:
        yield Happening(
            at=reached.earned_at,
            what="level",
            key=str(reached.level),
            name=_level_name(standing, reached, language),
        )


def _level_name(standing: Standing, reached: LevelReached, language: str | None) -> str:
    levels = standing.program.levels
    name = filled(texts_of(levels, language).name, {"level": reached.level}) if levels else ""
    return name or f"Level {reached.level}"


def _challenges(standing: Standing, language: str | None) -> Iterator[Happening]:
    for done in standing.person.challenges:
        yield Happening(
            at=done.earned_at,
            what="challenge",
            key=done.challenge,
            name=_challenge_name(standing, done, language),
            scope=done.day.isoformat(),
            xp=done.xp,
        )


def _challenge_name(standing: Standing, done: ChallengeCompleted, language: str | None) -> str:
    offered = standing.program.challenges.offered if standing.program.challenges else []
    names = {each.key: texts_of(each, language).name for each in offered}
    return names.get(done.challenge) or done.challenge


def timeline(standing: Standing) -> list[Month]:
    """Months in which something happened, oldest first."""
    months: dict[str, list[Happening]] = {}
    zone = find_zone(standing.zone)
    for happening in reversed(history(standing)):
        months.setdefault(happening.at.astimezone(zone).strftime("%Y-%m"), []).append(happening)
    told: list[Month] = []
    for name, happened in months.items():
        told.append(_month(name, happened, told[-1] if told else None))
    return told


def _month(name: str, happened: list[Happening], before: Month | None) -> Month:
    awards = sum(_counted(each) for each in happened)
    points, xp = sum(each.points for each in happened), sum(each.xp for each in happened)
    return Month(
        month=name,
        awards=awards,
        points=points,
        xp=xp,
        total_awards=awards + (before.total_awards if before else 0),
        total_points=points + (before.total_points if before else 0),
        total_xp=xp + (before.total_xp if before else 0),
    )


def _counted(happening: Happening) -> int:
    return {"award": 1, "revocation": -1}.get(happening.what, 0)
