"""A changelog that is compacted within seconds, where the shipped one takes up to an hour."""

from __future__ import annotations

from contextlib import aclosing

from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker.connections import admin
from broker.reading import read_to_end
from broker.topics import places_of
from cli.settings import Settings
from schemas.topics import CHANGELOG_CONFIG

OFTEN = {
    "segment.ms": "5000",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "5000",
}


async def compact_often(settings: Settings) -> None:
    config = {**CHANGELOG_CONFIG, **OFTEN}
    async with admin(settings.kafka) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.names.changelog, config)])


async def is_compacted(settings: Settings) -> bool:
    """Whether some partition has lost its first record."""
    places = await places_of(settings.kafka, [settings.names.changelog])
    first: dict[int, int] = {}
    async with aclosing(read_to_end(settings.kafka, places)) as batches:
        async for batch in batches:
            for record in batch.records[:1]:
                first.setdefault(batch.partition, record.offset)
            if len(first) == len(places):
                break
    return any(offset > 0 for offset in first.values())
