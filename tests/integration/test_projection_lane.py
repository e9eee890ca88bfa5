"""The compare-and-set and the retries of one projection, its topic played by a list of batches."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
from psycopg import AsyncConnection, OperationalError

from broker.reading import Batch
from projections.checkpoints import TakenOver, move
from projections.database import connect, connect_async
from projections.lane import Lane
from projections.migrations.runner import migration_files, upgrade
from projections.session import PostgresSession, open_session
from projections.user_achievement import OutcomeRows, UserAchievementProjection
from schemas.outcomes import encode_outcome
from schemas.records import PlainRecord
from tests.integration import projections as given

pytestmark = pytest.mark.server


class Log:
    """A subscription to one partition that holds these records and then no more."""

    def __init__(self, records: list[PlainRecord], stopping: asyncio.Event) -> None:
        self.busy = asyncio.Lock()
        self.settled = False
        self._records, self._stopping = records, stopping
        self._position = 0
        self.windows_s: list[float] = []

    def unsettle(self) -> None:
        self.settled = False

    async def beginnings(self) -> dict[int, int]:
        return {0: 0}

    def seek(self, positions: dict[int, int]) -> None:
        self._position, self.settled = positions[0], True

    async def gather(self, window_s: float, records_max: int) -> list[Batch]:
        self.windows_s.append(window_s)
        await asyncio.sleep(0)
        start, end = self._position, min(self._position + 10, len(self._records))
        if start == end:
            self._stopping.set()
            return []
        self._position = end
        return [Batch("outcomes", 0, start, end, self._records[start:end])]

    def stable_ends(self) -> dict[int, int]:
        return {0: len(self._records)}

    async def commit(self, positions: dict[int, int]) -> None:
        """Nobody looks."""


@pytest.fixture
async def settings(servers, namespace):
    found = given.settings_of(servers, namespace)
    with connect(found) as connection:
        upgrade(connection, found.names.postgres_schema, migration_files())
    return found


@pytest.fixture
async def database(settings):
    async with given.reading(settings) as connection:
        yield connection


def records(count: int) -> list[PlainRecord]:
    each = enumerate(given.outcomes(count))
    return [PlainRecord(number, 1_700_000_000_000, b"", encode_outcome(outcome)) for number, outcome in each]


def lane(settings, log, connection_name: str = "lane") -> Lane:
    projection = UserAchievementProjection(settings.names)
    connect = partial(connect_async, settings, connection_name)
    return Lane(projection, log, partial(open_session, connect, projection))


async def test_of_two_owners_of_a_partition_one_goes_on_and_the_rows_are_right(settings, database):
    """The one that was away finds that its position has moved, writes nothing, and ends."""
    stopping = asyncio.Event()
    away, present = Log(records(30), stopping), Log(records(30), stopping)
    left, owner = lane(settings, away), lane(settings, present)
    await left._advance()
    await left._advance()  # it read and wrote the first ten records, then was away

    await owner.run(stopping)
    with pytest.raises(TakenOver, match="no longer holds outcomes-0"):
        await left._advance()

    await left._drop_ahead()
    await left._disconnect()
    assert set((await given.counts(database)).values()) == {30}
    assert await given.positions(database, settings.names.outcomes) == {0: 30}


class Laborious(UserAchievementProjection):
    """One whose rows take long to write, and that may gather for up to a second meanwhile."""

    window_s_max = 1.0

    async def write(self, connection: AsyncConnection, rows: OutcomeRows) -> int:
        await asyncio.sleep(0.2)
        return await super().write(connection, rows)


async def test_a_projection_whose_rows_take_long_to_write_gathers_for_longer(settings):
    stopping = asyncio.Event()
    log, projection = Log(records(50), stopping), Laborious(settings.names)
    session = partial(open_session, partial(connect_async, settings, "laborious"), projection)

    await Lane(projection, log, session).run(stopping)

    first, *_, last = log.windows_s
    assert (first, 0.2 <= last <= 1.0) == (projection.window_s, True)


async def test_a_lost_partition_rolls_back_the_others_of_its_batch(settings, database):
    projection = UserAchievementProjection(settings.names)
    session, topic = PostgresSession(database, projection), projection.topic
    await session.positions({0: 0, 1: 0})
    await move(session, "awards", [Batch(topic, 1, 0, 5, [])])

    with pytest.raises(TakenOver, match=f"'awards' no longer holds {topic}-1:"):
        async with session.transaction():
            await move(session, "awards", [Batch(topic, 0, 0, 7, []), Batch(topic, 1, 0, 7, [])])

    assert await given.positions(database, topic) == {0: 0, 1: 5}


async def test_a_statement_that_was_cancelled_is_tried_again(settings, database):
    stopping = asyncio.Event()
    log = Log(records(30), stopping)
    running = lane(settings, log, f"{settings.namespace} cancelled")
    async with given.reading(settings) as blocker:
        await blocker.set_autocommit(False)
        await blocker.execute(b"lock table notification in exclusive mode")
        task = asyncio.create_task(running.run(stopping))

        async def cancelled() -> bool:
            cursor = await database.execute(
                b"select pg_cancel_backend(pid) from pg_stat_activity "
                b"where application_name = %s and wait_event_type = 'Lock'",
                [f"{settings.namespace} cancelled"],
            )
            return bool(await cursor.fetchall())

        await given.wait_until(cancelled, "the lane waits for the lock")
        await blocker.rollback()
    await asyncio.wait_for(task, given.WAIT_S)

    assert set((await given.counts(database)).values()) == {30}


async def test_a_commit_whose_answer_was_lost_is_not_done_twice(settings, database):
    """The transaction went through and nobody told: the position in Postgres says so."""
    stopping = asyncio.Event()
    log = Log(records(30), stopping)
    lost = [OperationalError("server closed the connection unexpectedly")]

    async def connect_lossy():
        connection = await connect_async(settings, "lossy")
        connection.transaction = partial(losing, connection.transaction, lost)
        return connection

    projection = UserAchievementProjection(settings.names)
    lossy = Lane(projection, log, partial(open_session, connect_lossy, projection))
    await asyncio.wait_for(lossy.run(stopping), given.WAIT_S)

    assert not lost
    assert set((await given.counts(database)).values()) == {30}


@asynccontextmanager
async def losing(transaction, lost):
    async with transaction():
        yield
    if lost:
        raise lost.pop()
