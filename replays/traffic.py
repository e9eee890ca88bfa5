"""How far the processor is behind its sources: what a replay yields to."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from broker.connections import consumer
from broker.positions import GroupPositions, Place
from broker.topics import places_of
from processor.replay.ports import Load
from schemas.topics import Names

FLOW_S = 0.2  # what comes in so long is on its way through the checkpoints of processors that keep up
NICE = 10


class LiveTraffic:
    """Units: records of the sources, markers included."""

    def __init__(self, group: GroupPositions, places: Sequence[Place]) -> None:
        self._group, self._places = group, places
        self._before: tuple[float, int] | None = None

    async def behind(self) -> int:
        """What is committed and not folded."""
        return (await self._looked())[0]

    async def load(self) -> Load:
        """The same without what is on its way at the present rate, as it is between two looks."""
        behind, ends = await self._looked()
        now, before = time.monotonic(), self._before
        self._before = now, ends
        per_s = 0.0 if before is None else (ends - before[1]) / max(now - before[0], 1e-3)
        return Load(max(0, behind - round(FLOW_S * per_s)), per_s)

    def give_way(self) -> None:
        """For good: without privileges nobody gets back what was given."""
        os.setpriority(os.PRIO_PROCESS, 0, _niceness() + nicer_by())
        if hasattr(os, "SCHED_IDLE"):  # whoever else wakes up has the core at once, and not when its turn comes
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))

    async def _looked(self) -> tuple[int, int]:
        """What is not folded, and the sum of the ends."""
        folded = await self._group.committed(self._places)
        ends = await self._group.ends(self._places)
        return sum(max(0, ends[place] - folded[place]) for place in self._places), sum(ends.values())


def nicer_by() -> int:
    """What this process lacks of being behind the live processors of its machine."""
    return max(0, NICE - _niceness())


def _niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


@asynccontextmanager
async def live_traffic(bootstrap: str, names: Names, sources: Sequence[str]) -> AsyncIterator[LiveTraffic]:
    """Raises: Precondition when a source topic does not exist."""
    places = await places_of(bootstrap, sources)
    async with consumer(bootstrap, group=names.processor) as client:
        yield LiveTraffic(GroupPositions(client), places)
