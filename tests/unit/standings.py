"""What the tests of progress share: a small catalog of every construct, compiled by hand, and users in it.

Today is Friday 2026-06-12 in Europe/Paris, noon there and 10:00 UTC: day 20616 since 1970, week 24.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from progress.rows import Award, Evidence, Pace, Person, Reason, Revocation, Run
from progress.standing import Standing
from schemas.program import (
    AchievementSpec,
    All,
    AtLeast,
    CatalogProgram,
    EventSpec,
    Feed,
    FieldSpec,
    MetricSpec,
)

NOW = datetime(2026, 6, 12, 10, 0, tzinfo=UTC)
TODAY = (date(2026, 6, 12) - date(1970, 1, 1)).days
EARNED_AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)

EVENTS = [
    EventSpec(
        type="song_released",
        topic="music",
        fields=[FieldSpec(name="kind", type="string"), FieldSpec(name="price", type="decimal", places=2)],
        window=0,
    ),
    EventSpec(type="login", topic="music", window=0),
    EventSpec(type="module_completed", topic="music", window=0),
    EventSpec(type="liked", topic=None, window=0),
]


def metric(key: str, kind: Any = "count", event: str = "song_released", **more: Any) -> MetricSpec:
    return MetricSpec(**{"key": key, "kind": kind, "slot": 0, "feeds": [Feed(type=event)], **more})


METRICS = [
    metric("released"),
    metric("artists", "distinct"),
    metric("likes", event="liked"),
    metric("earned", "sum", places=2),
    metric("logins", "streak", "login"),
    metric("practice", "streak", "login", grace=1),
    metric("released@2026-06-01..2026-09-01", origin="released", first_day=TODAY - 11, end_day=TODAY + 81),
    metric("released@week", origin="released", every="week"),
    metric("released@day", origin="released", every="day"),
    metric("xp", "xp"),
]


def at_least(metric: str, at: int, level: int | None = None) -> AtLeast:
    return AtLeast(metric=metric, at=at, level=level)


def entry(key: str, when: Any = None, **more: Any) -> AchievementSpec:
    when = when or All(of=[])
    return AchievementSpec(**{"key": key, "number": 0, "name": key.replace("_", " ").title(), "when": when, **more})


def tier(key: str, name: str, rank: int, at: dict[str, tuple[str, int]], **more: Any) -> AchievementSpec:
    conditions = {said: at_least(*compared) for said, compared in at.items()}
    return entry(key, All(of=[*conditions.values()]), tier=name, rank=rank, conditions=conditions, **more)


def catalog(*entries: AchievementSpec, **more: Any) -> CatalogProgram:
    listed = [each if each.order else _placed(each, place) for place, each in enumerate(entries, start=1)]
    return CatalogProgram(
        **{
            "catalog": "music",
            "version": 3,
            "sha256": "ab" * 32,
            "timezone": "Europe/Paris",
            "headline_streak": "logins",
            "events": EVENTS,
            "metrics": METRICS,
            "achievements": listed,
            "tiers": ["bronze", "silver", "gold", "platinum"],
            **more,
        }
    )


def _placed(each: AchievementSpec, place: int) -> AchievementSpec:
    told = {name: getattr(each, name) for name in each.__struct_fields__}
    return AchievementSpec(**{**told, "order": place})


def standing(*entries: AchievementSpec, now: datetime = NOW, program: Any = None, **known: Any) -> Standing:
    """Ada's, in the catalog of these entries."""
    return Standing(program or catalog(*entries), Person(**{"user": "ada", **known}), now)


def award(key: str, **more: Any) -> Award:
    told = {
        "id": f"id-{key}",
        "achievement": key,
        "name": key.replace("_", " ").title(),
        "earned_at": EARNED_AT,
        "awarded_at": EARNED_AT + timedelta(seconds=1),
        "evidence": Evidence(topic="music", partition=1, offset=42, event_id="event-1"),
    }
    return Award(**{**told, **more})


def revoked(key: str, *reasons: Reason, **more: Any) -> Award:
    evidence = Evidence(topic="music", partition=1, offset=99, event_id="event-9")
    ended = Revocation(revoked_at=EARNED_AT + timedelta(5), reasons=[*reasons], evidence=evidence)
    return award(key, revocation=ended, **more)


def pace(gained: float, days: int = 2, since: int = 0, ago: int = 0) -> Pace:
    """Units: the first day with a gain `since` days ago, the last one `ago`."""
    return Pace(gained=gained, day=TODAY - ago, first_day=TODAY - since, days=days)


def run(length: int, ago: int = 0, longest: int | None = None, freezes: int = 0) -> Run:
    """A run without gaps whose last day was `ago` days ago."""
    return Run(
        first_day=TODAY - ago - length + 1,
        last_day=TODAY - ago,
        length=length,
        longest=length if longest is None else longest,
        freezes=freezes,
    )
