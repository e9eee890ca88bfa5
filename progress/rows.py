"""What the read models say, as progress is computed from it. `queries.py` fills these shapes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgspec

from schemas.replays import Dates

EPOCH = date(1970, 1, 1)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The present run of a streak, and its longest.

    Units: days since 1970; None before the first active day. Shapes: `length` is the active days of the present
    run, less than its span where grace bridged a gap; `freezes` are those that no gap has used up.
    """

    first_day: int | None = None
    last_day: int | None = None
    length: int = 0
    longest: int = 0
    freezes: int = 0


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a metric has risen lately.

    Units: days since 1970, in UTC. Shapes: `gained` is what it rose by, each rise halved for every 14 days that lie
    between it and `day`, the last day on which it moved; `days` counts the days on which it did.
    """

    gained: float
    day: int
    first_day: int
    days: int


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain that ended an award: a metric below its threshold, another award that fell, or a newer
    version of the catalog."""

    kind: str
    metric: str | None = None
    value: int | None = None
    needed: int | None = None
    achievement: str | None = None
    tier: str | None = None
    catalog_version: int | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The record that decided."""

    topic: str
    partition: int
    offset: int
    event_id: str


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Why an award is not held any more, the outermost cause first."""

    revoked_at: datetime
    reasons: list[Reason]
    evidence: Evidence


class Award(msgspec.Struct, frozen=True, kw_only=True):
    """An award, held or revoked, with what was said when it was given.

    Shapes: n counts earlier revocations; `is_legacy` is of a rule that a later version changed or ended. Where
    dates are approximate it was earned at that time, or before.
    """

    id: str
    achievement: str
    name: str
    description: str = ""
    message: str = ""
    icon: str = ""
    category: str = ""
    rarity: str = "common"
    tier: str | None = None
    scope: str = ""
    n: int = 0
    points: int = 0
    xp: int = 0
    earned_at: datetime
    awarded_at: datetime
    progress_at_unlock: int | None = None
    metadata: dict[str, Any] = {}
    context: dict[str, Any] = {}
    evidence: Evidence
    catalog_version: int = 1
    catalog_sha256: str = ""
    origin: str = "live"
    replay_id: str | None = None
    is_public: bool = True
    is_legacy: bool = False
    dates: Dates = "exact"
    revocation: Revocation | None = None

    @property
    def reference(self) -> str:
        """What `requires` calls it."""
        return self.achievement if self.tier is None else f"{self.achievement}/{self.tier}"


class LevelReached(msgspec.Struct, frozen=True, kw_only=True):
    level: int
    value: int
    earned_at: datetime


class ChallengeCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that was accepted."""

    challenge: str
    day: date
    xp: int
    earned_at: datetime


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a user in one catalog.

    Shapes: `metrics` are values as the state scales them, of one with periods a map of them; `awards` are newest
    first, revoked ones among them; `zone` is None where no event has named the user's; `updated_at` is when the
    processor last wrote the user's state; `known_since` is None of somebody without an event of this catalog.
    """

    user: str
    zone: str | None = None
    metrics: dict[str, int | dict[str, int] | None] = {}
    streaks: dict[str, Run] = {}
    paces: dict[str, Pace] = {}
    awards: list[Award] = []
    levels: list[LevelReached] = []
    challenges: list[ChallengeCompleted] = []
    updated_at: datetime | None = None
    known_since: datetime | None = None
