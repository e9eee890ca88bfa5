"""Where partitions end and where a group stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.connections import consumer

Place = tuple[str, int]  # topic, partition
Positions = dict[Place, int]


class GroupPositions:
    """A look at a group from outside: it is never a member."""

    def __init__(self, client: AIOKafkaConsumer) -> None:
        self._client = client

    async def committed(self, places: Iterable[Place]) -> Positions:
        """Committed positions, 0 where the group has none yet."""
        wanted = as_partitions(places)
        committed = await asyncio.gather(*map(self._client.committed, wanted))
        return {tuple(place): at or 0 for place, at in zip(wanted, committed, strict=True)}

    async def ends(self, places: Iterable[Place]) -> Positions:
        """The last offsets plus one, records of open transactions and markers included.

        Positions are committed before every partition of their transaction carries its marker. The last stable
        offset could still lie before records of that very transaction; the high watermark cannot.
        """
        return await end_positions(self._client, places)


@asynccontextmanager
async def group_positions(bootstrap: str, group: str) -> AsyncIterator[GroupPositions]:
    async with consumer(bootstrap, group=group, isolation="read_uncommitted") as client:
        yield GroupPositions(client)


async def end_positions(client: AIOKafkaConsumer, places: Iterable[Place]) -> Positions:
    """Last stable offsets for a client that reads committed, high watermarks for any other."""
    return dict(await client.end_offsets(as_partitions(places)))


async def last_stable_offsets(bootstrap: str, places: Iterable[Place]) -> Positions:
    """The positions that a reader of committed records can reach now."""
    async with consumer(bootstrap) as client:
        return await end_positions(client, places)


def as_partitions(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]
