"""Records of the sources that live has not counted, though they can be read: parked, or skipped by an operator."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from broker.controls import read_controls
from broker.parking import Parking, read_parking
from broker.positions import Place
from broker.reading import Batch, read_to_end
from broker.topics import partition_counts, places_of
from processor.kafka.dead_letters import PREFIX
from schemas.records import Record
from schemas.state import Control
from schemas.topics import Names

SKIPPED = "an operator skipped it, so it counts for nothing"
PARKED = "it is parked since it ended a worker, and neither it nor what lies behind it is counted: `laurel doctor`"


class Uncounted(NamedTuple):
    """Shapes: parked, where a partition of a topic stands: neither that record nor any behind it is counted."""

    skipped: Mapping[Place, Collection[int]] = {}
    parked: Mapping[Place, int] = {}

    def end(self, batch: Batch) -> int:
        """How far of it is counted."""
        return min(batch.end, self.parked.get((batch.topic, batch.partition), batch.end))

    def counted(self, batch: Batch) -> Iterator[Record]:
        skipped, end = self.skipped.get((batch.topic, batch.partition), ()), self.end(batch)
        return (record for record in batch.records if record.offset < end and record.offset not in skipped)

    def why(self, places: Collection[Place]) -> Iterator[tuple[str, str, str]]:
        """Topic, place and reason of what these places have."""
        for topic, partition in sorted(places):
            for offset in sorted(self.skipped.get((topic, partition), ())):
                yield topic, f"{partition} at {offset}", SKIPPED
            if (topic, partition) in self.parked:
                yield topic, f"{partition} at {self.parked[topic, partition]}", PARKED


async def uncounted_in(bootstrap: str, names: Names) -> Uncounted:
    """What the control topic and the dead letters say. Raises: Precondition."""
    controls = await read_controls(bootstrap, names)
    partitions = (await partition_counts(bootstrap, [names.changelog]))[names.changelog]
    notes = await read_parking(bootstrap, names, range(partitions))
    parked = {
        place: parking.suspect.start
        for place, parking in notes.items()
        if parking.suspect is not None and _stands_at(parking, controls.get(place[1]))
    }
    return Uncounted(await _skipped(bootstrap, names), parked)


def _stands_at(parking: Parking, control: Control | None) -> bool:
    """Whether what was parked is not passed since."""
    suspect = parking.suspect
    if suspect is None or not parking.is_parked:
        return False
    return control is None or control.positions.get(suspect.topic, 0) <= suspect.start


async def _skipped(bootstrap: str, names: Names) -> dict[Place, set[int]]:
    found: dict[Place, set[int]] = {}
    async for batch in read_to_end(bootstrap, await places_of(bootstrap, [names.dead_letters])):
        for record in batch.records:
            said = dict(record.headers)
            if said.get(f"{PREFIX}class") == b"skipped":
                place = _said(said, "topic"), int(_said(said, "partition"))
                found.setdefault(place, set()).add(int(_said(said, "offset")))
    return found


def _said(headers: Mapping[str, bytes | None], name: str) -> str:
    return (headers.get(f"{PREFIX}{name}") or b"").decode()
