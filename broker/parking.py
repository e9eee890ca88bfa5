"""What the control topic says of suspect records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from broker.notes import note_in
from broker.positions import Place
from broker.reading import read_to_end
from schemas.lanes import place_of
from schemas.notes import SkipOrder, Suspect
from schemas.records import Record
from schemas.topics import Names


class Parking(NamedTuple):
    """The latest notes about one partition of a source topic."""

    suspect: Suspect | None = None
    order: SkipOrder | None = None

    @property
    def is_parked(self) -> bool:
        return self.suspect is not None and self.suspect.is_parked

    @property
    def is_to_be_skipped(self) -> bool:
        """Only the parked record itself: an order for any other is none."""
        return (
            self.suspect is not None
            and self.order is not None
            and self.is_parked
            and self.order.offset == self.suspect.start
        )


async def read_parking(bootstrap: str, names: Names, partitions: Iterable[int]) -> dict[Place, Parking]:
    """By source topic and partition, for those that have a note. Raises: Precondition."""
    found: dict[Place, Parking] = {}
    async for batch in read_to_end(bootstrap, [(names.control, number) for number in partitions]):
        for record in batch.records:
            take_note(found, batch.partition, record)
    return {place_of(*lane): parking for lane, parking in found.items()}


def take_note(found: dict[Place, Parking], partition: int, record: Record) -> None:
    """Put a record of the control topic over what was found before it of its lane. Raises: Precondition.

    An order is about what was noted before it; an exit after it makes it void.
    """
    match note := note_in(record, partition):
        case Suspect():
            found[note.topic, partition] = Parking(note)
        case SkipOrder():
            place = (note.topic, partition)
            found[place] = found.get(place, Parking())._replace(order=note)
