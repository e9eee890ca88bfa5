"""The level of a user, and how far it is to the next."""

from __future__ import annotations

from datetime import datetime

import msgspec

from progress.standing import Number, Standing
from progress.translations import filled, texts_of


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """Shapes: of the last level `next_start` and `to_next` are None. Units: as the metric that levels go by."""

    level: int
    name: str
    metric: str
    total: Number
    start: Number
    next_start: Number | None
    into_level: Number
    to_next: Number | None
    percent: int
    reached_at: datetime | None


def level_of(standing: Standing, language: str | None = None) -> Level | None:
    """None in a catalog without levels."""
    levels = standing.program.levels
    if levels is None:
        return None
    value = max(0, standing.value(levels.of))
    level = standing.level(value)
    start = levels.starts[level - 1]
    following = levels.starts[level] if level < len(levels.starts) else None
    reached = {each.level: each.earned_at for each in standing.person.levels}

    def told(scaled: int) -> Number:
        return standing.told(levels.of, scaled)

    return Level(
        level=level,
        name=filled(texts_of(levels, language).name, {"level": level}),
        metric=levels.of,
        total=told(value),
        start=told(start),
        next_start=None if following is None else told(following),
        into_level=told(value - start),
        to_next=None if following is None else told(following - value),
        percent=100 if following is None else (value - start) * 100 // (following - start),
        reached_at=reached.get(level),
    )
