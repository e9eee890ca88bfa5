"""The replayer: carries out every replay of the registry that is under way, each in a task of its own."""

from __future__ import annotations

import asyncio

import structlog
from psycopg import OperationalError

from projections.decoding import RESTART
from projections.worker import pause, stopping_on_signals
from replays.registry import Registry, registry_of
from replays.running import LOOK_S, SERVER_ERRORS, carry_out
from replays.settings import ReplaySettings
from schemas.errors import LaurelError, Precondition

START_PAUSE_S = 1.0

Tasks = dict[str, asyncio.Task[None]]

log = structlog.get_logger(__name__)


class ServerLost(LaurelError):  # noqa: N818 - what happened, not a fault
    """Kafka or Postgres went away under us."""

    exit_code = RESTART


async def serve(settings: ReplaySettings) -> None:
    """Until SIGTERM or SIGINT: what is under way then goes on with the next replayer, from the owners' notes.

    Raises: Precondition when something must be done first, LaurelError when a supervisor must start it again.
    """
    stopping = stopping_on_signals()
    await await_database(settings)
    log.info("replays are carried out")
    try:
        await serve_until(settings, stopping)
    except SERVER_ERRORS as away:
        raise ServerLost(f"{away}; it was there, so this process must start again and wait for it") from away
    log.info("stopped")


async def await_database(settings: ReplaySettings) -> None:
    """Raises: Precondition when Postgres does not answer in time, or lacks a migration."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + settings.start_timeout_s
    while True:
        try:
            async with registry_of(settings) as registry:
                await registry.under_way()
            return
        except OperationalError as error:
            if clock() > deadline:
                raise Precondition(f"Postgres does not answer: {error}; start it, or set LAUREL_POSTGRES") from None
            log.warning("waiting for a server", why=str(error))
        await asyncio.sleep(START_PAUSE_S)


async def serve_until(settings: ReplaySettings, stopping: asyncio.Event) -> None:
    tasks: Tasks = {}
    try:
        async with registry_of(settings) as registry:
            while not stopping.is_set():
                await begin(settings, registry, tasks)
                await finish(registry, tasks)
                await pause(stopping, LOOK_S)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def begin(settings: ReplaySettings, registry: Registry, tasks: Tasks) -> None:
    """A task for every replay that is under way and has none."""
    for id in await registry.under_way():
        if id not in tasks:
            log.info("replay is carried out", replay=id)
            tasks[id] = asyncio.create_task(carry_out(settings, id))


async def finish(registry: Registry, tasks: Tasks) -> None:
    """Raises: what ended a task."""
    for id in [id for id, task in tasks.items() if task.done()]:
        tasks.pop(id).result()
        log.info("replay stopped", replay=id, status=await registry.status(id))
