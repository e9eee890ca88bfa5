"""Records that make our own code raise: found, counted over restarts, parked, skipped by an operator's word.

A record that raises leaves its partition's memory in an undefined state, so the process ends. What it can say
before that, and says in the control topic, is at which records. Its successor folds up to these and commits, then
folds them one by one: an exit then names the very record, and costs nothing that was folded before. After three
exits at one record its topic is parked in this partition: the record stays where it is, everything else goes on.

When not a fold raises but the cut of what many records made, it is known of the stretch since the last cut only. It
is folded again in pieces, a checkpoint after each, so that every further exit makes it shorter.
"""

from __future__ import annotations

import asyncio
import traceback
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Protocol

import structlog

from broker.parking import Parking, take_note
from processor.kafka.batches import Place
from processor.kafka.fetch import Chunk
from processor.kafka.log import Log, Reader
from processor.kafka.partition import OwnedPartition, Raised
from schemas.errors import BadRecord
from schemas.lanes import place_of
from schemas.notes import Suspect, after_exit, encode_note, key_of

NOTE_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
LOOK_EVERY_S = 1.0
PIECES_OF_A_CUT = 16
SAY_EVERY_LOOKS = 60

log = structlog.get_logger(__name__)


class Flow(Protocol):
    """Where the chunks come from."""

    def hold(self, place: Place) -> None:
        """No more chunks of this place, please."""

    async def go_on(self, place: Place, position: int) -> None:
        """Chunks again, from this position."""


class ParkingLot:
    """The suspects among the records of this process's partitions."""

    def __init__(self, log: Log, control_topic: str) -> None:
        self._log, self._topic = log, control_topic
        self._waiting: dict[Place, asyncio.Task[None]] = {}
        self.flow: Flow | None = None

    async def recall(self, reader: Reader, partitions: Iterable[OwnedPartition]) -> None:
        """Give partitions what was noted about them."""
        by_number = {partition.number: partition for partition in partitions}
        for partition in by_number.values():
            partition.parkings = {}
        for (topic, number), parking in (await self._read(reader, by_number)).items():
            by_number[number].parkings[topic] = parking

    async def _read(self, reader: Reader, numbers: Iterable[int]) -> dict[Place, Parking]:
        found: dict[Place, Parking] = {}
        async with asyncio.timeout(READ_TIMEOUT_S):
            extents = await reader.bounds([(self._topic, number) for number in numbers])
            for place, (position, end) in extents.items():
                while position < end:
                    chunk = await reader.read(place, position)
                    for record in chunk.records if chunk else ():
                        take_note(found, place[1], record)
                    position = chunk.end if chunk else position
        return found

    async def note(self, partition: OwnedPartition, raised: Raised) -> None:
        """Leave word for whoever owns the partition next. In vain it only costs another exit."""
        log.critical(f"the {raised.step} failed", frames=traceback.format_tb(raised.bug.__traceback__))
        try:
            async with asyncio.timeout(NOTE_TIMEOUT_S), partition.writing:
                await self._write(partition, [*_suspects(partition, raised)])
        except Exception as error:
            log.error("the exit could not be noted", error=repr(error))

    async def _write(self, partition: OwnedPartition, suspects: Iterable[Suspect]) -> None:
        """In a transaction of its own: nothing of memory is in it, and only the owner can commit it."""
        assert partition.writer is not None, "folded without being the writer"
        rows = [(key_of(suspect), encode_note(suspect)) for suspect in suspects]
        await partition.writer.begin()
        await partition.writer.append({(self._topic, partition.number): rows}, lambda place: None)
        await partition.writer.commit()

    def park(self, partition: OwnedPartition, topic: str, suspect: Suspect) -> None:
        """Leave the record where it is, and wait for somebody's word about it."""
        partition.parked[topic] = suspect.start
        place = (topic, partition.number)
        if self.flow is not None:
            self.flow.hold(place)
        self._waiting[place] = asyncio.create_task(self._wait(partition, topic, suspect))

    def leave(self, partition: OwnedPartition) -> None:
        """The partition goes to another owner, who will find the same."""
        partition.parked = {}
        for place in [place for place in self._waiting if place[1] == partition.number]:
            self._waiting.pop(place).cancel()

    async def _wait(self, partition: OwnedPartition, topic: str, suspect: Suspect) -> None:
        looks = 0
        while not await self._may_go_on(partition, topic):
            if looks % SAY_EVERY_LOOKS == 0:
                _say(partition.number, suspect)
            looks += 1
            await asyncio.sleep(LOOK_EVERY_S)
        await self._unpark(partition, topic)

    async def _may_go_on(self, partition: OwnedPartition, topic: str) -> bool:
        """Whether the record is to be skipped or tried again. Takes the notes over, for when it comes by."""
        try:
            async with self._log.reader() as reader:
                notes = await self._read(reader, [partition.number])
        except Exception as error:
            log.warning("no look at the control topic", error=repr(error))
            return False
        partition.parkings[topic] = parking = notes.get((topic, partition.number), Parking())
        return parking.is_to_be_skipped or not parking.is_parked

    async def _unpark(self, partition: OwnedPartition, topic: str) -> None:
        log.warning("a parked record is skipped or tried again", topic=topic, partition=partition.number)
        partition.unpark(topic)
        if self.flow is not None:
            await self.flow.go_on((topic, partition.number), partition.positions[topic])


def _suspects(partition: OwnedPartition, raised: Raised) -> Iterator[Suspect]:
    """What is known of each stretch now, an exit more."""
    for topic, (start, end) in raised.stretches.items():
        exited = Suspect(topic=topic, start=start, end=end, exits=1, error=raised.error, step=raised.step)
        yield after_exit(partition.parkings.get(topic, Parking()).suspect, exited)


def _say(number: int, suspect: Suspect) -> None:
    topic, partition = place_of(suspect.topic, number)
    skip = f"laurel skip {topic} {partition} {suspect.start}"
    log.critical(
        "parked: this record ends the worker, and nothing behind it is read",
        topic=topic,
        partition=partition,
        offset=suspect.start,
        error=suspect.error,
        remedy=f"upgrade to a version that can read it, then {skip} --retry; or make it a dead letter: {skip}",
    )


def split(chunk: Chunk, offset: int) -> tuple[Chunk, Chunk]:
    """The part of a chunk below an offset, and the rest. Either may be without records, or empty: start == end."""
    cut = bisect_left(chunk.records, offset, key=attrgetter("offset"))
    if offset <= chunk.start:
        border = chunk.start
    else:
        border = chunk.records[cut].offset if cut < len(chunk.records) else chunk.end
    return (
        chunk._replace(end=border, records=chunk.records[:cut]),
        chunk._replace(start=border, records=chunk.records[cut:]),
    )


def pieces_of(inside: Chunk, suspect: Suspect) -> int:
    """How many of these records to fold at a time, to learn most from an exit."""
    return 1 if suspect.step == "fold" else max(1, len(inside.records) // PIECES_OF_A_CUT)


def skipped(suspect: Suspect) -> BadRecord:
    return BadRecord("skipped", f"an operator skipped it after {suspect.exits} exits with {suspect.error}")
