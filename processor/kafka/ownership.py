"""The partitions that this process owns: acquired, folded, committed in time, released. Knows Kafka, not Faust."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol

import structlog

from broker import garbage
from processor.evaluator.orders import order_of
from processor.evaluator.programs import Programs
from processor.evaluator.replays import Replays
from processor.kafka.checkpoint import Checkpoints
from processor.kafka.exit import EX_SOFTWARE
from processor.kafka.fetch import Chunk
from processor.kafka.following import in_lane
from processor.kafka.log import Log
from processor.kafka.pace import (
    SLICE_ORDERS,
    SLICE_RECORDS_MIN,
    Pace,
    fitting_slice,
    full_ones,
    interval_of,
    is_at_head,
    is_due,
    mean_with,
    until_next,
)
from processor.kafka.parking import ParkingLot, pieces_of, skipped, split
from processor.kafka.partition import Evaluator, OwnedPartition, Raised, slices
from processor.kafka.restore import changelog_reader
from processor.kafka.takeover import Abandoned, Takeovers
from processor.kafka.versions import Meetings, ReadRecords
from processor.telemetry import Telemetry
from schemas.errors import LaurelError, Precondition
from schemas.lanes import place_of
from schemas.notes import Suspect
from schemas.records import Record
from schemas.replays import Promote
from schemas.state import CONTROL_FORMAT, Control
from schemas.topics import Names

FENCE_TIMEOUT_S = 60.0

log = structlog.get_logger(__name__)
Open = Callable[[OwnedPartition], Awaitable[None]]


class Leave(Protocol):
    """Ends the process at once; processor/kafka/exit.py does."""

    def __call__(self, why: str, *, code: int = EX_SOFTWARE) -> NoReturn: ...


class Ownership:
    """Owns partitions from acquire to release."""

    def __init__(
        self,
        log: Log,
        names: Names,
        programs: Programs,
        partitions: int,
        evaluator: Callable[[int], Evaluator],
        pace: Pace,
        telemetry: Telemetry,
        leave: Leave,
        read_records: ReadRecords,
    ) -> None:
        self._log, self._names, self._evaluator = log, names, evaluator
        self._programs, self._meetings = programs, Meetings(programs, read_records)
        self._count, self._pace, self._telemetry = partitions, pace, telemetry
        self._leave = leave
        self._checkpoints = Checkpoints(names, partitions, telemetry)
        self._takeovers = Takeovers(log, names)
        self.parking_lot = ParkingLot(log, names.control)
        self._gate = asyncio.Lock()  # a producer that is stopped while it starts would spin for ever
        self._abandoned = False
        self._timers: dict[int, asyncio.Task[None]] = {}
        self._slice_records = SLICE_RECORDS_MIN
        self._checkpoint_s = 0.0  # how long one takes at present
        self.partitions: dict[int, OwnedPartition] = {}
        self.acquiring = False
        self.progress = 0  # counts every step forward; the watchdog looks at it

    async def acquire(self, numbers: set[int], open_partition: Open) -> bool:
        """Fence, restore and open these partitions, one by one as they are ready, kept ones first.

        `open_partition` finds the positions and lets chunks come. False when a release came in between; what was
        restored by then stays true.
        """
        async with self._gate:
            self._abandoned, self.acquiring = False, True
            started = time.perf_counter()
            try:
                records = await self._take(self._keep(numbers), open_partition)
            finally:
                self.acquiring = False
            seconds = time.perf_counter() - started
            self._telemetry.restored(seconds)
            done = "acquired" if not self._abandoned else "released before all was acquired"
            log.info(done, partitions=sorted(numbers), restored=records, seconds=round(seconds, 3))
            return not self._abandoned

    async def _take(self, wanted: Sequence[OwnedPartition], open_partition: Open) -> int:
        if not wanted:
            return 0
        await asyncio.wait_for(self._fence(wanted), FENCE_TIMEOUT_S)
        return await self._restore(wanted, open_partition)

    def _keep(self, numbers: set[int]) -> list[OwnedPartition]:
        """The partitions to own now, those that memory still knows first; memory of all others goes."""
        kept = {number: self.partitions[number] for number in sorted(numbers & self.partitions.keys())}
        new = {number: self._new(number) for number in sorted(numbers - kept.keys())}
        self.partitions = kept | new
        return [*self.partitions.values()]

    def _new(self, number: int) -> OwnedPartition:
        def complain(what: str) -> None:
            log.error("an order that no job should send", partition=number, what=what)

        evaluator = self._evaluator(number)
        replays = Replays(self._names.replay_assignments, number, evaluator, self._programs, complain)
        partition = OwnedPartition(number, evaluator, replays)
        partition.followed = {} if self._names.follows else None
        return partition

    async def _fence(self, wanted: Sequence[OwnedPartition]) -> None:
        """From here on no earlier owner can commit; what it had begun is finished or aborted."""
        ids = [self._names.transactional_id(partition.number) for partition in wanted]
        writers = await asyncio.gather(*(self._log.writer(each) for each in ids))
        for partition, writer in zip(wanted, writers, strict=True):
            partition.writer = writer

    async def _restore(self, wanted: Sequence[OwnedPartition], open_partition: Open) -> int:
        records, changelog = 0, self._names.changelog
        async with self._log.reader() as reader:
            await self.parking_lot.recall(reader, wanted)
            states = await changelog_reader(
                reader, changelog, wanted, lambda: not self._abandoned, self._telemetry.restoring
            )
            for partition in wanted:
                records += await states.restore(partition)
                if self._abandoned:
                    return records
                _refuse_what_is_newer(partition.number, partition.control)
                await self._meetings.recall(partition.number, partition.control.catalogs)
                partition.recall()
                await open_partition(partition)
                self.progress += 1
                self._timers[partition.number] = asyncio.create_task(self._commit_in_time(partition))
        return records

    @property
    def is_abandoned(self) -> bool:
        """Whether a release waits for an acquire to end."""
        return self._abandoned

    async def release(self) -> None:
        """Commit what was folded, then close the writers; memory is kept. Safe to call again."""
        self._abandoned = True
        async with self._gate:
            await asyncio.gather(*(self._close(partition) for partition in self.partitions.values()))

    @property
    def is_released(self) -> bool:
        """Whether everything that was folded is committed, and no writer is open."""
        return all(partition.writer is None for partition in self.partitions.values())

    async def _close(self, partition: OwnedPartition) -> None:
        partition.is_open = False  # a fold in progress stops behind its present slice
        self.parking_lot.leave(partition)
        if partition.writer is None:
            return
        await self.checkpoint(partition)
        if timer := self._timers.pop(partition.number, None):
            timer.cancel()
        await partition.writer.close()
        partition.writer = None
        partition.positions = {}

    async def fold(self, chunk: Chunk) -> None:
        """Fold a chunk. Any error is the end of the process: memory can no longer be trusted."""
        chunk = in_lane(chunk, self._count)
        partition = self.partitions.get(chunk.partition)
        try:
            if partition is not None and partition.begin(chunk):
                await self._fold_chunk(partition, self._within_limit(partition, chunk))
        except Precondition as refused:
            self._leave(str(refused), code=refused.exit_code)
        except LaurelError as broken:
            self._leave(str(broken))
        except Raised as raised:
            assert partition is not None
            await self._leave_word(partition, raised)

    def _within_limit(self, partition: OwnedPartition, chunk: Chunk) -> Chunk:
        allowed = partition.within_limit(chunk)
        flow = self.parking_lot.flow
        if allowed is not chunk and flow is not None:
            flow.hold((chunk.topic, partition.number))
        return allowed

    async def loosen(self, partition: OwnedPartition) -> None:
        """Read on what was held and may go on."""
        flow = self.parking_lot.flow
        for topic in partition.let_go() if partition.is_open else ():
            if flow is not None:
                await flow.go_on((topic, partition.number), partition.positions[topic])

    async def _leave_word(self, partition: OwnedPartition, raised: Raised) -> NoReturn:
        partition.distrust()
        await self.parking_lot.note(partition, raised)
        places = [
            f"{'-'.join(map(str, place_of(lane, partition.number)))} between {start} and {end}"
            for lane, (start, end) in raised.stretches.items()
        ]
        self._leave(f"the {raised.step} of {', '.join(places)} raised {raised.error}")

    async def _fold_chunk(self, partition: OwnedPartition, chunk: Chunk) -> None:
        if chunk.topic == self._names.replay_assignments:
            await self._obey(partition, chunk)
        else:
            await self._fold_piece(partition, chunk)

    async def _obey(self, partition: OwnedPartition, chunk: Chunk) -> None:
        """Orders one after the other, where one is to promote: what it needs is read when all before it count."""
        await self._meetings.hear(partition.replays.catalogs, chunk.records)
        promotes = [each for each in chunk.records if isinstance(order_of(each), Promote)]
        for record in promotes:
            before, chunk = split(chunk, record.offset)
            await self._fold_piece(partition, before)
            try:
                await self._takeovers.prepare(partition, record)
            except Abandoned:
                return
        await self._fold_piece(partition, chunk)
        await self.loosen(partition)

    async def _fold_piece(self, partition: OwnedPartition, chunk: Chunk) -> None:
        suspect = partition.suspect_in(chunk)
        if suspect is None:
            await self._fold_slices(partition, chunk)
        else:
            await self._fold_around(partition, chunk, suspect)

    async def _fold_around(self, partition: OwnedPartition, chunk: Chunk, suspect: Suspect) -> None:
        """Commit what lies before a suspect, so that an exit at it costs nothing else; then go on, or park."""
        before, rest = split(chunk, suspect.start)
        inside, behind = split(rest, suspect.end)
        await self._fold_slices(partition, before)
        if partition.is_open:
            await asyncio.shield(self.checkpoint(partition))
        if partition.is_open and suspect.is_parked and not partition.parkings[chunk.topic].is_to_be_skipped:
            self.parking_lot.park(partition, chunk.topic, suspect)
            return
        await self._fold_in_pieces(partition, inside, suspect)
        await self._fold_slices(partition, behind)

    async def _fold_in_pieces(self, partition: OwnedPartition, chunk: Chunk, suspect: Suspect) -> None:
        for records, end in slices(chunk, pieces_of(chunk, suspect)):
            if not partition.is_open:
                return
            if suspect.is_parked and records:
                now = asyncio.get_running_loop().time()
                partition.refuse(chunk.topic, records[0], skipped(suspect), end, now)
            else:
                self._fold_slice(partition, chunk.topic, records, end)
            if suspect.step == "cut":
                await asyncio.shield(self.checkpoint(partition))
            await asyncio.sleep(0)

    async def _fold_slices(self, partition: OwnedPartition, chunk: Chunk) -> None:
        is_of_orders = chunk.topic == self._names.replay_assignments
        for records, end in slices(chunk, SLICE_ORDERS if is_of_orders else self._slice_records):
            if not partition.is_open:
                return
            self._fold_slice(partition, chunk.topic, records, end)
            await asyncio.sleep(0)
        for full in full_ones(self.partitions.values(), self._pace):
            full.full.set()
        if partition.pending >= 2 * self._pace.records_max:  # commits are slower than folds: wait for them
            await asyncio.shield(self.checkpoint(partition))

    def _fold_slice(self, partition: OwnedPartition, topic: str, records: Sequence[Record], end: int) -> None:
        started = time.perf_counter()
        partition.fold(topic, records, end, asyncio.get_running_loop().time())
        seconds = self._telemetry.profile.add("fold", started)
        self.progress += 1
        if len(records) == self._slice_records:
            self._slice_records = fitting_slice(self._slice_records, seconds)

    async def _commit_in_time(self, partition: OwnedPartition) -> None:
        """Commit at the partition's own moment of every interval, so that not all commit at once."""
        clock = asyncio.get_running_loop().time
        while partition.writer is not None:
            interval = interval_of(self._pace, self._checkpoint_s)
            wait_s = until_next(clock(), interval, interval * partition.number / self._count)
            if await is_set(partition.full, wait_s) or is_due(partition, self._pace, clock()):
                await self.checkpoint(partition)

    async def checkpoint(self, partition: OwnedPartition) -> None:
        """Commit what was folded. Any error ends the process: memory cannot know what became of it."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            await self._checkpoints.write(partition)
        except Raised as raised:
            await self._leave_word(partition, raised)
        except Exception as error:
            self._leave(f"the checkpoint of partition {partition.number} failed: {error!r}")
        self._checkpoint_s = mean_with(self._checkpoint_s, clock() - started)
        self.progress += 1
        if is_at_head(partition):
            garbage.collect_early()


def _refuse_what_is_newer(number: int, control: Control) -> None:
    if control.format > CONTROL_FORMAT:
        raise Precondition(
            f"the control record of partition {number} has format {control.format}, this worker knows "
            f"{CONTROL_FORMAT}: upgrade it to the version that wrote the record"
        )


async def is_set(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether an event is set within this time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
