"""Notes about suspect records, in the control topic: written one at a time, read to the end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import MsgspecError

from broker.connections import producer
from broker.positions import Place
from broker.reading import read_to_end
from schemas.errors import Precondition
from schemas.parking import Note, SkipOrder, Suspect, decode_note, encode_note, key_of
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


async def write_note(bootstrap: str, names: Names, partition: int, note: Note) -> None:
    async with producer(bootstrap) as client:
        await client.send_and_wait(names.control, encode_note(note), key=key_of(note), partition=partition)


async def read_parking(bootstrap: str, names: Names, partitions: Iterable[int]) -> dict[Place, Parking]:
    """By source topic and partition, for those that have a note. Raises: Precondition."""
    found: dict[Place, Parking] = {}
    async for batch in read_to_end(bootstrap, [(names.control, number) for number in partitions]):
        for record in batch.records:
            take_note(found, batch.partition, record)
    return found


def take_note(found: dict[Place, Parking], partition: int, record: Record) -> None:
    """Put a record of the control topic over what was found before it. Raises: Precondition."""
    note = _note(record, partition)
    place = (note.topic, partition)
    known = found.get(place, Parking())
    found[place] = known._replace(suspect=note) if isinstance(note, Suspect) else known._replace(order=note)


def _note(record: Record, partition: int) -> Note:
    try:
        note: Note = decode_note(record.value or b"")
    except MsgspecError as error:
        raise Precondition(
            f"the record at offset {record.offset} of partition {partition} of the control topic is no note that "
            f"this version knows ({error}): upgrade it to the version that wrote the record"
        ) from None
    return note
