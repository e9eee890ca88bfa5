"""A shadow never passes the namespace that it follows: how far that one has committed is asked for every second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NoReturn

import structlog
from aiokafka.errors import KafkaError

from broker.positions import group_positions
from processor.kafka.batches import Place
from processor.kafka.ownership import Ownership
from schemas.lanes import place_of

EVERY_S = 1.0
TIMEOUT_S = 15.0

log = structlog.get_logger(__name__)
Committed = Callable[[Collection[Place]], Awaitable[Mapping[Place, int]]]


async def trail(ownership: Ownership, bootstrap: str, group: str) -> NoReturn:
    """Follow a group for as long as the process lives."""
    while True:
        try:
            async with group_positions(bootstrap, group) as positions:
                while True:
                    async with asyncio.timeout(TIMEOUT_S):
                        await look(ownership, positions.committed)
                    await asyncio.sleep(EVERY_S)
        except (KafkaError, TimeoutError) as error:
            log.warning("how far the followed namespace is, is unknown", group=group, error=repr(error))
            await asyncio.sleep(EVERY_S)


async def look(ownership: Ownership, committed: Committed) -> None:
    """Let every partition go on to where the same partition is that it follows."""
    opened = [each for each in ownership.partitions.values() if each.is_open]
    lanes = {each: each.positions.keys() - {*each.replays.own_topics} for each in opened}
    known = await committed([place_of(lane, each.number) for each in opened for lane in lanes[each]])
    for partition in opened:
        partition.followed = {lane: known[place_of(lane, partition.number)] for lane in lanes[partition]}
        await ownership.loosen(partition)
