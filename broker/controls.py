"""What the owners of the partitions have committed of replays: their control records, read from the changelog.

Never asked of a live owner: what it holds may not be committed. A partition's newest control record stands near the
end of its changelog, so it is looked for from there backwards, in growing steps.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
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

    async def controls(self) -> dict[int, Control]:
        wanted = as_partitions(self._places)
        if not self._looked_to:
            self._looked_to = dict(await self._client.beginning_offsets(wanted))
        for place, end in (await self._client.end_offsets(wanted)).items():  # read committed: what is decided
            await self._look(tuple(place), end)
        return dict(self._newest)

    async def _look(self, place: Place, end: int) -> None:
        floor, upper, step = self._looked_to[place], end, STEP
        while upper > floor:
            lower = max(floor, upper - step)
            found = await self._newest_within(place, lower, upper)
            if found is not None:
                self._newest[place[1]] = found
                break
            upper, step = lower, step * GROWTH
        self._looked_to[place] = max(floor, end)

    async def _newest_within(self, place: Place, lower: int, upper: int) -> Control | None:
        reader, newest = Reader(self._client, {place: lower}), None
        while reader.behind({place: upper}):
            for batch in await reader.poll():
                newest = _last_control(batch.records, upper) or newest
        return decode_control(newest) if newest is not None else None


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
