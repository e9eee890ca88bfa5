"""How far the processor is behind its sources: what a replay yields to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from broker.connections import consumer
from broker.positions import GroupPositions, Place
from broker.topics import places_of
from schemas.topics import Names


class LiveTraffic:
    """Units: lag, records of the sources that are committed and not folded, markers included."""

    def __init__(self, group: GroupPositions, places: Sequence[Place]) -> None:
        self._group, self._places = group, places

    async def lag(self) -> int:
        folded = await self._group.committed(self._places)
        ends = await self._group.ends(self._places)
        return sum(max(0, ends[place] - folded[place]) for place in self._places)


@asynccontextmanager
async def live_traffic(bootstrap: str, names: Names, sources: Sequence[str]) -> AsyncIterator[LiveTraffic]:
    """Raises: Precondition when a source topic does not exist."""
    places = await places_of(bootstrap, sources)
    async with consumer(bootstrap, group=names.processor) as client:
        yield LiveTraffic(GroupPositions(client), places)
