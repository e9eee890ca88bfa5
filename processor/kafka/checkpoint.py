"""The checkpoint: what makes a partition's progress durable and visible, all of it or nothing."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from broker.failpoints import reach
from processor.kafka.batches import Place, Row, Written, pack, send
from processor.kafka.dead_letters import dead_letter
from processor.kafka.partition import OwnedPartition, Snapshot
from processor.telemetry import Telemetry
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
        3. Send one changelog record per dirty user, and the control record.
        4. Send outcomes, derived events and dead letters.
        5. Wait until the broker has acknowledged all of them.
        6. Send the positions of all source topics of the partition.
        7. Commit.

        A crash before 7 shows nothing to anyone: the next owner fences us, restores what was, and folds the same
        records again. After 7 all of it is durable.
        """
        async with partition.writing, asyncio.timeout(TIMEOUT_S):
            started = time.perf_counter()
            snapshot = partition.snapshot()  # 1
            if snapshot is None:
                return
            reach("checkpoint.1")
            self._profile.add("encode", started)
            written = await self._transact(partition, snapshot)
            partition.written(snapshot.control, self._log_end(partition, written))
            self._telemetry.committed(snapshot, time.perf_counter() - started)

    async def _transact(self, partition: OwnedPartition, snapshot: Snapshot) -> list[Written]:
        producer: AIOKafkaProducer = partition.producer
        began = time.perf_counter()
        packed = await pack(producer, self._rows(partition.number, snapshot))
        await producer.begin_transaction()  # 2
        reach("checkpoint.2")
        written = await send(producer, packed, self._reached)  # 3, 4: side by side; 5: all have been
        reach("checkpoint.5")
        self._profile.add("produce", began)
        began = time.perf_counter()
        positions = _positions(partition.number, snapshot.positions)
        await producer.send_offsets_to_transaction(positions, self._names.processor)  # 6
        reach("checkpoint.6")
        await producer.commit_transaction()  # 7
        reach("checkpoint.7")
        self._profile.add("commit", began)
        return written

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
        return rows | self._derived(snapshot.cut.derived)

    def _derived(self, events: Iterable[tuple[bytes, bytes]]) -> dict[Place, Iterable[Row]]:
        """Derived events go where their user lives; everything else stays in the own partition."""
        rows: dict[Place, list[Row]] = defaultdict(list)
        for event in events:
            rows[self._names.derived, derived_partition(event[0], self._partitions)].append(event)
        return dict(rows)

    def _log_end(self, partition: OwnedPartition, written: Iterable[Written]) -> int:
        place = (self._names.changelog, partition.number)
        return max((each.end for each in written if each.place == place), default=partition.log_position)


def _changelog(snapshot: Snapshot) -> Iterable[Row]:
    return chain(snapshot.cut.states, [(CONTROL_KEY, encode_control(snapshot.control))])


def _positions(number: int, positions: dict[str, int]) -> dict[TopicPartition, OffsetAndMetadata]:
    return {TopicPartition(topic, number): OffsetAndMetadata(at, "") for topic, at in positions.items()}
