"""The read model `achievement`: the catalogs as last published, from the catalogs topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from broker.reading import Batch
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
    decode_catalog_record,
)
from schemas.topics import Names

SQL = statements("achievement.sql")

CRITERIA_OF_KIND: dict[MetricKind, str] = {
    "count": "count",
    "distinct": "count",
    "sum": "cumulative",
    "max": "threshold",
    "latest": "threshold",
    "streak": "streak",
}


class AchievementProjection:
    name = "achievement"
    window_s = 0.0

    def __init__(self, names: Names) -> None:
        self.topic = names.catalogs

    async def prepare(self, connection: AsyncConnection) -> None:
        """Catalogs are few: they need no temporary table."""

    async def decode(self, batches: Sequence[Batch]) -> list[CatalogRecord]:
        return [
            decode(record, decode_catalog_record, place(batch)) for batch in batches for record in batch.records
        ]

    async def write(self, connection: AsyncConnection, rows: list[CatalogRecord]) -> int:
        for record in rows:
            await write_catalog(connection, record.program)
        return 0


async def write_catalog(connection: AsyncConnection, program: CatalogProgram) -> None:
    header = catalog_row(program)
    cursor = await connection.execute(SQL["upsert_catalog"], header)
    if await cursor.fetchone() is None:
        return
    await cursor.executemany(SQL["upsert_achievement"], achievement_rows(program))
    await cursor.execute(SQL["retire_achievements"], header)


def catalog_row(program: CatalogProgram) -> dict[str, Any]:
    return {
        "catalog": program.catalog,
        "version": program.version,
        "sha256": program.sha256,
        "timezone": program.timezone,
        "headline_streak": program.headline_streak,
        "categories": Jsonb(program.categories),
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
        "is_secret": entry.secret,
        "criteria": Jsonb(msgspec.to_builtins(entry.when)),
    }


def criterion(entry: AchievementSpec, metrics: Mapping[str, MetricSpec]) -> dict[str, Any]:
    """Type, value and field of an achievement with a single condition."""
    when = entry.when
    if not isinstance(when, AtLeast):
        return {"criteria_type": None, "criteria_value": None, "tracking_field": None}
    kind = metrics[when.metric].kind
    first = kind == "count" and when.at == 1
    criteria_type = "first_time" if first else CRITERIA_OF_KIND[kind]
    return {"criteria_type": criteria_type, "criteria_value": when.at, "tracking_field": when.metric}
