"""What a replay's job asks of Kafka, on a real broker."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from operator import itemgetter
from pathlib import Path

import pytest

from broker.connections import producer
from broker.controls import STEP, control_records, read_controls
from broker.positions import last_stable_offsets
from broker.reading import read_to_end
from broker.topics import create_topics, places_of, wanted_topics
from processor.replay.ports import Addressed, Stretch
from processor.replay.wanted import Wanted
from replays.orders import orders
from replays.sources import SourceLog
from replays.traffic import live_traffic
from schemas.replays import Base, End, Prepare, ReplayNote, decode_order
from schemas.state import CONTROL_KEY, Control, encode_control
from schemas.topics import Names
from tests.integration.processors import play, set_up, settled, some_events, workers_of
from tests.servers import Servers
from tests.transactions import decided

pytestmark = pytest.mark.server

PARTITIONS = 2
FILLING = Control(replays={"r": ReplayNote(phase="filling", cut={"t": 5})})
READY = Control(replays={"r": ReplayNote(phase="ready", cut={"t": 5})})


@pytest.fixture
async def names(servers: Servers, namespace: str) -> Names:
    found = Names(namespace)
    await create_topics(servers.kafka, wanted_topics(found, [], PARTITIONS))
    return found


async def write(kafka: str, names: Names, controls: list[Control], users: int, *, commit: bool = True) -> None:
    """A checkpoint in partition 1: states, and control records behind them."""
    async with producer(kafka, transactional_id=f"{names.namespace}-test") as client:
        await client.begin_transaction()
        for user in range(users):
            await client.send(names.changelog, b"state", key=f"user-{user}".encode(), partition=1)
        for control in controls:
            await client.send(names.changelog, encode_control(control), key=CONTROL_KEY, partition=1)
        await (client.commit_transaction() if commit else client.abort_transaction())
    await decided(kafka, [names.changelog])


async def test_the_newest_committed_control_record_is_found_however_far_from_the_end(
    servers: Servers, names: Names
) -> None:
    """Behind it lie more states than one step goes back, and one control record that was never committed."""
    await write(servers.kafka, names, [FILLING, READY], users=10)
    await write(servers.kafka, names, [], users=3 * STEP)
    await write(servers.kafka, names, [FILLING], users=10, commit=False)

    assert await read_controls(servers.kafka, names) == {1: READY}


async def test_control_records_are_followed(servers: Servers, names: Names) -> None:
    async with control_records(servers.kafka, names) as records:
        assert await records.controls() == {}
        await write(servers.kafka, names, [FILLING], users=3)
        assert await records.controls() == {1: FILLING}
        await write(servers.kafka, names, [], users=3)
        assert await records.controls() == {1: FILLING}
        await write(servers.kafka, names, [READY], users=3)
        assert await records.controls() == {1: READY}


async def test_states_are_read_as_committed_and_without_the_control_record(servers: Servers, names: Names) -> None:
    await write(servers.kafka, names, [FILLING], users=3)
    await write(servers.kafka, names, [READY], users=9, commit=False)
    await write(servers.kafka, names, [READY], users=2)

    log = SourceLog(servers.kafka, names)
    rows = [row async for some in log.states(1) for row in some]

    assert rows == [(f"user-{user}".encode(), b"state") for user in (0, 1, 2, 0, 1)]
    assert [row async for some in log.states(0) for row in some] == [], "nobody is there"


async def test_orders_arrive_in_their_partition_in_order_and_not_too_many_a_second(
    servers: Servers, names: Names
) -> None:
    """Also where a user's key belongs to another partition, and where an order is larger than a batch."""
    base = Base(replay="r", slots={3: [b"x" * 1_000]})
    sent = [
        Addressed(None, Prepare(replay="r", catalogs={"c": 2})),
        *(Addressed(f"user-{number}".encode(), base) for number in range(1_200)),
        Addressed(b"large", Base(replay="r", slots={3: [b"x" * 600_000]})),
        Addressed(None, End(replay="r", users=1_201)),
    ]
    began = time.monotonic()
    async with orders(servers.kafka, names, rate=1_000) as sender:
        await sender.send(1, sent)
        assert time.monotonic() - began > 0.9, "1,000 in the first second, the rest behind it"

    places = await places_of(servers.kafka, [names.replay_assignments])
    found = [
        (batch.partition, Addressed(record.key, decode_order(record.value or b"")))
        async for batch in read_to_end(servers.kafka, places)
        for record in batch.records
    ]
    assert found == [(1, order) for order in sent]


async def test_live_lag_is_what_the_processor_has_not_folded(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    stage = await set_up(servers.kafka, namespace)
    await play(stage, some_events(50))
    async with live_traffic(servers.kafka, stage.names, stage.sources) as traffic:
        assert (await traffic.load()).lag == 50
        with workers_of(stage, tmp_path) as workers:
            await settled(stage, [workers.start()])
            assert (await traffic.load()).lag == 0


async def test_the_log_is_read_from_its_first_record_to_the_cut_and_so_are_the_states(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    stage = await set_up(servers.kafka, namespace)
    await play(stage, some_events(200, users=20))
    with workers_of(stage, tmp_path) as workers:
        await settled(stage, [workers.start()])
    log, places = SourceLog(servers.kafka, stage.names), await places_of(servers.kafka, [stage.source])
    cuts = await last_stable_offsets(servers.kafka, places)

    found, users = [], set()
    for (topic, partition), cut in cuts.items():
        begin = await log.begin(topic, partition)
        parts = [part async for part in log.scan(Stretch(topic, partition, begin, cut), Wanted(["played"]))]
        assert parts[-1].end == cut
        found += [record for part in parts for record in part.records]
        users |= {user async for rows in log.states(partition) for user, _ in rows}

    assert len(found) == 200
    assert users == {record.key for record in found}


async def test_a_log_that_is_followed_gives_what_is_there_and_then_what_comes(
    servers: Servers, namespace: str
) -> None:
    stage = await set_up(servers.kafka, namespace)
    await play(stage, some_events(40))
    places = await places_of(servers.kafka, [stage.source])
    (topic, partition), end = max((await last_stable_offsets(servers.kafka, places)).items(), key=itemgetter(1))
    log, found = SourceLog(servers.kafka, stage.names), list[int]()

    async with asyncio.timeout(30), aclosing(log.follow(topic, partition, 1, Wanted(["played"]))) as parts:
        while not found or found[-1] < end - 1:
            found += [record.offset for record in (await anext(parts)).records]
        await play(stage, some_events(40))
        while found[-1] < 2 * end - 1:
            found += [record.offset for record in (await anext(parts)).records]

    assert found == list(range(1, 2 * end))
