"""`publish --wait`: each stage is waited for, and the one that is stuck is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition
from psycopg import Connection

from broker.connections import producer
from broker.positions import GroupPositions, Positions, group_positions
from broker.topics import create_topics, wanted_topics
from cli import visibility
from cli.settings import Settings
from cli.visibility import wait_until_visible
from projections.database import connect
from projections.migrations import runner
from schemas.errors import LaurelError

pytestmark = pytest.mark.server

STILL_S_MAX = 0.5
WAIT_S = 60.0
PARTITIONS = 2
PROJECTIONS = ("achievement", "user_achievement", "user_progress")


@pytest.fixture
async def settings(servers, namespace) -> Settings:
    settings = Settings(kafka=servers.kafka, postgres=servers.postgres, namespace=namespace, partitions=PARTITIONS)
    await create_topics(servers.kafka, wanted_topics(settings.names, [source(settings)], PARTITIONS))
    return settings


@pytest.fixture
def session(settings) -> Connection:
    with connect(settings.database) as connection:
        runner.upgrade(connection, settings.names.postgres_schema, runner.migration_files())
        yield connection


def source(settings: Settings) -> str:
    return f"{settings.namespace}-activity"


async def write(settings: Settings, topic: str, count: int) -> Positions:
    """Records in partition 1, and the position behind them."""
    async with producer(settings.kafka) as client:
        for _ in range(count):
            sent = await client.send_and_wait(topic, b"value", key=b"key", partition=1)
        return {(topic, 1): sent.offset + 1}


async def commit(settings: Settings, positions: Positions) -> None:
    """What a checkpoint of the processor does to its group, until everybody can see it."""
    offsets = {TopicPartition(*place): position for place, position in positions.items()}
    transactional_id = settings.names.transactional_id(1)
    async with producer(settings.kafka, transactional_id=transactional_id) as client, client.transaction():
        await client.send_offsets_to_transaction(offsets, settings.names.processor)
    async with group_positions(settings.kafka, settings.names.processor) as group:
        await until(lambda: shows(group, positions), f"the group stands at {positions}")


async def shows(group: GroupPositions, positions: Positions) -> bool:
    return await group.committed(positions) == positions


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not await true():
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
        await asyncio.sleep(0.02)


def project(session: Connection, projection: str, positions: Positions) -> None:
    for (topic, partition), position in positions.items():
        session.execute(
            "insert into projection_position values (%s, %s, %s, %s)", [projection, topic, partition, position]
        )


async def wait(settings: Settings, published: Positions) -> None:
    await wait_until_visible(settings, published, lambda **figures: None, STILL_S_MAX)


async def test_it_returns_once_every_stage_has_arrived(settings, session):
    published = await write(settings, source(settings), 5)
    derived = await write(settings, settings.names.derived, 2)
    outcomes = await write(settings, settings.names.outcomes, 3)
    await commit(settings, published | derived)
    project(session, "user_achievement", outcomes)

    await wait(settings, published)


async def test_a_processor_that_does_not_move_is_named(settings, session):
    published = await write(settings, source(settings), 5)

    with pytest.raises(LaurelError, match=r"the processor is behind .* 0 of 5 in .*-activity-1 .*laurel worker"):
        await wait(settings, published)


async def test_derived_events_that_nobody_took_are_waited_for(settings, session):
    published = await write(settings, source(settings), 5)
    await write(settings, settings.names.derived, 2)
    await commit(settings, published)

    with pytest.raises(LaurelError, match=r"the processor is behind .* 0 of 2 in .*\.derived-1"):
        await wait(settings, published)


async def test_a_projector_that_does_not_move_is_named(settings, session):
    published = await write(settings, source(settings), 5)
    await commit(settings, published)
    changed = await write(settings, settings.names.changelog, 4)
    project(session, "user_progress", {place: end - 1 for place, end in changed.items()})

    with pytest.raises(LaurelError, match=r"the projector is behind .* 3 of 4 in .*changelog-1 .*laurel projector"):
        await wait(settings, published)


async def test_a_stage_that_moves_is_given_time(settings, session, monkeypatch):
    """Each step is shorter than the patience, all of them together are not; by a clock that the test winds."""
    clock, behind = [0.0], [5]
    monkeypatch.setattr(visibility, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    published = await write(settings, source(settings), 5)

    def show(**figures: int) -> None:
        behind.append(figures.get("processor_behind", 0))

    async def is_seen(position: int) -> bool:
        return behind[-1] == 5 - position or waiting.done()

    waiting = asyncio.ensure_future(wait_until_visible(settings, published, show, STILL_S_MAX))
    for position in range(1, 6):
        clock[0] += 0.8 * STILL_S_MAX
        await commit(settings, dict.fromkeys(published, position))
        await until(lambda position=position: is_seen(position), f"position {position} is seen")

    await waiting
