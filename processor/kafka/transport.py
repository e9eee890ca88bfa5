"""Faust's transport, delivering one event per chunk of a partition, never one per record.

Stock and in use: group membership, conductor, channel, stream, agent. What is overridden, and where it comes from:

    drivers/aiokafka.py   Consumer._new_consumer_thread, AIOKafkaConsumerThread._create_worker_consumer, on_start
    transport/consumer.py Consumer._drain_messages, commit, wait_empty, on_buffer_full, on_buffer_drop,
                          verify_event_path; ConsumerThread.on_partitions_assigned
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from broker.coordination import heed_group_errors
from broker.membership import leave_group, stay_static
from broker.parsing import tolerate_header_names
from processor.kafka.exit import exit_now
from processor.kafka.fetch import Chunk, fetch_chunks
from processor.kafka.pace import Turns
from processor.kafka.positions import Bounds
from schemas.errors import Precondition
from schemas.lanes import place_of

CHUNK_RECORDS = 2_000
POLL_S = 1.0
GATHER_S = 0.02  # at the head of the logs, so that what comes to many partitions costs few fetches
FETCH_WAIT_MS = 100  # also how long a partition that has just been resumed may wait for a fetch under way


class Fetched(NamedTuple):
    """Chunks, and the generation of the group in which they were taken."""

    generation: int
    chunks: list[Chunk]


class ChunkThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread; every method with a docstring that says so runs in it."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        tolerate_header_names()
        heed_group_errors()
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # Faust offers it with its exactly_once only
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Our id in the group, if we have one, goes into every heartbeat. In the thread."""
        self._turns = Turns(self.app.orders)
        await super().on_start()
        if self.app.conf.consumer_group_instance_id is not None:
            stay_static(self._consumer, _id_was_taken)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Pause everything before anything is fetched; Faust only leaves paused partitions out. In the thread."""
        self._consumer.pause(*as_partitions(assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def chunks(self, wanted: Collection[TP]) -> Fetched:
        """Chunks of the wanted partitions that moved, after waiting for the first."""
        fetched: Fetched = await self.call_thread(self._chunks, wanted)
        return fetched

    async def _chunks(self, wanted: Collection[TP]) -> Fetched:
        chunks = await fetch_chunks(
            self._consumer,
            wanted,
            records_max=CHUNK_RECORDS,
            timeout_s=POLL_S,
            go_on=lambda: self.consumer.flow_active,
            choose=lambda there, most: self._turns.choose(there, most, self.app.ownership.partitions),
            profile=self.app.telemetry.profile,
            gather_s=GATHER_S,
        )
        # Read in this thread, where generations begin, and in the same turn as the fetch: a wait may outlive one.
        return Fetched(self.app.consumer_generation_id, chunks)

    async def bounds(self, places: Iterable[TP]) -> dict[TP, Bounds]:
        """First offsets, ends and committed positions of partitions of ours."""
        bounds: dict[TP, Bounds] = await self.call_thread(self._bounds, as_partitions(places))
        return bounds

    async def _bounds(self, places: list[TopicPartition]) -> dict[TopicPartition, Bounds]:
        begins = await self._consumer.beginning_offsets(places)
        ends = await self._consumer.end_offsets(places)
        return {
            place: Bounds(begins[place], ends[place], await self._consumer.committed(place)) for place in places
        }

    async def ends(self, places: Iterable[TP]) -> dict[TP, int]:
        """Where the committed records of these partitions end now."""
        ends: dict[TP, int] = await self.call_thread(self._consumer.end_offsets, as_partitions(places))
        return ends

    async def join_anew(self) -> None:
        """Leave the group in earnest, which a static member never does by itself, and join it as a new member."""
        await self.call_thread(leave_group, self._consumer._coordinator)

    async def start_at(self, positions: Mapping[TP, int]) -> None:
        """Fetch these partitions from these positions."""
        await self.call_thread(self._start_at, positions)

    async def _start_at(self, positions: Mapping[TP, int]) -> None:
        for place, position in positions.items():
            self._consumer.seek(TopicPartition(*place), position)
        self._consumer.resume(*as_partitions(positions))

    @property
    def is_stable_member(self) -> bool:
        """Whether the coordinator knows us and no rebalance is under way."""
        coordinator = self._consumer and self._consumer._coordinator
        return bool(
            coordinator
            and coordinator.coordinator_id is not None
            and coordinator.generation >= 0
            and not coordinator._rejoin_needed_fut.done()
            and not coordinator._coordination_task.done()
            and not coordinator._subscription.reassignment_in_progress
        )


class ChunkConsumer(driver.Consumer):  # type: ignore[misc]
    """Hands chunks to the agent, and leaves what is committed to the checkpoints."""

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._deliver_some()
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _deliver_some(self) -> None:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        generation, chunks = await self._thread.chunks(self._get_active_partitions())
        for chunk in chunks:
            if not self.flow_active or generation != self.app.consumer_generation_id:
                return  # dropped: after a rebalance every partition starts at its committed position again
            await self.callback(_message(chunk, generation))  # waits while the agent's queue is full
        await asyncio.sleep(0)

    def hold(self, place: tuple[str, int]) -> None:
        """No more chunks of a partition; what is fetched of it already stays where it is."""
        self.pause_partitions({TP(*place_of(*place))})

    async def go_on(self, place: tuple[str, int], position: int) -> None:
        """Chunks of a partition again, from this position."""
        there = TP(*place_of(*place))
        await self._thread.start_at({there: position})
        self.resume_partitions({there})

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Nothing: positions are committed by checkpoints, in the transaction of what they stand for."""
        return False

    async def wait_empty(self) -> None:
        """Called with the flow stopped and the queues cleared, before partitions are given up and at shutdown."""
        await self.app.ownership.release()

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: the queue of chunks is bounded by waiting. Faust would sleep a second instead."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing, as above."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: the watchdog looks at progress instead."""


class ChunkTransport(driver.Transport):  # type: ignore[misc]
    Consumer = ChunkConsumer


def _id_was_taken(refused: Precondition) -> NoReturn:
    exit_now(str(refused), code=refused.exit_code)


def _message(chunk: Chunk, generation: int) -> ConsumerMessage:
    """A chunk as Faust's message; the stream drops it when a later generation has begun."""
    return ConsumerMessage(
        topic=chunk.topic,
        partition=chunk.partition,
        offset=chunk.end - 1,
        timestamp=time.time(),
        timestamp_type=0,
        headers=(),
        key=None,
        value=chunk,
        checksum=None,
        tp=TP(chunk.topic, chunk.partition),
        generation_id=generation,
    )


def as_partitions(places: Iterable[TP]) -> list[TopicPartition]:
    """aiokafka refuses Faust's own TP."""
    return [TopicPartition(*place) for place in places]
