"""The awards of a user with what proves them, and with what ended them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from progress.history import words_of
from progress.rows import Award, Evidence, Reason
from progress.standing import Number, Standing
from schemas.program import AchievementSpec, AtLeast, MetricSpec
from schemas.replays import Dates

ONE_BY_ONE = ("count", "distinct")


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """Why an award is not held any more, the outermost cause first."""

    revoked_at: datetime
    reasons: list[str]
    evidence: Evidence


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """An award and the record that gave it.

    Shapes: before and after are the metric's values where one comparison decided, `before` only where an event
    moves the metric by one. Units: as the author of the catalog writes.
    """

    id: str
    name: str
    message: str
    tier: str | None
    scope: str
    n: int
    earned_at: datetime
    dates: Dates
    awarded_at: datetime
    points: int
    xp: int
    metric: str | None
    before: Number | None
    after: Number | None
    evidence: Evidence
    catalog_version: int
    catalog_sha256: str
    origin: str
    replay_id: str | None
    metadata: dict[str, Any]
    context: dict[str, Any]
    revoked: Ended | None


def proof_of(standing: Standing, award: Award) -> Proof:
    entry = standing.entries.get(award.reference)
    metric = _deciding(standing, entry) if entry else None
    after = award.progress_at_unlock
    name, message = words_of(standing, award, None)
    return Proof(
        id=award.id,
        name=name,
        message=message,
        tier=award.tier,
        scope=award.scope,
        n=award.n,
        earned_at=award.earned_at,
        dates=award.dates,
        awarded_at=award.awarded_at,
        points=award.points,
        xp=award.xp,
        metric=metric.origin or metric.key if metric else None,
        before=standing.told(metric.key, after - 1)
        if metric and after and moved_by_one(award, entry, metric)
        else None,
        after=standing.told(metric.key, after) if metric and after is not None else None,
        evidence=award.evidence,
        catalog_version=award.catalog_version,
        catalog_sha256=award.catalog_sha256,
        origin=award.origin,
        replay_id=award.replay_id,
        metadata=award.metadata,
        context=award.context,
        revoked=_ended(standing, award),
    )


def moved_by_one(award: Award, entry: AchievementSpec | None, metric: MetricSpec) -> bool:
    """Whether one event decided, and moved the metric by one; a prerequisite may have been what came last."""
    decided = award.dates == "exact" and entry is not None and not entry.requires
    return decided and metric.kind in ONE_BY_ONE


def _deciding(standing: Standing, entry: AchievementSpec) -> MetricSpec | None:
    return standing.metrics.get(entry.when.metric) if isinstance(entry.when, AtLeast) else None


def _ended(standing: Standing, award: Award) -> Ended | None:
    if award.revocation is None:
        return None
    return Ended(
        revoked_at=award.revocation.revoked_at,
        reasons=[reason_told(standing, reason) for reason in award.revocation.reasons],
        evidence=award.revocation.evidence,
    )


def reason_told(standing: Standing, reason: Reason) -> str:
    """`commits was 9, needed 10`, `first_commit was revoked`, or `version 3 of the catalog ended it`."""
    if reason.catalog_version is not None:
        return f"version {reason.catalog_version} of the catalog ended it"
    if reason.metric is None:
        tier = f"/{reason.tier}" if reason.tier else ""
        return f"{reason.achievement}{tier} was revoked"
    metric = standing.metrics.get(reason.metric)
    value, needed = reason.value or 0, reason.needed or 0
    if metric is None:
        return f"{reason.metric} was {value}, needed {needed}"
    return f"{metric.origin or metric.key} was {standing.told(metric.key, value)}, needed " + str(
        standing.told(metric.key, needed)
    )
