"""Static membership on a real broker: a restart that nobody notices, and two processes that cannot both be one."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from schemas.errors import Precondition
from tests.integration.demos import Laurel, environment, laurel
from tests.integration.processors import (
    PARTITIONS,
    Worker,
    assert_exactly,
    computed,
    endless_events,
    moved_on,
    set_up,
    settled,
    workers_of,
)
from tests.integration.projections import prepare, settings_of
from tests.servers import Servers

pytestmark = pytest.mark.server

LONG_S = 60  # no session ends by itself in these tests
SESSION = {"LAUREL_SESSION_TIMEOUT_S": f"{LONG_S}"}
PROJECTIONS = 3


async def test_a_static_member_that_is_killed_and_comes_back_moves_no_partition(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """Under load, and without waiting for the session to end; the other worker never stops."""
    stage = await set_up(servers.kafka, namespace)
    with workers_of(stage, tmp_path) as workers:
        async with endless_events(stage) as events:
            first = workers.start(LAUREL_MEMBER_ID="a", **SESSION)
            second = workers.start(LAUREL_MEMBER_ID="b", **SESSION)
            await first.wait_for(lambda: len(first.owned) == PARTITIONS // 2, "half of the partitions")
            await second.wait_for(lambda: len(second.owned) == PARTITIONS // 2, "half of the partitions")
            await moved_on(stage)
            before = acquisitions(second)

            await first.stop(signal.SIGKILL)
            again = workers.start(LAUREL_MEMBER_ID="a", **SESSION)
            await again.wait_for(lambda: again.owned == first.owned, "its own partitions")
            await moved_on(stage)

            assert acquisitions(second) == before
        await settled(stage, [again, second])
    await assert_exactly(stage, computed(events))


async def test_of_two_processes_with_one_id_the_older_is_told_and_ends_for_good(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """With 4, so that no supervisor starts it again, which would only throw out the other one."""
    stage = await set_up(servers.kafka, namespace)
    with workers_of(stage, tmp_path) as workers:
        async with endless_events(stage) as events:
            older = workers.start(LAUREL_MEMBER_ID="a", LAUREL_SESSION_TIMEOUT_S="6")
            await moved_on(stage)

            younger = workers.start(LAUREL_MEMBER_ID="a", LAUREL_SESSION_TIMEOUT_S="6")

            assert await older.ended() == Precondition.exit_code
            assert "another process joined the group as 'a'" in older.log
            await moved_on(stage)
        await settled(stage, [younger])
    await assert_exactly(stage, computed(events))


async def test_a_static_projector_goes_on_at_once_after_a_kill_and_yields_its_id_to_a_later_one(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """Its partitions are not nobody's until the session ends, which is longer than this test takes."""
    await prepare(settings_of(servers, namespace))
    env = environment(servers, namespace) | {"LAUREL_MEMBER_ID": "p", "LAUREL_SESSION_TIMEOUT_S": str(LONG_S)}
    folders = [tmp_path / name for name in ("killed", "second", "third")]
    for folder in folders:
        folder.mkdir()
    with laurel(["projector"], env, folders[0]) as killed:
        killed.wait_until(lambda: all_read(killed), "all projections read")
        killed.process.kill()
        killed.process.wait()
    began = time.monotonic()
    with laurel(["projector"], env, folders[1]) as second:
        second.wait_until(lambda: all_read(second), "all projections read")
        assert time.monotonic() - began < LONG_S

        with laurel(["projector"], env, folders[2]) as third:
            assert second.end() == Precondition.exit_code
            assert "another process joined the group as 'p." in second.said
            third.wait_until(lambda: all_read(third), "all projections read")


def all_read(projector: Laurel) -> bool:
    lines = [json.loads(line) for line in projector.said.splitlines() if line.startswith("{")]
    return len({line["projection"] for line in lines if line["event"] == "reads"}) == PROJECTIONS


def acquisitions(worker: Worker) -> int:
    return len(worker.lines("acquired"))
