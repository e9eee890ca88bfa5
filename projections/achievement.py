"""The read model `achievement`: the catalogs as last published, from the catalogs topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from broker.reading import Batch
from projections.columns import appended_at, encode_json
from projections.decoding import decode
from projections.projection import place
from projections.statements import statements
from schemas.program import (
    AchievementSpec,
    AtLeast,
    CatalogProgram,
    CatalogRecord,
    MetricKind,
    MetricSpec,
    WindowSpec,
    decode_catalog_record,
)
from schemas.topics import Names
from schemas.zones import EPOCH_DAY

SQL = statements("achievement.sql")

CRITERIA_OF_KIND: dict[MetricKind, str] = {
    "count": "count",
    "distinct": "count",
    "sum": "cumulative",
    "max": "threshold",
    "latest": "threshold",
    "streak": "streak",
    "xp": "cumulative",
}


class Published(NamedTuple):
    """A version of a catalog, and when the broker appended it."""

    record: CatalogRecord
    at: datetime


class AchievementProjection:
    name = "achievement"
    window_s = window_s_max = 0.0
    records_max, fetch_bytes_min, condenses = 20_000, 1, False

    def __init__(self, names: Names) -> None:
        self.topic = names.catalogs

    async def prepare(self, connection: AsyncConnection) -> None:
        """Catalogs are few: they need no temporary table."""

    async def resume(self) -> None:
        """A record says all that its rows need."""

    async def decode(self, batches: Sequence[Batch]) -> list[Published]:
        return [
            Published(decode(record, decode_catalog_record, place(batch)), appended_at(record))
            for batch in batches
            for record in batch.records
        ]

    async def write(self, connection: AsyncConnection, rows: list[Published]) -> int:
        for published in rows:
            await write_catalog(connection, published.record, published.at)
        return 0


async def write_catalog(connection: AsyncConnection, record: CatalogRecord, at: datetime) -> None:
    program, header = record.program, catalog_row(record.program)
    cursor = await connection.execute(SQL["upsert_catalog"], header)
    if await cursor.fetchone() is None:
        return
    await cursor.execute(SQL["delete_levels"], header)
    await cursor.execute(SQL["insert_levels"], header)
    published = {"created_at": at, "is_announced": record.announced}
    await cursor.executemany(SQL["upsert_achievement"], [row | published for row in achievement_rows(program)])
    await cursor.execute(SQL["retire_achievements"], header)


def catalog_row(program: CatalogProgram) -> dict[str, Any]:
    return {
        "catalog": program.catalog,
        "version": program.version,
        "sha256": program.sha256,
        "timezone": program.timezone,
        "headline_streak": program.headline_streak,
        "categories": Jsonb(program.categories),
        "program": encode_json(program).decode(),
        "default_language": program.default_language,
        "tiers": program.tiers,
        "level_of": program.levels and program.levels.of,
        "level_starts": program.levels.starts if program.levels else [],
        "challenges_per_day": program.challenges and program.challenges.per_day,
    }


def achievement_rows(program: CatalogProgram) -> list[dict[str, Any]]:
    metrics = {metric.key: metric for metric in program.metrics}
    return [achievement_row(program, entry, metrics) for entry in program.achievements]


def achievement_row(
    program: CatalogProgram, entry: AchievementSpec, metrics: Mapping[str, MetricSpec]
) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(entry),
        **criterion(entry, metrics),
        "catalog": program.catalog,
        "version": program.version,
        "ord": entry.order,
        "rank": None if entry.tier is None else entry.rank,
        "is_secret": entry.secret,
        "criteria": as_jsonb(entry.when),
        "event_types": [feed.type for feed in entry.on],
        "scope_field": entry.scope,
        "season": entry.window and Jsonb(season(entry.window)),
        "conditions": as_jsonb(entry.conditions),
        "counts": counts(entry),
        "translations": as_jsonb(entry.translations),
    }


def as_jsonb(value: Any) -> Jsonb:
    return Jsonb(msgspec.to_builtins(value))


def season(window: WindowSpec) -> dict[str, str | None]:
    if window.every is not None:
        return {"every": window.every}
    return {"from": written_day(window.first_day), "until": written_day(window.end_day)}


def written_day(day: int | None) -> str | None:
    return None if day is None else date.fromordinal(day + EPOCH_DAY).isoformat()


def counts(entry: AchievementSpec) -> bool:
    """Whether it is one of what sets and categories are complete with."""
    return entry.is_active and not entry.secret and entry.window is None and entry.all_of is None


def criterion(entry: AchievementSpec, metrics: Mapping[str, MetricSpec]) -> dict[str, Any]:
    """Type, value and field of an achievement with a single condition."""
    when = entry.when
    if not isinstance(when, AtLeast):
        return {"criteria_type": None, "criteria_value": None, "tracking_field": None}
    metric = metrics[when.metric]
    first = metric.kind == "count" and when.at == 1
    criteria_type = "first_time" if first else CRITERIA_OF_KIND[metric.kind]
    field = metric.origin or metric.key
    return {"criteria_type": criteria_type, "criteria_value": when.at, "tracking_field": field}
