"""The checkpoint: what makes a partition's progress durable and visible, all of it or nothing."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from broker.failpoints import reach
from processor.evaluator.copies import Copy
from processor.evaluator.takeover import Kept
from processor.kafka.batches import Place, Row
from processor.kafka.dead_letters import dead_letter
from processor.kafka.partition import OwnedPartition, Snapshot
from processor.telemetry import Telemetry
from schemas.lanes import place_of
from schemas.state import CONTROL_KEY, encode_control
from schemas.topics import Names, partition_of

TIMEOUT_S = 30.0
KEYS_REMEMBERED = 65_536

derived_partition = lru_cache(KEYS_REMEMBERED)(partition_of)


class Checkpoints:
    """Writes the checkpoints of this process's partitions, one at a time for each."""

    def __init__(self, names: Names, partitions: int, telemetry: Telemetry) -> None:
        self._names, self._partitions = names, partitions
        self._telemetry, self._profile = telemetry, telemetry.profile

    async def write(self, partition: OwnedPartition) -> None:
        """Commit everything that was folded so far, or raise; after an error memory is worth nothing.

        1. Cut a snapshot of dirty states, outcomes, refusals and positions. Folding goes on from here.
        2. Begin a transaction.
        3. Send the control record, and one changelog record per dirty user.
        4. Send outcomes, derived events, copies and dead letters; with a promotion, what its shadow is to keep.
        5. Wait until the broker has acknowledged all of them.
        6. Send the positions of all source topics of the partition.
        7. Commit.

        A crash before 7 shows nothing to anyone: the next owner fences us, restores what was, and folds the same
        records again. After 7 all of it is durable. In detail, a crash between
        1 and 2 loses a cut that was only in memory;
        2 and 3 the same, since the broker hears of a transaction with its first batch;
        3 and 4, which go side by side, leaves states without their outcomes, or outcomes without the states, in an
            open transaction. It hides them, and whatever comes behind them, from everybody who reads committed,
            until the next owner's fencing aborts it, or after 30 seconds the broker;
        4 and 5 leaves more of the same: what a place has acknowledged is not committed;
        5 and 6 leaves all of it, with the group's positions as they were: aborted, and folded again;
        6 and 7 leaves the positions too, which are part of the transaction and are aborted with it;
        7 and its answer is decided by the coordinator alone. The next owner's fencing waits for what it decided to
            be in every partition, then reads in changelog and positions which it was;
        7 and what we note of it (the changelog's end, the counts of telemetry) loses the notes. The states and the
            positions are there, the next owner restores them.
        """
        async with partition.writing, asyncio.timeout(TIMEOUT_S):
            started = time.perf_counter()
            snapshot = partition.snapshot()  # 1
            if snapshot is None:
                return
            reach("checkpoint.1")
            self._profile.add("encode", started)
            ends = await self._transact(partition, snapshot)
            changelog = (self._names.changelog, partition.number)
            partition.written(snapshot.control, ends[changelog])
            self._telemetry.committed(snapshot, time.perf_counter() - started)

    async def _transact(self, partition: OwnedPartition, snapshot: Snapshot) -> dict[Place, int]:
        number, writer = partition.number, partition.writer
        assert writer is not None, "folded without being the writer"
        began = time.perf_counter()
        await writer.begin()  # 2
        reach("checkpoint.2")
        rows = self._rows(number, snapshot)
        ends = await writer.append(rows, self._reached)  # 3, 4: side by side; 5: all have been
        reach("checkpoint.5")
        self._profile.add("produce", began)
        began = time.perf_counter()
        positions = {place_of(lane, number): at for lane, at in snapshot.positions.items()}
        await writer.move(self._names.processor, positions)  # 6
        reach("checkpoint.6")
        await writer.commit()  # 7
        reach("checkpoint.7")
        self._profile.add("commit", began)
        return ends

    def _reached(self, place: Place) -> None:
        """A place has acknowledged its batches."""
        reach("checkpoint.3" if place[0] == self._names.changelog else "checkpoint.4")

    def _rows(self, number: int, snapshot: Snapshot) -> dict[Place, Iterable[Row]]:
        names = self._names
        rows: dict[Place, Iterable[Row]] = {
            (names.changelog, number): _changelog(snapshot),
            (names.outcomes, number): snapshot.cut.outcomes,
            (names.dead_letters, number): map(dead_letter, snapshot.refusals),
        }
        if snapshot.kept is not None:
            rows[Names(snapshot.kept.shadow).changelog, number] = _kept(snapshot.kept)
        return rows | self._derived(chain(snapshot.cut.derived, snapshot.cut.copies))

    def _derived(self, events: Iterable[tuple[bytes, bytes] | Copy]) -> dict[Place, Iterable[Row]]:
        """Derived events and copies go where their user lives; everything else stays in the own partition."""
        rows: dict[Place, list[Row]] = defaultdict(list)
        for event in events:
            rows[self._names.derived, derived_partition(event[0], self._partitions)].append(event)
        return dict(rows)


def _changelog(snapshot: Snapshot) -> Iterable[Row]:
    """The control record comes first, so that it tells readers what the states behind it were made by."""
    return chain([(CONTROL_KEY, encode_control(snapshot.control))], snapshot.cut.states)


def _kept(kept: Kept) -> Iterable[Row]:
    """What a shadow that is promoted goes on from, in its own changelog."""
    return chain([(CONTROL_KEY, encode_control(kept.control))], kept.rows.items())
