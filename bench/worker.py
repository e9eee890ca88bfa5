"""Our own engine on the stage: a worker as shipped, in a namespace of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.draining import Done
from bench.load import TOPIC
from bench.outputs import read_outputs
from bench.stage import ENGINE_CORE, PARTITIONS, Stage, on_core
from broker.catalogs import program_of, submit
from broker.positions import GroupPositions, Positions, group_positions
from broker.reading import read_to_end
from broker.topics import create_topics, wanted_topics
from cli.stack.child import Child
from processor.evaluator.compile import compile_catalog
from schemas.errors import LaurelError
from schemas.events import readers
from schemas.program import Program
from schemas.topics import Names

STOP_TIMEOUT_S = 30.0
REPLAYED_PER_PARTITION = 10_000
REPLAYS = 3


class Worker:
    """Laurel's processor with a job."""

    def __init__(self, job: Path, namespace: str, name: str = "laurel") -> None:
        self._job, self._names, self.name = job, Names(namespace), name
        self._program: Program | None = None

    def prepare(self, stage: Stage) -> None:
        asyncio.run(self._prepare(stage))

    async def _prepare(self, stage: Stage) -> None:
        await create_topics(stage.kafka, wanted_topics(self._names, [TOPIC], PARTITIONS))
        text = self._job.read_text()
        submitted = await submit(stage.kafka, self._names, text, self._job.name, compile_catalog)
        self._program = program_of([submitted.record], self._names)

    def start(self, stage: Stage) -> Child:
        settings = {
            "LAUREL_KAFKA": stage.kafka,
            "LAUREL_NAMESPACE": self._names.namespace,
            "LAUREL_PROFILE": str(self._profile(stage)),
        }
        return stage.start(self._names.namespace, [sys.executable, "-m", "cli.main", "worker"], settings)

    @asynccontextmanager
    async def progress(self, stage: Stage) -> AsyncIterator[Done]:
        async with committed_positions(stage, self._names.processor) as done:
            yield done

    def stop(self, child: Child) -> None:
        os.kill(child.pid, signal.SIGTERM)
        if not child.wait(STOP_TIMEOUT_S):
            raise LaurelError(f"the worker did not stop within {STOP_TIMEOUT_S:.0f} s of a SIGTERM")

    def wanted(self, lines: list[str]) -> list[str]:
        return lines

    async def lines(self, stage: Stage) -> list[str]:
        assert self._program is not None
        return await read_outputs(stage.kafka, self._names, self._program, PARTITIONS)

    def told(self, stage: Stage) -> dict[str, Any]:
        """What the worker's profile says of it, and what decoding costs by itself."""
        profile: dict[str, Any] = json.loads(self._profile(stage).read_text().splitlines()[-1])
        return profile | {"decode_s": asyncio.run(self._decode_s(stage))}

    async def _decode_s(self, stage: Stage) -> float:
        """Seconds that the worker spent on decoding: its own decoder over records of the same log, afterwards and
        on its core, times the number of them."""
        assert self._program is not None
        starts = {place: max(0, end - REPLAYED_PER_PARTITION) for place, end in stage.ends.items()}
        batches = [batch async for batch in read_to_end(stage.kafka, starts, starts)]
        values = [record.value for batch in batches for record in batch.records if record.value is not None]
        with on_core(ENGINE_CORE):
            return min(_replay_s(self._program, values) for _ in range(REPLAYS)) / len(values) * stage.load.events

    def _profile(self, stage: Stage) -> Path:
        return stage.folder("profiles") / f"{self._names.namespace}.jsonl"


def _replay_s(program: Program, values: list[bytes]) -> float:
    decode = readers(program)[TOPIC].decode
    began = time.thread_time()
    for value in values:
        decode(value)
    return time.thread_time() - began


@asynccontextmanager
async def committed_positions(stage: Stage, group: str) -> AsyncIterator[Done]:
    """How many events lie behind a group's committed positions."""
    async with group_positions(stage.kafka, group) as positions:

        async def done() -> int:
            return await _behind(positions, stage.ends)

        yield done


async def _behind(group: GroupPositions, ends: Positions) -> int:
    committed = await group.committed(ends)
    return sum(min(committed[place], end) for place, end in ends.items())
