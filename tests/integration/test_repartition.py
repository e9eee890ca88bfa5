"""A source whose publishers partition in another way, over another number of partitions, on a real broker."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import pytest

from broker.catalogs import publish, read_program
from broker.connections import producer
from broker.topics import create_topics, wanted_topics
from processor.evaluator.compile import compile_catalog
from schemas.lanes import place_of
from schemas.origins import origin_of
from schemas.state import CONTROL_KEY
from schemas.topics import Names, TopicSpec, partition_of
from tests.integration.demos import environment, laurel
from tests.integration.processors import (
    CATALOG,
    LEAD,
    PARTITIONS,
    Event,
    Stage,
    computed,
    controls,
    kept_busy,
    moved_on,
    records,
    settled,
    some_events,
    values,
    workers_of,
)
from tests.servers import Servers

pytestmark = pytest.mark.server

MANY, FEW = 7, 3  # partitions of the publishers' topic: more than the states have, and fewer
REPARTITIONED = CATALOG + "topics: {{{topic}: {{repartition: true}}}}\n"
SLOW = {"LAUREL_CHECKPOINT_RECORDS": "50"}  # many checkpoints, to fall between them


async def set_up(kafka: str, namespace: str, theirs: int) -> Stage:
    stage = Stage(kafka, Names(namespace), f"{namespace}.plays")
    await create_topics(kafka, [TopicSpec(stage.source, theirs, {}), *wanted_topics(stage.names, [], PARTITIONS)])
    await publish(kafka, stage.names, REPARTITIONED.format(topic=stage.source), "toy.yaml", compile_catalog)
    return stage


class Sent(NamedTuple):
    """An event in a record of its publisher's making."""

    event: Event
    partition: int
    key: bytes | None


def sent(events: Iterable[Event], theirs: int) -> list[Sent]:
    """Another partitioner than Kafka's own (librdkafka's), and keys that are no user's, or none."""
    return [
        Sent(each, crc32(each.user.encode()) % theirs, [None, b"", b"a key", each.user.encode()][number % 4])
        for number, each in enumerate(events)
    ]


async def send(stage: Stage, wanted: Sequence[Sent]) -> None:
    async with producer(stage.kafka) as client:
        for event, partition, key in wanted:
            await client.send(stage.source, event.value, key=key, partition=partition)
        await client.flush()


@pytest.mark.parametrize("theirs", [MANY, FEW])
async def test_kill_9_in_the_middle_loses_and_doubles_nothing(
    servers: Servers, namespace: str, tmp_path: Path, theirs: int
) -> None:
    """One worker of two is killed while events keep coming, a third takes over: every record is copied once, and
    awards, states and positions are those of the events."""
    stage = await set_up(servers.kafka, namespace, theirs)
    published: list[Event] = []

    async def publish_more() -> None:
        more = some_events(LEAD, users=1_000, seed=len(published))
        await send(stage, sent(more, theirs))
        published.extend(more)

    with workers_of(stage, tmp_path) as workers:
        first, second = workers.start(**SLOW), workers.start(**SLOW)
        async with kept_busy(stage, publish_more):
            await first.wait_for(lambda: first.owned and second.owned, "partitions of both")
            await moved_on(stage)

            first.process.send_signal(signal.SIGKILL)
            third = workers.start(**SLOW)
            await moved_on(stage)
        await settled(stage, [second, third])
    await assert_exactly(stage, published)


async def test_a_retry_on_another_partition_counts_once(servers: Servers, namespace: str, tmp_path: Path) -> None:
    """The copies have the id and the source of the original, whichever way it came."""
    stage = await set_up(servers.kafka, namespace, MANY)
    events = some_events(60, users=30)
    dice = random.Random(1)
    again = [Sent(each, dice.randrange(MANY), None) for each in events]
    with workers_of(stage, tmp_path) as workers:
        await send(stage, [*sent(events, MANY), *again])

        worker = workers.start()
        await settled(stage, [worker])

        outcomes, found = await awards_and_values(stage)
        wanted = computed(events)
        assert (outcomes, found) == (wanted.outcome_ids, wanted.values)
        applied = ("laurel_events_total", "applied", stage.names.derived)
        copied = ("laurel_events_total", "copied", stage.source)
        await worker.shows(lambda shown: shown[copied], 2 * len(events))
        await worker.shows(lambda shown: shown[applied], len(events) + wanted.derived.total())


async def assert_exactly(stage: Stage, events: Sequence[Event]) -> None:
    wanted = computed(events)
    assert await awards_and_values(stage) == (wanted.outcome_ids, wanted.values)
    copies, derived = await copies_and_derived(stage)
    originals = Counter((partition, each.offset) for partition, each in await records(stage, stage.source))
    assert (copies, derived) == (originals, wanted.derived)
    assert await recorded(stage) == Counter(partition for partition, _ in originals)


async def awards_and_values(stage: Stage) -> tuple[Counter[str], Mapping[str, tuple[int, int, int]]]:
    outcomes = await records(stage, stage.names.outcomes)
    program = await read_program(stage.kafka, stage.names)
    rows = {row.key: (at, row.value) for at, row in await records(stage, stage.names.changelog)}
    rows.pop(CONTROL_KEY)
    assert all(partition_of(user or b"", PARTITIONS) == at for user, (at, _) in rows.items())
    return (
        Counter(json.loads(each.value or b"")["id"] for _, each in outcomes),
        {(user or b"").decode(): values(row or b"", program) for user, (_, row) in rows.items()},
    )


async def test_topics_check_takes_any_number_of_partitions_of_such_a_source(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """By the published catalog and by a file alike; the other topics are held to what they must be."""
    stage = await set_up(servers.kafka, namespace, MANY)
    file = tmp_path / "toy.yaml"
    file.write_text(REPARTITIONED.format(topic=stage.source))
    env = {**environment(servers, namespace), "LAUREL_PARTITIONS": str(PARTITIONS)}

    for named in ("published", str(file)):
        with laurel(["topics", "check", "--catalog", named], env, tmp_path) as check:
            assert check.end() == 0, check.out


async def copies_and_derived(stage: Stage) -> tuple[Counter[tuple[int, int]], Counter[str]]:
    """Of which record each copy is, and who got derived events."""
    copies: Counter[tuple[int, int]] = Counter()
    derived: Counter[str] = Counter()
    for at, record in await records(stage, stage.names.derived):
        user, origin = record.key or b"", origin_of(record.headers)
        assert partition_of(user, PARTITIONS) == at
        if origin is None:
            derived[user.decode()] += 1
        else:
            assert origin.topic == stage.source
            copies[origin.partition, origin.offset] += 1
    return copies, derived


async def recorded(stage: Stage) -> dict[int, int]:
    """Where the control records say that each partition of the source was read to."""
    places = {
        place_of(lane, number): position
        for number, control in (await controls(stage)).items()
        for lane, position in control.positions.items()
    }
    return {partition: position for (topic, partition), position in places.items() if topic == stage.source}
