"""What the processor asks of its log, held against Kafka and against the one in memory."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

import pytest

from broker.positions import group_positions
from broker.topics import create_topics
from processor.kafka.batches import BATCH_BYTES, Place, Row
from processor.kafka.fetch import Chunk
from processor.kafka.kafka_log import KafkaLog
from processor.kafka.log import Extent, Log, Reader
from schemas.topics import TopicSpec
from simulation.broker import Broker
from simulation.log import MemoryLog
from simulation.process import Line, Process, Weather

GROUP, WAIT_S = "readers", 60.0


class Side(NamedTuple):
    """One side of the port, two partitions of a topic, and a look at a group from outside."""

    log: Log
    topic: str
    position: Callable[[str, Place], Awaitable[int]]

    @property
    def first(self) -> Place:
        return self.topic, 0

    @property
    def second(self) -> Place:
        return self.topic, 1


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.server)])
async def side(request: pytest.FixtureRequest, namespace: str) -> Side:
    if request.param == "memory":
        return memory()
    return await kafka(request.getfixturevalue("servers").kafka, namespace)


def memory() -> Side:
    loop, chance = asyncio.get_running_loop(), Random(1)
    broker = Broker(loop, chance)
    calm = Weather(chance, {}, 0.0, lambda what: None)

    async def position(group: str, place: Place) -> int:
        return broker.positions.get((group, place), 0)

    return Side(MemoryLog(broker, Line(Process("test", loop), loop, chance, calm)), "topic", position)


async def kafka(bootstrap: str, namespace: str) -> Side:
    topic = f"{namespace}.topic"
    await create_topics(bootstrap, [TopicSpec(topic, 2, {"message.timestamp.type": "CreateTime"})])

    async def position(group: str, place: Place) -> int:
        async with group_positions(bootstrap, group) as positions:
            return (await positions.committed([place]))[place]

    return Side(KafkaLog(bootstrap), topic, position)


ID = "writer"
ROWS: list[Row] = [(b"ann", b"1"), (b"bob", b"2"), (b"ann", None)]
LARGE: list[Row] = [(b"ann", bytes(BATCH_BYTES // 2))] * 4  # several batches


def nobody(_: Place) -> None: ...


async def read(side: Side, place: Place) -> list[Chunk]:
    """Chunks from the beginning to the end of what is decided. Fencing settles what has been asked for before."""
    await (await side.log.writer(ID)).close()
    async with side.log.reader() as reader:
        end = (await reader.bounds([place]))[place].end
        async with asyncio.timeout(WAIT_S):
            return await read_up_to(reader, place, end)


async def read_up_to(reader: Reader, place: Place, end: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    position = 0
    while position < end:
        chunk = await reader.read(place, position)
        if chunk is not None:
            chunks.append(chunk)
            position = chunk.end
    return chunks


def rows_of(chunks: list[Chunk]) -> list[Row]:
    return [(record.key, record.value) for chunk in chunks for record in chunk.records]


async def committed(side: Side, rows: dict[Place, list[Row]], positions: dict[Place, int]) -> dict[Place, int]:
    writer = await side.log.writer(ID)
    await writer.begin()
    ends = await writer.append(rows, nobody)
    await writer.move(GROUP, positions)
    await writer.commit()
    await writer.close()
    return ends


async def test_what_was_committed_is_there_in_its_order_with_the_positions(side: Side) -> None:
    await committed(side, {side.first: ROWS, side.second: ROWS[:1]}, {side.first: 7, side.second: 9})

    assert rows_of(await read(side, side.first)) == ROWS
    assert rows_of(await read(side, side.second)) == ROWS[:1]
    assert await side.position(GROUP, side.first) == 7
    assert await side.position(GROUP, side.second) == 9


async def test_what_was_not_committed_is_read_by_nobody_but_passed_by_position(side: Side) -> None:
    """The next writer aborts it; a reader that waited for a record behind the marker would wait for ever."""
    writer = await side.log.writer(ID)
    await writer.begin()
    await writer.append({side.first: ROWS}, nobody)
    await writer.move(GROUP, {side.first: 7})
    async with side.log.reader() as reader:
        assert (await reader.bounds([side.first]))[side.first] == Extent(0, 0)

    chunks = await read(side, side.first)
    await writer.close()

    assert rows_of(chunks) == []
    assert chunks[-1].end == len(ROWS) + 1
    assert await side.position(GROUP, side.first) == 0


async def test_each_place_is_told_of_once_when_it_is_acknowledged_and_where_it_ends(side: Side) -> None:
    """Also one that got nothing. The ends are those of the records; markers lie behind them."""
    told: list[Place] = []
    writer = await side.log.writer(ID)
    await writer.begin()

    ends = await writer.append({side.first: ROWS, side.second: []}, told.append)

    await writer.commit()
    await writer.close()
    assert sorted(told) == [side.first, side.second]
    assert ends == {side.first: len(ROWS)}


async def test_transactions_of_one_writer_follow_each_other(side: Side) -> None:
    """The second may begin while the first is not in all of its partitions yet; it waits, and loses nothing."""
    writer = await side.log.writer(ID)
    ends = []
    for row in ROWS:
        await writer.begin()
        ends += [await writer.append({side.first: [row]}, nobody)]
        await writer.commit()
    await writer.close()

    assert rows_of(await read(side, side.first)) == ROWS
    assert ends == [{side.first: 1}, {side.first: 3}, {side.first: 5}]


@pytest.mark.parametrize("step", ["append", "move", "commit"])
async def test_a_writer_that_was_fenced_writes_nothing_whatever_it_was_about_to_do(side: Side, step: str) -> None:
    """And its end, which is expected, is told once: asyncio has nothing to print."""
    printed: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: printed.append(context["message"]))

    await be_fenced(side, step)

    gc.collect()
    assert printed == []
    assert rows_of(await read(side, side.first)) == [(b"new", b"owner")]
    assert await side.position(GROUP, side.first) == 1


async def be_fenced(side: Side, step: str) -> None:
    """Before this step of a transaction."""
    zombie = await side.log.writer(ID)
    steps = {
        "append": lambda: zombie.append({side.first: LARGE, side.second: LARGE}, nobody),
        "move": lambda: zombie.move(GROUP, {side.first: 7}),
        "commit": zombie.commit,
    }
    await zombie.begin()
    for before in list(steps)[: list(steps).index(step)]:
        await steps[before]()
    await committed(side, {side.first: [(b"new", b"owner")]}, {side.first: 1})

    with pytest.raises(Exception):  # noqa: B017, PT011 - which, is the client's to say; that it raises, is not
        async with asyncio.timeout(WAIT_S):
            await steps[step]()
    await zombie.close()


async def test_two_ids_do_not_fence_each_other(side: Side) -> None:
    one, other = await side.log.writer("one"), await side.log.writer("other")
    for writer, place in ((one, side.first), (other, side.second)):
        await writer.begin()
        await writer.append({place: ROWS}, nobody)
    for writer in (one, other):
        await writer.commit()
        await writer.close()
    await (await side.log.writer("one")).close()
    await (await side.log.writer("other")).close()

    assert rows_of(await read(side, side.first)) == rows_of(await read(side, side.second)) == ROWS


async def test_chunks_meet_and_know_the_end(side: Side) -> None:
    for _ in range(2):
        await committed(side, {side.first: ROWS}, {side.first: 1})

    chunks = await read(side, side.first)

    assert [chunk.start for chunk in chunks] == [0, *(chunk.end for chunk in chunks[:-1])]
    assert {(chunk.topic, chunk.partition) for chunk in chunks} == {side.first}
    assert {chunk.stable_end for chunk in chunks} == {2 * (len(ROWS) + 1)}
    assert [record.offset for chunk in chunks for record in chunk.records] == [0, 1, 2, 4, 5, 6]


async def test_behind_the_end_nothing_comes(side: Side) -> None:
    await committed(side, {side.first: ROWS}, {side.first: 1})
    end = (await read(side, side.first))[-1].end

    async with side.log.reader() as reader:
        assert await reader.read(side.first, end) is None
        assert await reader.bounds([side.first, side.second]) == {
            side.first: Extent(0, end),
            side.second: Extent(0, 0),
        }


async def test_a_row_may_have_a_timestamp_and_headers(side: Side) -> None:
    headers = [("cause", b"malformed_json"), ("empty", None)]
    await committed(side, {side.first: [(b"ann", b"{", 1_700_000_000_000, headers)]}, {side.first: 1})

    ((record,),) = [chunk.records for chunk in await read(side, side.first) if chunk.records]

    assert (record.timestamp, [*record.headers]) == (1_700_000_000_000, headers)
