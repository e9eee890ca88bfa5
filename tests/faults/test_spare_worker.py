"""More workers than partitions: the one too many is healthy, and there when it is needed."""

from __future__ import annotations

import time

import pytest

from tests.faults.scenes import USUAL, Scenes, assert_whole, owned

pytestmark = [pytest.mark.server, pytest.mark.faults]

PATIENCE_S = 12.0  # of the watchdog


def test_a_worker_without_partitions_stays_and_takes_over(scenes: Scenes) -> None:
    """The watchdog ends who has no membership, or work and no progress; a spare has neither."""
    shape = USUAL._replace(partitions=1, workers=2)
    with scenes.own(shape, LAUREL_WATCHDOG_S=f"{PATIENCE_S:.0f}") as scene:
        scene.until(
            lambda: sorted(map(str, map(owned, scene.workers))) == ["[0]", "[]"], "one of two owns the partition"
        )
        owner = next(each for each in scene.workers if owned(each) == [0])
        spare = next(each for each in scene.workers if each is not owner)
        seen_at, pid = time.monotonic(), spare.pid

        scene.until(lambda: time.monotonic() > seen_at + 1.25 * PATIENCE_S, "the watchdog's patience is over")
        assert spare.alive
        assert spare.pid == pid, spare.order.log.read_text()

        scene.retire(owner)
        scene.until(lambda: owned(spare) == [0], "the spare owns the partition")
        assert_whole(scene)
