"""Fetching by position, from aiokafka's insides: cheap records, and word of every move of a position.

A position moves also where no record is: over transaction markers, aborted batches and what compaction took
away. aiokafka yields nothing then; a chunk without records says it here, so that positions stay gapless.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.parsing import keep_as_parsed
from processor.profile import Profile
from schemas.records import Record

LOOK_AGAIN_S = 0.2


class Chunk(NamedTuple):
    """What one fetch gave of one partition.

    Shapes: start and end are the consumer's position before and after, so start is the previous chunk's end;
    stable_end is where the committed records of the partition ended when it was fetched.
    """

    topic: str
    partition: int
    start: int
    end: int
    stable_end: int
    records: Sequence[Record]


class Turn(NamedTuple):
    """Whose records are taken, and how many at most."""

    places: Collection[TopicPartition]
    records_max: int


Choose = Callable[[Collection[TopicPartition], int], Turn]


async def fetch_chunks(
    consumer: AIOKafkaConsumer,
    wanted: Collection[Any],
    *,
    records_max: int,
    timeout_s: float,
    go_on: Callable[[], bool],
    choose: Choose = Turn,
    profile: Profile | None = None,
    gather_s: float = 0,
) -> list[Chunk]:
    """The wanted partitions whose position moved; waits for the first, and then for as long as it may gather more.

    `wanted` may change while it waits. Where several have something, `choose` says which of them it may be, never
    none, and of how many records.
    """
    deadline = time.monotonic() + timeout_s
    with consumer._subscription.fetch_context():
        while True:
            began = time.perf_counter()
            chunks = await _moved(consumer, wanted, choose, records_max)
            if profile is not None:
                profile.add("fetch", began)
            left = deadline - time.monotonic()
            if chunks or left <= 0 or not go_on():
                return chunks
            await _news(consumer, min(left, LOOK_AGAIN_S))
            await asyncio.sleep(gather_s)


async def _moved(
    consumer: AIOKafkaConsumer, wanted: Collection[Any], choose: Choose, records_max: int
) -> list[Chunk]:
    """From the first line to the last nothing else runs: aiokafka waits only while partitions are reassigned."""
    if consumer._closed or consumer._subscription.reassignment_in_progress:
        return []
    states = _fetched_states(consumer, wanted)
    turn = choose(states, records_max)
    starts = {tp: states[tp].position for tp in turn.places}
    if not starts:
        return []
    records = await consumer._fetcher.fetched_records(set(starts), timeout=0, max_records=turn.records_max)
    return [
        Chunk(tp.topic, tp.partition, start, states[tp].position, states[tp].lso, records.get(tp, ()))
        for tp, start in starts.items()
        if states[tp].position != start
    ]


def _fetched_states(consumer: AIOKafkaConsumer, wanted: Collection[Any]) -> dict[TopicPartition, Any]:
    """The wanted partitions that have something fetched, and their states; its records stay cheap."""
    keep_as_parsed(consumer)
    assignment = consumer._subscription.subscription.assignment
    states = {}
    for tp in consumer._fetcher._records:
        state = assignment.state_value(tp)
        if tp in wanted and state is not None and state.has_valid_position:
            states[tp] = state
    return states


async def _news(consumer: AIOKafkaConsumer, timeout_s: float) -> None:
    """Wait until something was fetched."""
    waiter = consumer._fetcher._create_fetch_waiter()
    await asyncio.wait([waiter], timeout=timeout_s)
    if waiter.done():
        waiter.result()  # raises what the group's coordinator refused for good
    waiter.cancel()
