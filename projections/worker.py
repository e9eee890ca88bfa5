"""The projector: one process that keeps the read models at the end of their topics."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from psycopg import OperationalError

from broker import garbage
from broker.catalogs import read_records
from broker.connections import Unreachable
from broker.controls import read_controls
from broker.topics import places_of
from projections import notification_queue
from projections.achievement import AchievementProjection
from projections.database import connect, connect_async
from projections.decoding import RESTART
from projections.lane import Lane
from projections.memory import keep_blocks
from projections.migrations.runner import check_current
from projections.projection import Projection
from projections.session import open_session
from projections.settings import ProjectorSettings
from projections.subscription import subscribe
from projections.telemetry import QUEUE_DEPTH, QUEUE_OLDEST, log, serve_metrics
from projections.user_achievement import UserAchievementProjection
from projections.user_progress import UserProgressProjection
from schemas.errors import LaurelError, Precondition

QUEUE_LOOK_S = 5.0
START_PAUSE_S = 1.0
STOP_SECONDS_MAX = 8.0  # then a batch in hand is rolled back, and read again after the next start


class ServerLost(LaurelError):  # noqa: N818 - what happened, not a fault
    """Kafka or Postgres went away under us."""

    exit_code = RESTART


async def project(settings: ProjectorSettings) -> None:
    """Until SIGTERM or SIGINT, which let the batches in hand be committed.

    Raises: Precondition when something must be done first, LaurelError when a supervisor must start it again.
    """
    stopping = stopping_on_signals()
    await await_servers(settings)
    serve_metrics(settings.metrics_port)
    garbage.collect_rarely()
    keep_blocks()
    with leaving_when_lost(Unreachable):
        await project_until(settings, stopping)
    log.info("stopped")


@contextmanager
def leaving_when_lost(*errors: type[Exception]) -> Iterator[None]:
    """Raises: ServerLost in place of what a client raises when its server went away."""
    try:
        yield
    except errors as away:
        raise ServerLost(f"{away}; it was there, so this process must start again and wait for it") from away


def stopping_on_signals() -> asyncio.Event:
    """Set by SIGTERM and SIGINT, from here on."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def await_servers(settings: ProjectorSettings) -> None:
    """Raises: Precondition when one does not answer in time, or lacks what is to be there."""

    async def check() -> None:
        await asyncio.to_thread(check_schema, settings)
        await check_topics(settings)

    await await_answers(check, settings.start_timeout_s)


async def await_answers(check: Callable[[], Awaitable[None]], timeout_s: float) -> None:
    """Wait for Postgres and Kafka, which may be starting too. Only the start is ever tried again.

    Raises: Precondition when one does not answer in time, and what else `check` raises.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return await check()
        except OperationalError as error:
            away = Precondition(f"Postgres does not answer: {error}; start it, or set LAUREL_POSTGRES")
        except Unreachable as error:
            away = error
        if time.monotonic() > deadline:
            raise away
        log.warning("waiting for a server", why=str(away))
        await asyncio.sleep(START_PAUSE_S)


async def check_topics(settings: ProjectorSettings) -> None:
    """Raises: Precondition when one is missing."""
    await places_of(settings.kafka, [model.topic for model in projections(settings)])


async def project_until(settings: ProjectorSettings, stopping: asyncio.Event) -> None:
    """All projections side by side; when one fails, the others finish their batch."""
    models = projections(settings)
    await check_topics(settings)
    work = [keep_current(settings, model, stopping) for model in models]
    await run_together([*work, watch_queue(settings, stopping)], stopping)


def projections(settings: ProjectorSettings) -> list[Projection]:
    names = settings.names
    return [
        AchievementProjection(names),
        UserAchievementProjection(names, settings.replay_notices_per_s),
        UserProgressProjection(
            names, partial(read_records, settings.kafka, names), partial(read_controls, settings.kafka, names)
        ),
    ]


async def keep_current(settings: ProjectorSettings, projection: Projection, stopping: asyncio.Event) -> None:
    connect = partial(connect_async, settings, f"{settings.namespace} {projection.name}")
    async with subscribe(settings, projection) as subscription:
        await Lane(projection, subscription, partial(open_session, connect, projection)).run(stopping)


async def run_together(work: Sequence[Coroutine[Any, Any, None]], stopping: asyncio.Event) -> None:
    """Until one ends, which ends all of them. Raises: what the first of them raised."""
    tasks = [asyncio.create_task(each) for each in work]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS_MAX)
    for task in late:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


def check_schema(settings: ProjectorSettings) -> None:
    """Raises: Precondition when Postgres lacks a migration, OperationalError when it does not answer."""
    with connect(settings) as connection:
        check_current(connection, settings.names.postgres_schema)


async def watch_queue(settings: ProjectorSettings, stopping: asyncio.Event) -> None:
    """Show how much waits for a notification service, and since when."""
    while not stopping.is_set():
        try:
            async with await connect_async(settings, f"{settings.namespace} queue") as connection:
                cursor = await connection.execute(notification_queue.SQL["depth"])
                show_queue(await cursor.fetchall())
        except OperationalError as error:
            log.warning("queue not seen", error=str(error))
        await pause(stopping, QUEUE_LOOK_S)


def show_queue(rows: Iterable[tuple[str, int, float | None]]) -> None:
    found = {state: (count, oldest_s) for state, count, oldest_s in rows}
    for state in ("pending", "leased", "dead"):
        QUEUE_DEPTH.labels(state).set(found.get(state, (0, None))[0])
    _, oldest_s = found.get("pending", (0, None))
    QUEUE_OLDEST.set(max(0.0, oldest_s or 0.0))


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
