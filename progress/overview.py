"""Everything that is told of a user in one catalog, together."""

from __future__ import annotations

from datetime import date

import msgspec

from progress.achievements import Progress, progress_of_all
from progress.challenges import Challenge, challenges_of
from progress.levels import Level, level_of
from progress.records import BadgeStats, EarnedRecord, ProgressRecord, records_of
from progress.standing import Standing
from progress.streaks import Streak, tell_streaks


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Shapes: `today` is the user's day; badges, badge_progress and badge_stats are as in `progress.records`."""

    catalog: str
    zone: str
    today: date
    level: Level | None
    streaks: list[Streak]
    challenges: list[Challenge]
    achievements: list[Progress]
    badges: dict[str, EarnedRecord]
    badge_progress: dict[str, ProgressRecord]
    badge_stats: BadgeStats


def overview(standing: Standing, language: str | None = None) -> Overview:
    records = records_of(standing)
    return Overview(
        catalog=standing.program.catalog,
        zone=standing.zone,
        today=standing.date,
        level=level_of(standing, language),
        streaks=tell_streaks(standing.program, standing.person.streaks, standing.today),
        challenges=challenges_of(standing, language),
        achievements=progress_of_all(standing, language),
        badges=records.badges,
        badge_progress=records.badge_progress,
        badge_stats=records.badge_stats,
    )
