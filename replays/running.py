"""One replay, carried out on Kafka and Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import structlog
from aiokafka.errors import KafkaError
from psycopg import OperationalError

from broker.catalogs import read_records
from broker.connections import Unreachable
from broker.controls import control_records
from broker.failpoints import reach
from broker.topics import places_of
from processor.replay.job import Task, run
from processor.replay.ports import Ports, Report, Status
from replays.intent import program_at
from replays.late_starting import job_of
from replays.orders import orders
from replays.processes import Employ
from replays.registry import Registry, Replay, registry_of
from replays.reprocessing import reprocess
from replays.servers import world_of
from replays.settings import ReplaySettings
from replays.sources import SourceLog
from replays.steps import CLOSE, DECIDE
from replays.traffic import live_traffic
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogRecord
from schemas.topics import Names

LOOK_S = 0.5
NAMED_IN_PLAN = ("wanted", "removed", "harder")
SERVER_ERRORS = (Unreachable, KafkaError, OperationalError)

log = structlog.get_logger(__name__)


class Row:
    """The registry's row of one replay."""

    def __init__(self, registry: Registry, id: str) -> None:
        self._registry, self._id = registry, id

    async def status(self) -> Status:
        return await self._registry.status(self._id)

    async def decide(self) -> Status:
        reach(f"replay.{DECIDE}")
        return await self._registry.decide(self._id)

    async def report(self, report: Report) -> None:
        await self._registry.show(self._id, report)

    async def end(self, status: Literal["done", "cancelled", "failed"], failure: str | None = None) -> None:
        reach(f"replay.{CLOSE}")
        await self._registry.end(self._id, status, failure)


async def run_replay(settings: ReplaySettings, id: str, employ: Employ) -> Status:
    """Carry a replay out to its end. Any number of processes may, at once or one after the other.

    Raises: LaurelError for what it cannot go on with; what a server's client raises when it went away.
    """
    async with registry_of(settings) as registry:
        replay = await registry.get(id)
        await refuse_other_partitions(settings, replay)
        if replay.kind == "full":
            return await reprocess(world_of(settings, registry, employ), replay)
        task = task_of(replay, await read_records(settings.kafka, settings.names), settings.names)
        async with world(settings, registry, task) as ports:
            if replay.kind == "late":
                return await job_of(settings, replay, task, ports).run()
            return await run(task, ports)


async def run_to_end(settings: ReplaySettings, id: str, employ: Employ) -> None:
    """As `run_replay`, and also through pauses; what it cannot go on with is written beside the replay."""
    async with registry_of(settings) as registry:
        while not (await registry.get(id)).has_ended:
            await carry_out(settings, id, employ)
            await asyncio.sleep(LOOK_S)


async def carry_out(settings: ReplaySettings, id: str, employ: Employ) -> None:
    """As far as it goes now. Raises: what a server's client raises when it went away; then another may go on."""
    try:
        await run_replay(settings, id, employ)
    except SERVER_ERRORS:
        raise
    except Exception as error:
        log.exception("replay failed", replay=id)
        async with registry_of(settings) as registry:
            await registry.end(id, "failed", told(error))


def told(error: Exception) -> str:
    return str(error) if isinstance(error, LaurelError) else f"a bug of Laurel's: {error!r}, see the replayer's log"


async def refuse_other_partitions(settings: ReplaySettings, replay: Replay) -> None:
    """Raises: Precondition when the state has another number of partitions than when the replay was started."""
    count = len(await places_of(settings.kafka, [settings.names.changelog]))
    if count != replay.partitions:
        raise Precondition(
            f"replay '{replay.id}' was started on {replay.partitions} partitions, the state has {count} now, with "
            f"users elsewhere: cancel it (`laurel replay cancel {replay.id}`) and start another"
        )


def task_of(replay: Replay, records: Sequence[CatalogRecord], names: Names) -> Task:
    """What the row says, in the words of the job: the same in every process."""
    catalogs = replay.versions
    plan = {name: [(catalog, key) for catalog, key in replay.plan.get(name, ())] for name in NAMED_IN_PLAN}
    return Task(
        replay=replay.id,
        catalogs=catalogs,
        program=program_at(records, names, catalogs),
        partitions=replay.partitions,
        muted=replay.muted,
        filling=replay.filling,
        wanted=plan["wanted"],
        revoked=[*plan["removed"], *plan["harder"]] if replay.policy == "revoke" else [],
        notify=replay.notify,
        dates=replay.dates,
    )


@asynccontextmanager
async def world(settings: ReplaySettings, registry: Registry, task: Task) -> AsyncIterator[Ports]:
    names = settings.names
    async with AsyncExitStack() as stack:
        yield Ports(
            SourceLog(settings.kafka, names),
            await stack.enter_async_context(control_records(settings.kafka, names)),
            await stack.enter_async_context(orders(settings.kafka, names, settings.replay_rate)),
            Row(registry, task.replay),
            await stack.enter_async_context(live_traffic(settings.kafka, names, task.program.sources)),
        )
