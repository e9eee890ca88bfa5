"""A record that makes our own code raise: found, parked after three exits, skipped by an operator's word."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from broker.notes import write_note
from broker.parking import read_parking
from processor.kafka.exit import EX_SOFTWARE
from schemas.notes import EXITS_MAX, Suspect
from schemas.topics import partition_of
from tests.faults.poisoned_worker import POISON
from tests.integration.processors import (
    PARTITIONS,
    REPOSITORY,
    SESSION_S,
    Event,
    Metrics,
    Stage,
    Worker,
    Workers,
    assert_exactly,
    committed_and_ends,
    computed,
    play,
    records,
    set_up,
    settled,
    some_events,
    workers_of,
)
from tests.servers import Servers

pytestmark = [pytest.mark.server, pytest.mark.faults]

MODULE = ["tests.faults.poisoned_worker"]
PARKED = "parked: this record ends the worker, and nothing behind it is read"
WATCHDOG_S = SESSION_S + 6.0
STATIC = {"LAUREL_MEMBER_ID": "a"}  # the next one need not wait until the session of who died without a word ends
POLL_S = 0.1
WAIT_S = 120.0


class Scene(NamedTuple):
    """A stage with events, a poisoned one in the middle of its partition. Shapes: good are all the others."""

    stage: Stage
    good: list[Event]
    poison: Event
    place: tuple[str, int]
    offset: int


@pytest.fixture
async def scene(servers: Servers, namespace: str) -> Scene:
    """Nobody's derived events: what is behind the poison would otherwise be missing elsewhere."""
    stage = await set_up(servers.kafka, namespace)
    good = [event._replace(partner=None) for event in some_events(400, users=60)]
    poison = good[200]._replace(id=POISON)
    await play(stage, [*good[:200], poison, *good[200:]])
    place = (stage.source, partition_of(poison.user.encode(), PARTITIONS))
    held = await records(stage, stage.source)
    (offset,) = [record.offset for _, record in held if POISON.encode() in record.value]
    return Scene(stage, good, poison, place, offset)


@pytest.fixture
async def workers(scene: Scene, tmp_path: Path) -> AsyncIterator[Workers]:
    with workers_of(scene.stage, tmp_path, MODULE) as workers:
        yield workers


async def test_a_record_that_raises_is_parked_after_three_exits_and_skipped_on_demand(
    scene: Scene, workers: Workers
) -> None:
    """The other partitions go on all the while, and in the end everything but that record counts, once."""
    for _ in range(EXITS_MAX):
        assert await workers.start(**STATIC).ended() == EX_SOFTWARE
    assert (await committed_and_ends(scene.stage))[0][scene.place] == scene.offset, "what lies before is durable"

    worker = workers.start(**STATIC, LAUREL_WATCHDOG_S=str(WATCHDOG_S))
    await worker.wait_for(lambda: worker.owned, "partitions")
    await worker.shows(parked, {scene.place: scene.offset})
    await others_are_done(scene, worker)
    await outlives_the_watchdog(worker)
    assert worker.lines(PARKED)
    code, said = await laurel(scene.stage, "doctor", "--json")
    assert code != 0
    assert f"laurel skip {scene.place[0]} {scene.place[1]} {scene.offset}" in said

    topic, number = scene.place
    code, said = await laurel(scene.stage, "skip", topic, str(number), str(scene.offset + 1), "--yes")
    assert (code, f"but at {scene.offset}: " in said) == (1, True)
    assert (await committed_and_ends(scene.stage))[0][scene.place] == scene.offset

    code, said = await laurel(scene.stage, "skip", topic, str(number), str(scene.offset), "--yes")
    assert (code, "skipped: see `laurel dlq list" in said) == (0, True), said
    await settled(scene.stage, [worker])
    await worker.shows(parked, {})
    ((partition, letter),) = await records(scene.stage, scene.stage.names.dead_letters)
    assert partition == number
    assert dict(letter.headers)["laurel.error.class"] == b"skipped"
    assert POISON.encode() in letter.value
    await assert_exactly(scene.stage, computed(scene.good))

    code, said = await laurel(scene.stage, "skip", topic, str(number), str(scene.offset), "--yes")
    assert (code, "was passed before" in said) == (0, True)


async def test_an_order_to_skip_outlives_the_worker_and_moves_with_the_partition(
    scene: Scene, workers: Workers
) -> None:
    """It is given while nobody owns the partition; whoever takes it over carries it out."""
    topic, number = scene.place
    await noted(scene, EXITS_MAX)

    code, said = await laurel(scene.stage, "skip", topic, str(number), str(scene.offset), "--yes", "--wait", "0")

    assert (code, "once there is one" in said) == (0, True), said
    await settled(scene.stage, [workers.start(), workers.start()])
    await assert_exactly(scene.stage, computed(scene.good))


async def test_a_version_that_can_read_the_record_folds_it_when_it_is_told_to(scene: Scene, tmp_path: Path) -> None:
    """Nobody finds out by exiting whether a version can: an operator who has upgraded says so."""
    await noted(scene, EXITS_MAX)
    topic, number = scene.place
    with workers_of(scene.stage, tmp_path) as mended:
        worker = mended.start()
        await worker.wait_for(lambda: worker.lines(PARKED), "parked partition")

        code, said = await laurel(scene.stage, "skip", topic, str(number), str(scene.offset), "--retry", "--yes")

        assert (code, "folded" in said) == (0, True), said
        await settled(scene.stage, [worker])
    assert not await records(scene.stage, scene.stage.names.dead_letters)
    await assert_exactly(scene.stage, computed([*scene.good, scene.poison]))


async def test_what_is_not_parked_cannot_be_skipped(scene: Scene) -> None:
    topic, number = scene.place

    code, said = await laurel(scene.stage, "skip", topic, str(number), "0", "--yes")
    assert (code, "only a record that is parked can be skipped" in said) == (1, True)
    code, said = await laurel(scene.stage, "skip", topic, str(PARTITIONS), "0", "--yes")
    assert (code, f"there is no partition {PARTITIONS} of {topic}" in said) == (1, True)


async def test_without_a_yes_it_says_what_it_would_do_and_does_nothing(scene: Scene) -> None:
    await noted(scene, EXITS_MAX)
    topic, number = scene.place

    code, said = await laurel(scene.stage, "skip", topic, str(number), str(scene.offset))

    assert code == 1
    assert f"{topic}-{number} offset {scene.offset} has ended the worker 3 times (ValueError)" in said
    assert "Skip it? [y/N]" in said
    notes = await read_parking(scene.stage.kafka, scene.stage.names, [number])
    assert notes[scene.place].order is None


async def noted(scene: Scene, exits: int) -> None:
    """As if workers had exited so often at the poison."""
    topic, number = scene.place
    suspect = Suspect(topic=topic, start=scene.offset, end=scene.offset + 1, exits=exits, error="ValueError")
    await write_note(scene.stage.kafka, scene.stage.names, number, suspect)


def parked(shown: Metrics) -> dict[tuple[str, int], float]:
    """Labels come in the order of their names: partition, topic."""
    return {(name[2], int(name[1])): value for name, value in shown.items() if name[0] == "laurel_parked"}


async def others_are_done(scene: Scene, worker: Worker) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        committed, ends = await committed_and_ends(scene.stage)
        if {place for place, end in ends.items() if committed[place] != end} == {scene.place}:
            return
        worker.assert_running()
        assert time.monotonic() < deadline, f"after {WAIT_S:.0f} s positions are {committed}, ends {ends}"
        await asyncio.sleep(POLL_S)


async def outlives_the_watchdog(worker: Worker) -> None:
    over = time.monotonic() + WATCHDOG_S + 2
    while time.monotonic() < over:
        worker.assert_running()
        await asyncio.sleep(POLL_S)


async def laurel(stage: Stage, *arguments: str) -> tuple[int | None, str]:
    """Run a command. Returns its exit code and everything it said."""
    environment: dict[str, Any] = {"LAUREL_KAFKA": stage.kafka, "LAUREL_NAMESPACE": stage.names.namespace}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *arguments,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()
