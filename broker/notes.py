"""The control topic: notes written one at a time, and read to the end."""

from __future__ import annotations

from msgspec import MsgspecError

from broker.connections import producer
from broker.reading import read_to_end
from broker.topics import partition_counts
from schemas.errors import Precondition
from schemas.notes import Layout, Note, decode_note, encode_note, key_of
from schemas.records import Record
from schemas.topics import Names

LAYOUT_PARTITION = 0


async def write_note(bootstrap: str, names: Names, partition: int, note: Note) -> None:
    async with producer(bootstrap) as client:
        await client.send_and_wait(names.control, encode_note(note), key=key_of(note), partition=partition)


async def read_layout(bootstrap: str, names: Names) -> Layout | None:
    """What the namespace was last run with; None before its first run. Raises: Precondition."""
    if not (await partition_counts(bootstrap, [names.control]))[names.control]:
        return None
    latest = None
    async for batch in read_to_end(bootstrap, [(names.control, LAYOUT_PARTITION)]):
        for record in batch.records:
            note = note_in(record, LAYOUT_PARTITION)
            latest = note if isinstance(note, Layout) else latest
    return latest


def note_in(record: Record, partition: int) -> Note:
    """Raises: Precondition on one that a newer version wrote."""
    try:
        note: Note = decode_note(record.value or b"")
    except MsgspecError as error:
        raise Precondition(
            f"the record at offset {record.offset} of partition {partition} of the control topic is no note that "
            f"this version knows ({error}): upgrade it to the version that wrote the record"
        ) from None
    return note
