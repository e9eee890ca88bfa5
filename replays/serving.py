"""The replayer: carries out every replay of the registry that is under way, each in a task of its own."""

from __future__ import annotations

import asyncio

import structlog

from broker import garbage
from broker.topics import places_of
from projections.telemetry import serve_metrics
from projections.worker import await_answers, leaving_when_lost, pause, stopping_on_signals
from replays.processes import Employ
from replays.registry import Registry, registry_of
from replays.running import LOOK_S, SERVER_ERRORS, carry_out
from replays.settings import ReplaySettings
from replays.telemetry import CARRIED_OUT, REGISTRY

Tasks = dict[str, asyncio.Task[None]]

log = structlog.get_logger(__name__)


async def serve(settings: ReplaySettings, employ: Employ) -> None:
    """Until SIGTERM or SIGINT: what is under way then goes on with the next replayer, from the owners' notes.

    Raises: Precondition when something must be done first, LaurelError when a supervisor must start it again.
    """
    stopping = stopping_on_signals()
    await await_servers(settings)
    serve_metrics(settings.metrics_port, REGISTRY)
    garbage.collect_rarely()
    log.info("replays are carried out")
    with leaving_when_lost(*SERVER_ERRORS):
        await serve_until(settings, stopping, employ)
    log.info("stopped")


async def await_servers(settings: ReplaySettings) -> None:
    """Raises: Precondition when one does not answer in time, or lacks what is to be there."""

    async def check() -> None:
        async with registry_of(settings) as registry:
            await registry.under_way()
        await places_of(settings.kafka, [settings.names.replay_assignments])

    await await_answers(check, settings.start_timeout_s)


async def serve_until(settings: ReplaySettings, stopping: asyncio.Event, employ: Employ) -> None:
    tasks: Tasks = {}
    try:
        async with registry_of(settings) as registry:
            while not stopping.is_set():
                await begin(settings, registry, tasks, employ)
                await finish(registry, tasks)
                CARRIED_OUT.set(len(tasks))
                await pause(stopping, LOOK_S)
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def begin(settings: ReplaySettings, registry: Registry, tasks: Tasks, employ: Employ) -> None:
    """A task for every replay that is under way and has none."""
    for id in await registry.under_way():
        if id not in tasks:
            log.info("replay is carried out", replay=id)
            tasks[id] = asyncio.create_task(carry_out(settings, id, employ))


async def finish(registry: Registry, tasks: Tasks) -> None:
    """Raises: what ended a task."""
    for id in [id for id, task in tasks.items() if task.done()]:
        tasks.pop(id).result()
        log.info("replay stopped", replay=id, status=await registry.status(id))
