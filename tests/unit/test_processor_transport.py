"""The transport between Faust's consumer thread and the agent, without a server."""

from __future__ import annotations

from typing import Any

import pytest

from processor.kafka.fetch import Chunk
from processor.kafka.transport import ChunkConsumer, Fetched

OLD, NEW = 4, 5
CHUNK = Chunk("songs", 3, 10, 15, 15, ())


class Group:
    """Stands for Faust's app: the generation may change while a fetch is waited for."""

    consumer_generation_id = OLD


class Thread:
    def __init__(self, app: Group, taken_in: int) -> None:
        self._app, self._taken_in = app, taken_in

    async def chunks(self, wanted: Any) -> Fetched:
        self._app.consumer_generation_id = NEW
        return Fetched(self._taken_in, [CHUNK])


class Consumer:
    """What `_deliver_some` looks at, and what it delivered."""

    flow_active = True

    def __init__(self, taken_in: int) -> None:
        self.app = Group()
        self._thread = Thread(self.app, taken_in)
        self.delivered: list[Any] = []

    def _get_active_partitions(self) -> set[Any]:
        return set()

    async def callback(self, message: Any) -> None:
        self.delivered.append(message)


@pytest.mark.parametrize(("taken_in", "count"), [(NEW, 1), (OLD, 0)])
async def test_a_chunk_counts_for_the_generation_in_which_it_was_taken(taken_in: int, count: int) -> None:
    """A fetch can outlast a rebalance. What it takes before is read again, what it takes after must not be lost."""
    consumer = Consumer(taken_in)

    await ChunkConsumer._deliver_some(consumer)

    assert len(consumer.delivered) == count


async def test_a_message_stands_for_a_chunk() -> None:
    """Its offset is the last one the chunk covers, whether or not a record is there."""
    consumer = Consumer(NEW)

    await ChunkConsumer._deliver_some(consumer)

    (message,) = consumer.delivered
    assert (message.topic, message.partition, message.offset, message.value) == ("songs", 3, 14, CHUNK)
    assert message.generation_id == NEW
