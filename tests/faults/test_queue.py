"""Notification services that die between claim and acknowledgement."""

from __future__ import annotations

import pytest

from cli.faults.claimer import delivered
from tests.faults.scenes import Scenes, assert_whole

pytestmark = [pytest.mark.server, pytest.mark.faults]


def test_what_a_killed_claimer_held_is_delivered_again_by_the_other(scenes: Scenes) -> None:
    """Two claim side by side, and one of them is killed by kill -9 after delivering and before answering."""
    with scenes.usual() as scene:
        mortal = scene.claimers[0]
        deaths = mortal.restarts
        scene.until(lambda: mortal.restarts > deaths, "a claimer is killed and started again")

        assert_whole(scene)

        taken = delivered(scene.delivered).notifications
        assert max(taken.values()) > 1, "nothing was delivered twice: the claimer was killed at another moment"
