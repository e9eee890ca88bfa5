"""The stage of a measurement: a real broker on its own core, with the whole load on it before anybody starts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.load import TOPIC, Load, values
from broker.connections import producer
from broker.positions import Positions
from broker.producing import Outgoing, Publisher
from broker.topics import create_topics
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.kafka import BENCH
from schemas.topics import SOURCE_CONFIG, TopicSpec

BROKER_CORE, ENGINE_CORE = 0, 1
PARTITIONS = 8

Say = Callable[[str], None]


class Stage(NamedTuple):
    """Shapes: ends, where each partition of the load ends."""

    stack: LocalStack
    load: Load
    ends: Positions

    @property
    def kafka(self) -> str:
        return self.stack.kafka

    def start(self, name: str, argv: Sequence[str], env: dict[str, str]) -> Child:
        """Start an engine, on the engine's core."""
        return self.stack.run(name, ["taskset", "-c", str(ENGINE_CORE), *argv], env, restart=False)

    def folder(self, name: str) -> Path:
        """A folder that goes with the stage."""
        path = self.stack.data_dir / name
        path.mkdir(exist_ok=True)
        return path


@contextmanager
def staged(load: Load, say: Say) -> Iterator[Stage]:
    """A broker of our own, whatever is configured, with the load on it."""
    environ = {**os.environ, "LAUREL_POSTGRES": "not used here"}
    environ.pop("LAUREL_KAFKA", None)
    with LocalStack(ephemeral=True, kafka_flags=BENCH, kafka_core=BROKER_CORE, environ=environ) as stack:
        say(f"publishing {load.events:,} events")
        yield Stage(stack, load, asyncio.run(_publish(stack.kafka, load)))


async def _publish(bootstrap: str, load: Load) -> Positions:
    await create_topics(bootstrap, [TopicSpec(TOPIC, PARTITIONS, SOURCE_CONFIG)])
    async with producer(bootstrap) as client:
        publisher = Publisher(client, {TOPIC: PARTITIONS})
        for key, value in values(load):
            await publisher.send(Outgoing(TOPIC, key, value))
        await publisher.flush()
    return publisher.ends


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This thread stays on one core meanwhile."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
