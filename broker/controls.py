"""What the owners of the partitions have committed of replays: their control records, read from the changelog.

Never asked of a live owner: what it holds may not be committed. A partition's newest control record stands near the
end of its changelog, so it is looked for from there backwards, in growing steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer

from broker.connections import consumer
from broker.positions import Place, Positions, as_partitions
from broker.reading import Reader
from broker.topics import places_of
from schemas.records import Record
from schemas.state import CONTROL_KEY, Control, decode_control
from schemas.topics import Names

STEP = 2_000  # offsets; under load a checkpoint has about as many
GROWTH = 4


class ControlRecords:
    """Shapes: what `controls` returns is partition -> its newest committed control record, where it has one."""

    def __init__(self, client: AIOKafkaConsumer, places: Sequence[Place]) -> None:
        self._client, self._places = client, places
        self._looked_to: Positions = {}
        self._newest: dict[int, Control] = {}
        self._looking = asyncio.Lock()

    async def controls(self) -> dict[int, Control]:
        """As they are now; who asks meanwhile waits, as there is one client."""
        async with self._looking:
            return await self._controls()

    async def _controls(self) -> dict[int, Control]:
        wanted = as_partitions(self._places)
        if not self._looked_to:
            self._looked_to = dict(await self._client.beginning_offsets(wanted))
        ends = await self._client.end_offsets(wanted)  # read committed: what is decided
        await self._look({tuple(place): end for place, end in ends.items() if end > self._looked_to[place]})
        self._looked_to.update(ends)
        return dict(self._newest)

    async def _look(self, uppers: Mapping[Place, int]) -> None:
        step = STEP
        while uppers:
            lowers = {place: max(self._looked_to[place], upper - step) for place, upper in uppers.items()}
            found = await self._newest_within(lowers, uppers)
            self._newest |= {place[1]: decode_control(control) for place, control in found.items()}
            uppers = {
                place: lower
                for place, lower in lowers.items()
                if place not in found and lower > self._looked_to[place]
            }
            step *= GROWTH

    async def _newest_within(self, lowers: Positions, uppers: Mapping[Place, int]) -> dict[Place, bytes]:
        """Who is read to the end is paused at once: a fetch that waits there for more would keep the next one
        waiting, for half a second."""
        reader, newest = Reader(self._client, lowers), {}
        while reader.behind(uppers):
            batches = await reader.poll()
            self._client.pause(*as_partitions(lowers.keys() - reader.behind(uppers).keys()))
            for batch in batches:
                place = batch.topic, batch.partition
                if control := _last_control(batch.records, uppers[place]):
                    newest[place] = control
        return newest


def _last_control(records: Iterable[Record], upper: int) -> bytes | None:
    values = [record.value for record in records if record.key == CONTROL_KEY and record.offset < upper]
    return values[-1] if values else None


@asynccontextmanager
async def control_records(bootstrap: str, names: Names) -> AsyncIterator[ControlRecords]:
    """Raises: Precondition when there is no changelog."""
    places = await places_of(bootstrap, [names.changelog])
    async with consumer(bootstrap) as client:
        yield ControlRecords(client, places)


async def read_controls(bootstrap: str, names: Names) -> dict[int, Control]:
    """As they are now. Raises: Precondition when there is no changelog."""
    async with control_records(bootstrap, names) as records:
        return await records.controls()
