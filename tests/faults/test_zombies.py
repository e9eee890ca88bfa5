"""A process that stood still while others took over its work: what it still holds is worth nothing."""

from __future__ import annotations

import pytest

from tests.faults.scenes import USUAL, Scenes, assert_whole, owned

pytestmark = [pytest.mark.server, pytest.mark.faults]

EVERYTHING = list(range(USUAL.partitions))


def test_a_worker_that_slept_before_its_commit_ends_without_writing(scenes: Scenes) -> None:
    """Everything of its transaction but the commit was sent. Its successor has fenced it, folded the same and gone
    on; the broker refuses the zombie, which ends and is started again."""
    with scenes.usual() as scene:
        zombie, successor = scene.workers
        lives = zombie.restarts
        with scene.standing_still(zombie, "checkpoint.6=freeze@3"):
            scene.until(lambda: owned(successor) == EVERYTHING, "the successor has all partitions")
            scene.await_progress()

        scene.until(lambda: zombie.restarts > lives, "the zombie ends and is started again")

        assert_whole(scene)


def test_a_projector_that_slept_in_its_transaction_shows_nothing_of_it(scenes: Scenes) -> None:
    """Its successor waits for the locks that the sleeper holds, until Postgres ends the sleeper's session."""
    with scenes.own(USUAL._replace(workers=1, projectors=2)) as scene:
        scene.await_progress()
        zombie = scene.projectors[0]
        lives = zombie.restarts
        with scene.standing_still(zombie, "projection.4=freeze@3"):
            scene.until(lambda: scene.watch.looks > 0, "a look")
            scene.await_progress()

        assert_whole(scene)
        assert zombie.alive or zombie.restarts > lives
