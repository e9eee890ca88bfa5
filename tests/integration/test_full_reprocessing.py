"""Full reprocessing on a real Kafka and a real Postgres: a shadow beside a live deployment, compared and promoted.

What is shown in the end is what the plain reference makes of the whole log under the new catalog.
"""

from __future__ import annotations

import signal

import pytest

from replays.steps import DECIDE, HOLD, PROMOTE, SETTLE
from tests.commands import Laurel
from tests.integration.demos import WAIT_S, wait_until
from tests.integration.replays import KILLED, PIECES, Deployment

FATAL = [(HOLD, 2), (SETTLE, 2), (DECIDE, 1), (PROMOTE, 2)]
"""The steps of a promotion, each between the two partitions where it has two."""

MUST_START_AGAIN = 70

pytestmark = pytest.mark.server


def wait_until_level(deployment: Deployment, run: Laurel, id: str) -> None:
    wait_until(lambda: run("replay", "status", id, "--json").json["is_level"], "a shadow that is level")


def test_a_cancelled_full_reprocessing_leaves_nothing_behind(deployment: Deployment, run: Laurel) -> None:
    """It is level and compared before, and its promotion given up, since live may not wait at all; no topic, no
    schema, no group of its shadow is there after."""
    deployment.environment["LAUREL_REPLAY_HOLD_S"] = "0.001"
    for name in ("worker", "projector"):
        deployment.start(name)
    deployment.publish(600)
    assert deployment.differences(1) == []
    started = run("replay", "start", "--catalog", deployment.file(6), "--json").json
    assert started["kind"] == "full"
    replayer = deployment.start("replayer")
    wait_until_level(deployment, run, started["id"])

    told = run("replay", "diff", started["id"], "--json").json
    assert {each["achievement"] for each in told["gained"]} == {"guest", "learned"}, told
    run("replay", "promote", started["id"])
    wait_until(lambda: run("replay", "status", started["id"], "--json").json["failure"], "a promotion given up")
    assert "live events have waited for 0.001 s" in run("replay", "status", started["id"]).out
    assert deployment.statuses()[started["id"]] == "running"
    deployment.publish(20)
    assert deployment.differences(1) == []

    run("replay", "cancel", started["id"])
    deployment.wait_for_status(started["id"], "cancelled")
    replayer.process.send_signal(signal.SIGTERM)
    assert replayer.end() == 0
    assert deployment.leftovers(started["shadow"]) == []
    assert deployment.differences(1) == []


def test_what_is_promoted_is_what_a_fold_of_the_whole_log_gives_and_there_is_a_way_back(
    deployment: Deployment, run: Laurel
) -> None:
    """While events keep coming. The new version reads a topic more, for which a worker starts anew. Then the shadow
    is dropped, and every word of the operator is written down."""
    worker = deployment.start("worker")
    deployment.start("projector")
    deployment.publish(600)
    assert deployment.differences(1) == []
    id = run("replay", "start", "--catalog", deployment.file(6), "--json").json["id"]
    with deployment.flowing():
        deployment.start("replayer")
        wait_until_level(deployment, run, id)
        assert run("replay", "promote", id, "--json").json == {"replay": id, "status": "promoting"}
        assert worker.process.wait(WAIT_S) == MUST_START_AGAIN
        deployment.start("worker")
        deployment.wait_for_status(id, "done")
        assert run("replay", "promote", id, "--json").json["status"] == "done"

    assert deployment.differences(6) == []
    given = deployment.rows("select distinct achievement from user_achievement where origin = 'replay' order by 1")
    assert given == [("guest",), ("learned",)]

    with deployment.flowing():
        back = run("replay", "promote", id, "--back", "--policy", "revoke", "--json").json
        assert back == {"replay": f"{id}-back", "status": "running"}
        assert run("replay", "promote", id, "--back", "--json").json["replay"] == back["replay"]
        used = run("replay", "drop", id)
        assert (used.code, "which has not ended" in used.err) == (4, True), used.err
        deployment.wait_for_status(back["replay"], "done")
    pieces = "select count(*), count(distinct scope) from user_achievement where achievement = 'learned' and {}"
    assert deployment.rows(pieces.format("revoked_at is null")) == [(0, 0)], "each by its word"
    assert deployment.rows(pieces.format("true"))[0][1] == PIECES
    left = "are {'toy': {}}, in the reference None"  # of who had no event of the old rules, and has lost an award
    assert [each for each in deployment.differences(1) if left not in each] == []
    dropped = run("replay", "drop", id, "--json").json
    assert deployment.leftovers(dropped["shadow"]) == []
    verbs = deployment.rows(f"select verb from replay_audit where replay_id = '{id}' order by id")
    assert verbs == [(verb,) for verb in ("start", "promote", "decide to promote", "finish", "drop")]


@pytest.mark.faults
def test_whoever_dies_while_it_is_promoted_it_ends_as_if_nobody_had(deployment: Deployment, run: Laurel) -> None:
    """kill -9 of the job before its steps, with it the shadow's processes; each time the live ones die, too."""
    pipeline = [deployment.start("worker"), deployment.start("projector")]
    deployment.publish(600)
    assert deployment.differences(1) == []
    id = run("replay", "start", "--catalog", deployment.file(8), "--json").json["id"]
    with deployment.flowing():
        first = deployment.start("replayer")
        wait_until_level(deployment, run, id)
        first.process.send_signal(signal.SIGKILL)
        run("replay", "promote", id)
        for step, time in FATAL:
            job = deployment.start("replayer", failpoint=f"replay.{step}=kill@{time}")
            assert job.process.wait(WAIT_S) == KILLED, (
                f"step {step} @ {time}: {deployment.rows('select * from replay')}"
            )
            for process in pipeline:
                process.process.send_signal(signal.SIGKILL)
            pipeline = [deployment.start("worker"), deployment.start("projector")]
        jobs = [deployment.start("replayer") for _ in range(2)]
        deployment.wait_for_status(id, "done")
        assert all(job.process.poll() is None for job in jobs)
    assert deployment.differences(8) == []
