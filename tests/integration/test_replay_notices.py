"""What people see of a replay that really runs: what they are told, and nothing half done."""

from __future__ import annotations

import signal

import pytest

from replays.steps import DECIDE
from tests.commands import Laurel
from tests.integration.replays import KILLED, Deployment

pytestmark = pytest.mark.server

GAINED = "select count(*), count(distinct user_id) from user_achievement where replay_id = '{}'"
TOLD = "select count(*), count(distinct user_id) from notification where metadata ->> 'replay_id' = '{}'"
ONE_BY_ONE = """
select count(*) from notification as told
join user_achievement as award on award.id::text = told.metadata ->> 'outcome_id' and award.origin = 'replay'
"""
SHOWING = "select count(*) from user_progress where metrics -> 'toy' ? 'partners' or streaks -> 'toy' ? 'days'"


def replayed(deployment: Deployment, version: int, notify: str) -> str:
    """Returns the id of the replay that brought this version, when all of it can be seen and is right."""
    job = deployment.replay(version, "--notify", notify)
    assert job.end() == 0, job.said
    assert deployment.differences(version) == []
    return str(job.answer()["id"])


def test_people_are_told_of_a_replay_as_the_operator_chose(deployment: Deployment) -> None:
    """A digest is one message for each who gained something; awards, points and dates are right either way."""
    for name in ("worker", "projector"):
        deployment.start(name)
    deployment.publish(1_000)

    digested = replayed(deployment, 2, "digest")
    ((awards, users),) = deployment.rows(GAINED.format(digested))
    assert awards > users > 0
    assert deployment.rows(TOLD.format(digested)) == [(users, users)]

    silent = replayed(deployment, 3, "none")
    assert deployment.rows(GAINED.format(silent))[0][0] > 0
    assert deployment.rows(TOLD.format(silent)) == [(0, 0)]
    assert deployment.rows(ONE_BY_ONE) == [(0,)]

    announced = replayed(deployment, 4, "all")
    ((awards, _),) = deployment.rows(GAINED.format(announced))
    assert deployment.rows(ONE_BY_ONE) == [(awards,)]
    assert deployment.rows("select count(*) from replay_completed") == [(6,)]


def test_what_is_filled_is_shown_to_nobody_while_the_replay_rests(deployment: Deployment, run: Laurel) -> None:
    """Its job dies before it decides, the projector too, and events go on; with its end everybody has all of it."""
    deployment.start("worker")
    projector = deployment.start("projector")
    deployment.publish(500)
    assert deployment.differences(1) == []
    id = run("replay", "start", "--catalog", deployment.file(2), "--json").json["id"]
    assert deployment.start("replayer", failpoint=f"replay.{DECIDE}=kill").end() == KILLED

    for _ in range(2):
        deployment.publish(200)
        assert deployment.differences(1) == []
        assert deployment.rows(SHOWING) == [(0,)]
        projector.process.send_signal(signal.SIGKILL)
        projector = deployment.start("projector")

    deployment.start("replayer")
    deployment.wait_for_status(id, "done")
    assert deployment.differences(2) == []
    assert deployment.rows(SHOWING)[0][0] > 0
