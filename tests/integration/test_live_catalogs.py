"""Running workers and new versions of catalogs, on a real Kafka."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.catalogs import publish, read_program, submit_record
from broker.connections import producer
from broker.topics import create_topics, wanted_topics
from processor.evaluator.compile import compile_catalog
from schemas.program import MetricSpec
from schemas.replays import Activate, Base, End, Prepare, ReplayOrder, encode_order
from schemas.state import CONTROL_KEY, Control, decode_state, fresh_state, metric_values
from schemas.topics import partition_of
from tests.integration.processors import (
    CATALOG,
    PARTITIONS,
    POLL_S,
    WAIT_S,
    Stage,
    committed_and_ends,
    controls,
    endless_events,
    moved_on,
    play,
    records,
    set_up,
    settled,
    some_events,
    workers_of,
)
from tests.servers import Servers

pytestmark = pytest.mark.server

PLAYED_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECOND = CATALOG.replace("version: 1", "version: 2").replace("metrics:\n", "metrics:\n  late: {{count: played}}\n")


def second(stage: Stage) -> str:
    return SECOND.format(topic=stage.source)


async def send(stage: Stage, orders: Mapping[int, Iterable[tuple[str | None, ReplayOrder]]]) -> None:
    async with producer(stage.kafka) as client:
        for partition, told in orders.items():
            for user, order in told:
                key = None if user is None else user.encode()
                topic = stage.names.replay_assignments
                await client.send_and_wait(topic, encode_order(order), key=key, partition=partition)


async def to_all(stage: Stage, order: ReplayOrder) -> None:
    await send(stage, {partition: [(None, order)] for partition in range(PARTITIONS)})


async def until(stage: Stage, holds: Callable[[Control], bool], what: str) -> dict[int, Control]:
    """Wait until this is committed of every partition."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = await controls(stage)
        if len(found) == PARTITIONS and all(map(holds, found.values())):
            return found
        assert time.monotonic() < deadline, f"no {what} after {WAIT_S:.0f} s: {found}"
        await asyncio.sleep(POLL_S)


async def plays_from(stage: Stage, cuts: Mapping[int, int]) -> Counter[str]:
    """How often each user played at or behind these positions."""
    found = await records(stage, stage.source)
    return Counter((each.key or b"").decode() for partition, each in found if each.offset >= cuts[partition])


async def shown(stage: Stage, metric: str) -> dict[str, int | None]:
    """Of every user for whom it is not 0."""
    program = await read_program(stage.kafka, stage.names)
    rows = {row.key: row.value for _, row in await records(stage, stage.names.changelog) if row.key != CONTROL_KEY}
    states = {user.decode(): decode_state(row, fresh_state(program.ledger)) for user, row in rows.items() if row}
    values = {user: metric_values(state, program)["toy"][metric] for user, state in states.items()}
    return {user: value for user, value in values.items() if value}


async def test_a_running_worker_takes_a_new_version_at_one_record(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """What lies before the order is folded by the old version, what lies behind it by the new one."""
    stage = await set_up(servers.kafka, namespace)
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start()
        async with endless_events(stage):
            await moved_on(stage)
            await submit_record(stage.kafka, stage.names, second(stage), "toy.yaml", compile_catalog)
            await to_all(stage, Prepare(replay="r", catalogs={"toy": 2}))
            noted = await until(stage, lambda control: "r" in control.replays, "prepare")
            await moved_on(stage)
        await settled(stage, [worker])

    cuts = {partition: control.replays["r"].cut[stage.source] for partition, control in noted.items()}
    assert all(cuts.values()), "it came while events flowed"
    assert await shown(stage, "late") == await plays_from(stage, cuts)
    assert await shown(stage, "plays") == await plays_from(stage, dict.fromkeys(cuts, 0))
    versions = defaultdict(set)
    for partition, outcome in await records(stage, stage.names.outcomes):
        data = json.loads(outcome.value or b"")["data"]
        versions[data["evidence"]["offset"] >= cuts[partition]].add(data["catalog_version"])
    assert versions == {False: {1}, True: {2}}


async def test_publishing_reaches_a_running_worker_and_a_restart_runs_what_ran(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """A version that only a replay may bring is not run because a worker starts."""
    stage = await set_up(servers.kafka, namespace)
    third = second(stage).replace("version: 2", "version: 3").replace("name: One", "name: Uno")
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start()
        await play(stage, some_events(300, users=60))
        await settled(stage, [worker])

        await publish(stage.kafka, stage.names, second(stage), "toy.yaml", compile_catalog, from_now=True)
        await until(stage, lambda control: control.catalogs == {"toy": 2}, "second version")
        worker.assert_running()
        await submit_record(stage.kafka, stage.names, third, "toy.yaml", compile_catalog)
        assert await worker.stop() == 0
        restarted = workers.start()
        await play(stage, some_events(300, users=60, seed=2))
        await settled(stage, [restarted])

    assert {each.catalogs["toy"] for each in (await controls(stage)).values()} == {2}
    committed, _ = await committed_and_ends(stage)
    assert sum((await shown(stage, "late")).values()) == 300  # type: ignore[arg-type]
    assert sum(at for (topic, _), at in committed.items() if topic == stage.source) == 600


async def test_a_worker_killed_between_prepare_and_activate_goes_on(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    stage, member = await set_up(servers.kafka, namespace), {"LAUREL_MEMBER_ID": "a"}  # comes back at once
    filling = [("toy", "late")]
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start(**member)
        await play(stage, some_events(400, users=80))
        await settled(stage, [worker])
        await submit_record(stage.kafka, stage.names, second(stage), "toy.yaml", compile_catalog)
        await to_all(stage, Prepare(replay="r", catalogs={"toy": 2}, filling=filling))
        noted = await until(stage, lambda control: "r" in control.replays, "prepare")
        await play(stage, some_events(200, users=80, seed=2))
        await settled(stage, [worker])
        await worker.stop(signal.SIGKILL)

        worker = workers.start(**member)
        cuts = {partition: control.replays["r"].cut[stage.source] for partition, control in noted.items()}
        await send(stage, await bases(stage, cuts))
        await until(stage, lambda control: control.replays["r"].phase == "ready", "ready")
        await to_all(stage, Activate(replay="r"))
        await until(stage, lambda control: control.replays["r"].phase == "active", "activate")
        await play(stage, some_events(100, users=80, seed=3))
        await settled(stage, [worker])

    assert await shown(stage, "late") == await shown(stage, "plays")


async def bases(stage: Stage, cuts: Mapping[int, int]) -> dict[int, list[tuple[str | None, ReplayOrder]]]:
    """What the job would send: how often users played below the cuts, and how many they are."""
    late = await metric(stage, "late")
    total = await plays_from(stage, dict.fromkeys(cuts, 0))
    before = total - await plays_from(stage, cuts)
    orders: dict[int, list[tuple[str | None, ReplayOrder]]] = {partition: [] for partition in cuts}
    for user, count in before.items():
        base = Base(replay="r", slots={late.slot: [count, 0, PLAYED_AT]})
        orders[partition_of(user.encode(), PARTITIONS)].append((user, base))
    for told in orders.values():
        told.append((None, End(replay="r", users=len(told))))
    return orders


async def metric(stage: Stage, key: str) -> MetricSpec:
    (catalog,) = (await read_program(stage.kafka, stage.names)).catalogs
    return next(each for each in catalog.metrics if each.key == key)


@pytest.mark.parametrize("member", [{}, {"LAUREL_MEMBER_ID": "a", "LAUREL_SESSION_TIMEOUT_S": "60"}])
async def test_a_version_with_a_new_topic_ends_the_worker_with_a_word_and_the_next_one_reads_it(
    servers: Servers, namespace: str, tmp_path: Path, member: dict[str, str]
) -> None:
    """Also one that comes back as the member that it was, to which the group gives what it had."""
    stage = await set_up(servers.kafka, namespace)
    more = f"{stage.source}-more"
    wider = second(stage).replace("metrics:\n", f"  stopped: {{topic: {more}}}\nmetrics:\n", 1)
    await create_topics(stage.kafka, wanted_topics(stage.names, [more], PARTITIONS))
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start(**member)
        await play(stage, some_events(100))
        await settled(stage, [worker])

        await publish(stage.kafka, stage.names, wider, "toy.yaml", compile_catalog, from_now=True)
        assert await worker.ended() == 70
        assert f"reads {more} as this process does not: a restart will" in worker.log

        workers.start(**member)
        found = await until(stage, lambda control: control.catalogs == {"toy": 2}, "second version")
    assert all(more in control.positions for control in found.values())
