"""The load without any fault: it has in it what the other tests rely on."""

from __future__ import annotations

import pytest

from cli.faults.invariants import expected_of, read_logs
from schemas.topics import partition_of
from tests.faults.scenes import USUAL, Scenes, assert_whole

pytestmark = [pytest.mark.server, pytest.mark.faults]

EMPTY = 3  # a partition to which nothing is published


def test_repetitions_refused_and_aborted_records_count_as_the_reference_says(scenes: Scenes) -> None:
    """A publisher that retries gives a duplicate a new offset; an aborted transaction leaves gaps of offsets."""
    with scenes.usual() as scene:
        scene.until(lambda: scene.load.published > 800, "enough is published")

        assert_whole(scene)

        logs = scene.ground.loop.run(read_logs(scene.settings, scene.source))
        expected = expected_of(logs.source, scene.catalog)
        assert expected.duplicates
        assert expected.skipped
        assert expected.derived
        assert any(logs.dead_letters.values())
        published = sum(map(len, logs.source.values()))
        assert sum(records[-1].offset + 1 for records in logs.source.values()) > published


def test_an_empty_partition_hinders_nobody(scenes: Scenes) -> None:
    """Its owner has nothing to fold and nothing to restore, and its position stays where it is."""
    shape = USUAL._replace(keep=lambda record: partition_of(record.key, USUAL.partitions) != EMPTY)
    with scenes.own(shape) as scene:
        scene.await_progress()
        scene.kill(scene.workers[0])
        scene.await_progress()

        assert_whole(scene)

        logs = scene.ground.loop.run(read_logs(scene.settings, scene.source))
        assert not logs.source[EMPTY]
