"""What a log comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

Award = tuple[str, str, str, str]
Reason = dict[str, Any]


class Unlock(NamedTuple):
    """One outcome: `times` counts how often this award was revoked before."""

    award: Award
    times: int


class Told(NamedTuple):
    """What an outcome repeats of its event."""

    metadata: dict[str, Any]
    context: dict[str, Any]


class Answer(NamedTuple):
    """What a command came to. Shapes: missing is (metric, value, target), where something is."""

    status: str
    reason: str | None
    missing: tuple[str, int, int] | None


@dataclass
class Result:
    """What a log comes to.

    Shapes: awards (user, catalog, achievement, scope) -> earned_at, UTC, of those held in the end, a tier being
    called key/tier; metrics user -> catalog -> metric -> value, only the author's and `xp`; points user -> catalog
    -> sum over the awards; levels likewise, where a catalog has them; undated the awards that hang on derived
    events, whose earned_at may differ where these arrive in another order. Every event is one of applied,
    duplicates and skipped; derived events are counted apart.

    What was told on the way: unlocks with their time, what they `told` of their events, revocations with their
    chains of reasons, levels reached (user, catalog, level) and challenges completed (user, catalog, challenge,
    day) with their time, and answers by command id.
    """

    awards: dict[Award, datetime] = field(default_factory=dict)
    metrics: dict[str, dict[str, dict[str, int | None]]] = field(default_factory=dict)
    points: dict[str, dict[str, int]] = field(default_factory=dict)
    levels: dict[str, dict[str, int]] = field(default_factory=dict)
    unlocks: dict[Unlock, datetime] = field(default_factory=dict)
    told: dict[Unlock, Told] = field(default_factory=dict)
    revocations: dict[Unlock, list[Reason]] = field(default_factory=dict)
    levels_reached: dict[tuple[str, str, int], datetime] = field(default_factory=dict)
    challenges: dict[tuple[str, str, str, str], datetime] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    applied: int = 0
    duplicates: int = 0
    skipped: int = 0
    derived: int = 0
    undated: set[Award] = field(default_factory=set)
