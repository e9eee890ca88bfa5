"""Since when there is a log: what retention took away is said, with the date at which the rest begins."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer

from broker.connections import consumer
from broker.positions import Place, as_partitions
from broker.reading import Reader


class Begin(NamedTuple):
    """Where a partition begins that has lost its beginning. Units: since, the append time of what is left of it."""

    topic: str
    partition: int
    offset: int
    since: datetime | None

    def __str__(self) -> str:
        first = f", of {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ", and has nothing behind it"
        return f"{self.topic}-{self.partition} has lost all before offset {self.offset}{first}"


async def lost_beginnings(bootstrap: str, places: Iterable[Place]) -> list[Begin]:
    """Of these partitions those whose first records are gone."""
    async with consumer(bootstrap) as client:
        begins = await client.beginning_offsets(as_partitions(places))
        return [
            Begin(topic, partition, at, await _since(client, (topic, partition), at))
            for (topic, partition), at in begins.items()
            if at
        ]


async def _since(client: AIOKafkaConsumer, place: Place, begin: int) -> datetime | None:
    """When the first record that is left was appended."""
    (end,) = (await client.end_offsets(as_partitions([place]))).values()
    reader = Reader(client, {place: begin})
    while reader.behind({place: end}):
        for batch in await reader.poll():
            for record in batch.records:
                return datetime.fromtimestamp(record.timestamp / 1000, UTC)
    return None
