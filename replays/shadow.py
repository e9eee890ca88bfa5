"""The shadow of a full reprocessing: a namespace made for it, with topics, a schema and catalogs of its own."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

from msgspec.structs import replace
from psycopg import sql

from broker.catalogs import publish, read_records
from broker.connections import producer
from broker.removal import remove_group, remove_topics
from broker.topics import create_topics, partition_counts, wanted_topics
from processor.evaluator.compile import compile_catalog
from projections.database import connect
from projections.migrations import runner
from projections.settings import DatabaseSettings
from replays.registry import Replay, Source, registry_of
from replays.settings import ReplaySettings
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogRecord, encode_catalog_record
from schemas.topics import Names, TopicSpec

HASH_CHARS = 8
LIVE_CHARS_MAX = 31  # a namespace has 40 at most


def shadow_namespace(names: Names, id: str) -> str:
    """Of the replay with this id."""
    digest = hashlib.sha256(f"{names.namespace}/{id}".encode()).hexdigest()
    return f"{names.namespace[:LIVE_CHARS_MAX]}-{digest[:HASH_CHARS]}"


def shadow_names(live: Names, replay: Replay) -> Names:
    """Its commands are the live ones, which belong to the live namespace."""
    assert replay.shadow is not None, "only a full one has a shadow"
    return Names(replay.shadow, follows=live.namespace)


async def refuse_leftovers(settings: ReplaySettings, shadow: Names) -> None:
    """Raises: Precondition when topics or a schema of that name exist, which nobody knows of."""
    counts = await partition_counts(settings.kafka, [spec.name for spec in shadow.specs()])
    found = [f"topic {topic}" for topic, count in counts.items() if count]
    found += await asyncio.to_thread(_schema_found, settings, shadow)
    if found:
        raise Precondition(
            f"the shadow would be called '{shadow.namespace}', and there is {', '.join(found)} already, of no "
            "replay in the registry: delete what is there, or give this replay another --id"
        )


def _schema_found(settings: DatabaseSettings, shadow: Names) -> list[str]:
    named = b"select 1 from pg_namespace where nspname = %s"
    with connect(settings) as connection:
        row = connection.execute(named, [shadow.postgres_schema]).fetchone()
    return [f"schema {shadow.postgres_schema}"] if row else []


async def make(settings: ReplaySettings, replay: Replay, source: Source) -> None:
    """Whatever of it is missing; several makers at once are harmless. Raises: LaurelError."""
    shadow = shadow_names(settings.names, replay)
    await create_topics(settings.kafka, wanted_topics(shadow, [], replay.partitions))
    await asyncio.to_thread(_make_schema, settings, shadow)
    await _copy_catalogs(settings, shadow, replay)
    await publish(settings.kafka, shadow, source.text, source.file_name, compile_catalog, from_now=True)


def _make_schema(settings: DatabaseSettings, shadow: Names) -> None:
    with connect(settings) as connection:
        runner.upgrade(connection, shadow.postgres_schema, runner.migration_files())


async def _copy_catalogs(settings: ReplaySettings, shadow: Names, replay: Replay) -> None:
    """With the numbering of every version, so that states of the one can be read by the other. All, or none."""
    records = await read_records(settings.kafka, settings.names)
    async with producer(settings.kafka, transactional_id=shadow.catalog_publisher) as client:
        await client.begin_transaction()  # fences: what is read from here on is all there will be
        if not await read_records(settings.kafka, shadow):
            for record in as_begun(records, replay):
                key = f"{record.catalog}/{record.version}".encode()
                await client.send_and_wait(shadow.catalogs, encode_catalog_record(record), key=key, partition=0)
        await client.commit_transaction()


def as_begun(records: Sequence[CatalogRecord], replay: Replay) -> list[CatalogRecord]:
    """Who begins with these records runs what is to be promoted, and of other catalogs nothing that waits for a
    replay: from the first event on, also where it was published before, by a promotion that was called off."""
    return [replace(each, announced=each.version <= replay.versions.get(each.catalog, 0)) for each in records]


async def remove(settings: ReplaySettings, replay: Replay) -> None:
    """Whatever of it is there. Raises: LaurelError when a part of it cannot be removed: try again.

    A group that has members for a while longer is left to the broker, which forgets groups that nobody is in.
    """
    shadow = shadow_names(settings.names, replay)
    refuse_foreign(settings.names, shadow.specs())
    await remove_topics(settings.kafka, [spec.name for spec in shadow.specs()])
    for group in (shadow.processor, shadow.projector):
        await remove_group(settings.kafka, group)
    await asyncio.to_thread(_drop_schema, settings, shadow)


def refuse_foreign(live: Names, specs: Sequence[TopicSpec]) -> None:
    """Raises: LaurelError before anything that is live would be deleted."""
    ours = {spec.name for spec in live.specs()} & {spec.name for spec in specs}
    if ours:
        raise LaurelError(
            f"{', '.join(sorted(ours))} would be deleted with the shadow, and is live: nothing is done"
        )


def _drop_schema(settings: DatabaseSettings, shadow: Names) -> None:
    statement = sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(shadow.postgres_schema))
    with connect(settings) as connection:
        connection.execute(statement)


async def drop(settings: ReplaySettings, id: str) -> Replay:
    """Of one that has ended. The same twice is harmless. Raises: Precondition while it is needed."""
    async with registry_of(settings) as registry:
        replay = await registry.get(id)
        if replay.shadow is None:
            raise Precondition(f"replay '{id}' has no shadow: only a full reprocessing has one")
        if replay.status not in ("done", "cancelled"):
            raise Precondition(
                f"replay '{id}' is {replay.status}, and its shadow needed: `laurel replay cancel {id}` takes both "
                "away"
            )
        await registry.refuse_shared(id)
        if replay.dropped_at is None:
            await remove(settings, replay)
        return await registry.drop(id)
