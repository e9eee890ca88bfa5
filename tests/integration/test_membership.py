"""Static membership on a real broker: a restart that nobody notices, and two processes that cannot both be one."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from schemas.errors import Precondition
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
from tests.servers import Servers

pytestmark = pytest.mark.server

SESSION = {"LAUREL_SESSION_TIMEOUT_S": "30"}  # no session ends by itself in these tests


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


def acquisitions(worker: Worker) -> int:
    return len(worker.lines("acquired"))
