"""Waiting until what was published can be seen in Postgres.

Stage by stage, each with a goal fixed when the stage before it has reached its own: the processor has taken the
published records, then the events derived from them, then the projector what came of both.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from psycopg import AsyncConnection

from broker.positions import GroupPositions, Place, Positions, group_positions
from broker.topics import places_of
from cli.output import Progress
from cli.settings import Settings
from projections.database import connect_async
from schemas.errors import LaurelError

POLL_S = 0.1
STILL_S_MAX = 60.0

PROJECTED = b"""
select topic, partition, min(next_position) from projection_position where topic = any(%s) group by topic, partition
"""

Read = Callable[[], Awaitable[Positions]]


async def wait_until_visible(
    settings: Settings, published: Positions, show: Progress, still_s_max: float = STILL_S_MAX
) -> None:
    """Shapes: published, the position after the last record of each partition.

    Raises: LaurelError naming the stage that has not moved for so long.
    """
    names = settings.names
    stages = Stages(show, still_s_max)
    async with group_positions(settings.kafka, names.processor) as processor:
        await stages.reach("processor", published, lambda: processor.committed(published))
        derived = await processor.ends(await places_of(settings.kafka, [names.derived]))
        await stages.reach("processor", derived, lambda: processor.committed(derived))
        await _projected(settings, [names.catalogs, names.outcomes, names.changelog], stages, processor)


async def wait_until_awarded(settings: Settings, show: Progress, still_s_max: float = STILL_S_MAX) -> None:
    """Until all that the processor has told is in Postgres; how far people are may come later.

    Raises: LaurelError when nothing has moved for so long.
    """
    async with group_positions(settings.kafka, settings.names.processor) as processor:
        await _projected(settings, [settings.names.outcomes], Stages(show, still_s_max), processor)


async def _projected(settings: Settings, topics: list[str], stages: Stages, processor: GroupPositions) -> None:
    goal = await processor.ends(await places_of(settings.kafka, topics))
    async with await connect_async(settings.database, "laurel publish --wait") as connection:
        await stages.reach("projector", goal, lambda: projected(connection, topics))


async def projected(connection: AsyncConnection, topics: list[str]) -> Positions:
    """Where the slowest projection stands in each partition."""
    cursor = await connection.execute(PROJECTED, [topics])
    return {(topic, partition): position for topic, partition, position in await cursor.fetchall()}


class Stages:
    """Waits for one stage after the other, for as long as each one moves."""

    def __init__(self, show: Progress, still_s_max: float) -> None:
        self._show = show
        self._still_s_max = still_s_max

    async def reach(self, stage: str, goal: Positions, read: Read) -> None:
        standing, moved_at = await read(), time.monotonic()
        while short := short_of(standing, goal):
            self._show(**{f"{stage}_behind": sum(goal[place] - at for place, at in short.items())})
            if time.monotonic() - moved_at > self._still_s_max:
                raise _stuck(stage, short, goal, self._still_s_max)
            await asyncio.sleep(POLL_S)
            before, standing = standing, await read()
            moved_at = time.monotonic() if standing != before else moved_at


def short_of(standing: Mapping[Place, int], goal: Mapping[Place, int]) -> Positions:
    """Where the stage stands, for every partition in which it has not reached its goal."""
    return {place: standing.get(place, 0) for place, end in goal.items() if standing.get(place, 0) < end}


def _stuck(stage: str, short: Positions, goal: Positions, still_s: float) -> LaurelError:
    (topic, partition), at = next(iter(short.items()))
    end = goal[topic, partition]
    command = {"processor": "worker"}.get(stage, stage)
    return LaurelError(
        f"the {stage} is behind and has not moved for {still_s:.0f} s: it stands at {at} of {end} in "
        f"{topic}-{partition} ({len(short)} partitions behind): ask `laurel doctor`, see whether `laurel "
        f"{command}` runs and what its log says; what was published is in Kafka and is not lost"
    )
