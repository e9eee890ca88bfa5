"""The progress of one user in every achievement of a catalog, tiers of one key together."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

import msgspec

from progress.conditions import ConditionStatus, flags_of, leaves, percent_of, statuses_of
from progress.estimates import estimated_completion
from progress.instances import PeriodProgress, ScopeEarned, periods_of, scopes_of
from progress.seasons import Season, season_of
from progress.standing import Number, Standing, day_date
from progress.tiers import Member, TierProgress, members_of, tier_progress
from progress.translations import texts_of
from schemas.program import AchievementSpec


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a user is with an achievement.

    `percent` is 100 when it is earned, else at most 99; of tiers it is that of the next one, and of a window that
    comes again that of the present period. `current` and `target` are there where one comparison decides.

    Shapes: `tier` is the highest held, `next_tier` the lowest not held; `conditions` are those of the next tier;
    `times` counts the awards held, one for each scope; `is_legacy` when what is held is of a rule that is no more;
    `changed_on` is the last day on which one of its metrics moved; `updated_at` is when it was earned, else when
    the user's state was last written.
    """

    catalog: str
    key: str
    name: str
    description: str
    message: str
    icon: str
    category: str
    type: str
    rarity: str
    points: int
    xp: int
    order: int
    secret: bool
    earned: bool
    earned_at: datetime | None
    is_legacy: bool
    times: int
    percent: int
    current: Number | None
    target: Number | None
    conditions: list[ConditionStatus]
    conditions_status: dict[str, bool]
    tier: str | None
    next_tier: str | None
    tiers: list[TierProgress]
    members: list[Member]
    season: Season | None
    periods: list[PeriodProgress]
    scopes: list[ScopeEarned]
    changed_on: date | None
    updated_at: datetime | None
    estimated_completion: date | None


class Family(msgspec.Struct, frozen=True):
    """The entries of one key: its tiers, low before high, or the one there is."""

    entries: list[AchievementSpec]


def families_of(standing: Standing) -> list[Family]:
    """What this user may see, in the order of the catalog: nothing secret, and inactive only what is held."""
    grouped: dict[str, list[AchievementSpec]] = {}
    for entry in standing.program.achievements:
        if not standing.is_hidden(entry) and (entry.is_active or standing.held(entry.reference)):
            grouped.setdefault(entry.key, []).append(entry)
    families = [Family(sorted(entries, key=lambda entry: entry.rank)) for entries in grouped.values()]
    return sorted(families, key=lambda family: family.entries[0].order)


def progress_of_all(standing: Standing, language: str | None = None) -> list[Progress]:
    return [progress_of(standing, family, language) for family in families_of(standing)]


def progress_of(standing: Standing, family: Family, language: str | None = None) -> Progress:
    held = [entry for entry in family.entries if standing.holds(entry)]
    missing = [entry for entry in family.entries if not standing.holds(entry)]
    aim = missing[0] if missing else family.entries[-1]
    face = held[-1] if held else aim
    awards = [award for entry in family.entries for award in standing.held(entry.reference)]
    texts, conditions = texts_of(face, language), statuses_of(standing, aim)
    only, shown = single(conditions), standing.held_now(face)
    earned_at = min((award.earned_at for award in shown), default=None)
    return Progress(
        catalog=standing.program.catalog,
        key=face.key,
        name=texts.name,
        description=texts_of(aim, language).description,
        message=texts.message,
        icon=face.icon,
        category=face.category,
        type=face.type,
        rarity=face.rarity,
        points=face.points,
        xp=face.xp,
        order=face.order,
        secret=face.secret,
        earned=bool(held),
        earned_at=earned_at,
        is_legacy=any(award.is_legacy for award in shown),
        times=len(awards),
        percent=percent_of(standing, aim),
        current=only.value if only else None,
        target=only.target if only else None,
        conditions=conditions,
        conditions_status=flags_of(conditions),
        tier=held[-1].tier if held else None,
        next_tier=missing[0].tier if missing else None,
        tiers=[tier_progress(standing, entry, language) for entry in family.entries if entry.tier],
        members=members_of(standing, aim, language),
        season=season_of(standing, aim),
        periods=periods_of(standing, aim),
        scopes=scopes_of(aim, awards),
        changed_on=changed_on(standing, conditions),
        updated_at=earned_at if held and not missing else standing.person.updated_at,
        estimated_completion=estimated_completion(standing, aim),
    )


def single(conditions: list[ConditionStatus]) -> ConditionStatus | None:
    """The comparison, where one alone decides."""
    return conditions[0] if len(conditions) == 1 and conditions[0].value is not None else None


def changed_on(standing: Standing, conditions: Iterable[ConditionStatus]) -> date | None:
    metrics = {leaf.metric for leaf in leaves(conditions) if leaf.metric}
    days = [day for metric in metrics if (day := _last_day(standing, metric)) is not None]
    return day_date(max(days)) if days else None


def _last_day(standing: Standing, metric: str) -> int | None:
    pace = standing.pace(metric)
    return pace.day if pace else standing.run(metric).last_day
