"""The states that a log comes to, as compaction leaves them: one record a user, however many a worker would write.

They are folded by the evaluator and written by the checkpoints that a worker has, each partition in one, with its
outcomes, its control record and the group's positions: a worker that starts behind it finds nothing else to do. Run
as a program it does so for some partitions; two of them share the cores.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial
from typing import NoReturn

from bench.load import TOPIC
from bench.replaying import Deployment
from broker import garbage
from broker.catalogs import read_records
from broker.positions import Positions, last_stable_offsets
from processor.app import evaluators
from processor.kafka.fetch import Chunk
from processor.kafka.kafka_log import KafkaLog
from processor.kafka.ownership import Ownership
from processor.kafka.pace import NEVER
from processor.kafka.partition import OwnedPartition
from processor.preflight import Plan, prepare
from processor.profile import Profile
from processor.replay.ports import Stretch
from processor.replay.scan import read
from processor.replay.wanted import Everything
from processor.settings import ProcessorSettings, read_settings
from processor.telemetry import Telemetry
from schemas.errors import LaurelError
from schemas.topics import Names

PROCESSES = 2


def mature(deployment: Deployment) -> None:
    """Everything that is in the log by now. Raises: LaurelError when one of the processes does not end well."""
    settings = deployment.settings
    shares = [range(settings.partitions)[first::PROCESSES] for first in range(PROCESSES)]
    program = [sys.executable, "-P", "-m", "bench.matured", settings.kafka, settings.namespace]
    children = [deployment.run("matured", [*program, *map(str, some)]) for some in shares]
    for child in children:
        deployment.succeed(child)


async def fold(settings: ProcessorSettings, numbers: Sequence[int]) -> None:
    """One partition after the other, from its beginning to where it ends now."""
    names = Names(settings.namespace)
    plan = await prepare(settings.kafka, names, settings.start_timeout_s)
    ends = await last_stable_offsets(settings.kafka, [(TOPIC, number) for number in numbers])
    ownership, sources = owner(settings, names, plan), [*plan.program.sources, names.replay_assignments]
    garbage.collect_rarely()
    for number in numbers:
        await ownership.acquire({number}, partial(_open_empty, sources, ends))
        stretch = Stretch(TOPIC, number, 0, ends[TOPIC, number])
        async for batch in read(settings.kafka, stretch, Everything(), lambda _: None):
            await ownership.fold(Chunk(TOPIC, number, batch.start, batch.end, stretch.cut, batch.records))
        await ownership.release()


def owner(settings: ProcessorSettings, names: Names, plan: Plan) -> Ownership:
    return Ownership(
        KafkaLog(settings.kafka),
        names,
        plan.programs,
        plan.partitions,
        evaluators(plan, settings),
        NEVER,
        Telemetry(Profile(None)),
        _fail,
        partial(read_records, settings.kafka, names),
    )


async def _open_empty(sources: Sequence[str], ends: Positions, partition: OwnedPartition) -> None:
    """Nobody has folded anything yet."""
    partition.open(dict.fromkeys(sources, 0), {topic: ends.get((topic, partition.number), 0) for topic in sources})


def _fail(why: str, *, code: int = 1) -> NoReturn:
    raise LaurelError(f"{why} ({code})")


if __name__ == "__main__":
    kafka, namespace, *mine = sys.argv[1:]
    asyncio.run(fold(read_settings(kafka=kafka, namespace=namespace), [*map(int, mine)]))
