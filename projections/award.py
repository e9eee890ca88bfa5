"""Unlocks as far as the projections of awards look at them: what is not named here is not decoded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class AwardEvidence(msgspec.Struct, frozen=True, gc=False):
    topic: str
    partition: int
    offset: int
    event_id: str


class AwardData(msgspec.Struct, frozen=True, gc=False):
    """As schemas.outcomes.Unlocked."""

    catalog: str
    achievement: str
    name: str
    description: str
    message: str
    icon: str
    color_from: str
    color_to: str
    category: str
    catalog_version: int
    catalog_sha256: str
    tier: str | None
    rarity: str
    points: int
    scope: str
    n: int
    metadata: dict[str, Any]
    earned_at: Moment
    progress_at_unlock: int | None
    evidence: AwardEvidence
    origin: Literal["live", "replay"]
    replay_id: str | None
    announce: bool
    xp: int = 0
    is_public: bool = True
    context: dict[str, Any] = {}


class Award(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """As schemas.outcomes.Outcome."""

    id: str
    type: Literal["achievement_unlocked"] = "achievement_unlocked"
    subject: str
    data: AwardData


decode_award = msgspec.json.Decoder(Award).decode
