"""What those who stay notice when a worker comes or goes."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from broker.positions import Place, group_positions
from broker.topics import places_of
from tests.integration.processors import (
    PARTITIONS,
    POLL_S,
    REPOSITORY,
    SESSION_S,
    WAIT_S,
    Event,
    Stage,
    assert_exactly,
    computed,
    moved_on,
    play,
    set_up,
    settled,
    some_events,
    workers_of,
)
from tests.servers import Servers

STOP_S_MAX = SESSION_S + 3.0
DRAIN_S_MAX = 10.0
EVENTS_AT_ONCE = 200
TERM_CAUGHT = 1 << (signal.SIGTERM - 1)


@pytest.mark.server
async def test_those_who_stay_never_stop_for_longer_than_a_session_and_3_seconds(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """A worker joins, one leaves, one is killed; events keep coming in every partition all the while."""
    stage = await set_up(servers.kafka, namespace)
    with workers_of(stage, tmp_path) as workers:
        async with steady_events(stage) as events:
            first = workers.start()
            await moved_on(stage)
            async with longest_stops(stage) as stops:
                second = workers.start()
                await second.wait_for(lambda: len(second.owned) == PARTITIONS // 2, "half of the partitions")
                await moved_on(stage)

                began = time.monotonic()
                assert await first.stop() == 0
                assert time.monotonic() - began < DRAIN_S_MAX
                await moved_on(stage)

                third = workers.start()
                await third.wait_for(lambda: len(third.owned) == PARTITIONS // 2, "half of the partitions")
                await moved_on(stage)
            others = {(stage.source, number) for number in third.owned}
            async with longest_stops(stage) as stops_of_a_kill:
                await second.stop(signal.SIGKILL)
                await moved_on(stage)
            print(f"stood still for {stops}, when one was killed {stops_of_a_kill}")
            assert max(stops.values()) < STOP_S_MAX
            assert max(stops_of_a_kill[place] for place in others) < STOP_S_MAX
        await settled(stage, [third])
    await assert_exactly(stage, computed(events))


@asynccontextmanager
async def steady_events(stage: Stage) -> AsyncIterator[list[Event]]:
    """Publishes on and on, also where a partition is nobody's. Yields what was published so far."""
    published: list[Event] = []
    leaving = asyncio.Event()

    async def publish() -> None:
        while not leaving.is_set():
            more = some_events(EVENTS_AT_ONCE, users=1_000, seed=len(published))
            await play(stage, more)
            published.extend(more)
            await asyncio.sleep(POLL_S)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publish())
        yield published
        leaving.set()


@asynccontextmanager
async def longest_stops(stage: Stage) -> AsyncIterator[dict[Place, float]]:
    """For how many seconds each partition of the source stood still at most, while this is open."""
    places = await places_of(stage.kafka, [stage.source])
    stops: dict[Place, float] = dict.fromkeys(places, 0.0)
    leaving = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_watch(stage, stops, leaving))
        yield stops
        leaving.set()


async def _watch(stage: Stage, stops: dict[Place, float], leaving: asyncio.Event) -> None:
    async with group_positions(stage.kafka, stage.names.processor) as group:
        before, moved_at = await group.committed(stops), dict.fromkeys(stops, time.monotonic())
        while not leaving.is_set():
            await asyncio.sleep(POLL_S)
            now, at = await group.committed(stops), time.monotonic()
            for place in stops:
                stops[place] = max(stops[place], at - moved_at[place])
                moved_at[place] = moved_at[place] if now[place] == before[place] else at
            before = now


@pytest.mark.parametrize("verb", ["worker", "projector"])
def test_one_that_is_stopped_while_it_still_imports_ends_with_0(verb: str) -> None:
    """It has nothing to drain, and a supervisor should not take a rolling restart for a failure."""
    process = subprocess.Popen([sys.executable, "-m", "cli.main", verb], cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + WAIT_S
        while not catches_term(process.pid):
            assert time.monotonic() < deadline
            time.sleep(POLL_S / 10)
        assert "aiokafka" not in Path(f"/proc/{process.pid}/maps").read_text(), "imported before it listened"

        process.send_signal(signal.SIGTERM)

        assert process.wait(WAIT_S) == 0
    finally:
        process.kill()
        process.wait()


def catches_term(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) & TERM_CAUGHT)
