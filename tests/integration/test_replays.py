"""Replays on a real Kafka and a real Postgres, with a worker and a projector that run, while events keep coming.

What is shown in the end is what the plain reference makes of the whole log under the new catalog: awards with their
dates, points, metrics.
"""

from __future__ import annotations

import signal

import pytest

from tests.commands import Laurel
from tests.integration.demos import wait_until
from tests.integration.replays import FATAL, KILLED, PARTITIONS, Deployment

pytestmark = pytest.mark.server


def test_replays_among_live_events_give_what_a_fold_of_the_whole_log_gives(
    deployment: Deployment, run: Laurel
) -> None:
    """A new metric and its achievement, paused on the way; meanwhile a sweep, by two jobs at once."""
    deployment.publish(1_500)
    id = run("replay", "start", "--catalog", deployment.file(2), "--json").json["id"]
    deployment.start("replayer")
    wait_until(lambda: deployment.orders() == PARTITIONS, "prepare in each partition")
    run("replay", "pause", id)
    with deployment.flowing():
        deployment.start("worker")
        deployment.start("projector")
        deployment.wait_for_phases(id, {"filling"})
        assert run("replay", "start", "--catalog", deployment.file(2), "--json").json["id"] == id
        other = run("replay", "start", "--catalog", deployment.file(2), "--id", "other")
        assert (other.code, id in other.err) == (4, True), other.err
    assert deployment.differences(1) == [], "what is filled is shown to nobody"

    with deployment.flowing():
        jobs = [deployment.replay(3) for _ in range(2)]
        assert [job.end() for job in jobs] == [0, 0]
        swept = jobs[0].answer()
        assert (swept["status"], swept["kind"], swept["muted"]) == ("done", "sweep", [["toy", "explorer"]])
        assert deployment.statuses()[id] == "paused"
        run("replay", "resume", id)
        watched = deployment.start("replay", "status", id, "--watch", "--json")
        assert (watched.end(), watched.answer()["status"]) == (0, "done")
    assert deployment.differences(3) == []
    assert_replayed(deployment)


def assert_replayed(deployment: Deployment) -> None:
    """What only a replay can have given says so, with the day it was earned; and who did what is written down."""
    given = deployment.rows("select distinct achievement from user_achievement where origin = 'replay' order by 1")
    assert given == [("duo",), ("explorer",), ("regular",)]
    early = "select 1 from user_achievement where origin = 'replay' and earned_at >= awarded_at"
    assert deployment.rows(early) == []
    verbs = deployment.rows("select distinct who, verb from replay_audit order by 2")
    assert verbs == [("ada", verb) for verb in ("decide", "finish", "pause", "resume", "start")]


@pytest.mark.faults
def test_whoever_dies_at_whatever_step_the_replay_ends_as_if_nobody_had(deployment: Deployment) -> None:
    """kill -9 of the job before each of its steps, twice; each time the processor and the projector die with it."""
    pipeline = [deployment.start("worker"), deployment.start("projector")]
    deployment.publish(1_000)
    with deployment.flowing():
        for step, time in FATAL:
            for nth in (1, time):
                job = deployment.replay(2, failpoint=f"replay.{step}=kill@{nth}")
                assert job.end() == KILLED, (
                    f"step {step} @ {nth}: {deployment.rows('select * from replay')}, {job.said}"
                )
            for process in pipeline:
                process.process.send_signal(signal.SIGKILL)
            pipeline = [deployment.start("worker"), deployment.start("projector")]
        last = deployment.replay(2)
        assert last.end() == 0
        assert last.answer()["status"] == "done"
    assert deployment.differences(2) == []


def test_a_cancelled_replay_leaves_no_trace_and_another_one_succeeds(deployment: Deployment, run: Laurel) -> None:
    """It is cancelled when the past of its metrics has been sent, in one partition of two."""
    for name in ("worker", "projector"):
        deployment.start(name)
    deployment.publish(1_000)
    with deployment.flowing():
        job = deployment.replay(2, failpoint="replay.3=kill@2")
        assert job.end() == KILLED
        ((id, _),) = deployment.statuses().items()
        refused = run("replay", "start", "--catalog", deployment.file(2), "--id", "again")
        assert (refused.code, id in refused.err) == (4, True), refused.err

        assert run("replay", "cancel", id, "--json").json == {"replay": id, "status": "cancelling"}
        deployment.start("replayer")
        deployment.wait_for_status(id, "cancelled")
        assert run("replay", "cancel", id).code == 0

    assert deployment.differences(1) == []
    with deployment.flowing():
        again = run("replay", "start", "--catalog", deployment.file(2))
        assert (again.code, "--id" in again.err) == (4, True), again.err
        assert deployment.replay(2, "--id", "again").end() == 0
    assert deployment.differences(2) == []


def test_a_replayer_that_is_told_to_stop_leaves_the_replay_to_the_next(deployment: Deployment, run: Laurel) -> None:
    """So does Ctrl-C at a job of one's own, which says how to go on."""
    deployment.publish(300)
    job = deployment.replay(2)
    wait_until(lambda: deployment.statuses(), "a row")
    job.process.send_signal(signal.SIGINT)
    assert job.end() == 130
    assert "give the same command again, or start a `laurel replayer`" in job.said

    replayer = deployment.start("replayer")
    replayer.wait_until(lambda: "replay is carried out" in replayer.said + replayer.out, "at work")
    replayer.process.send_signal(signal.SIGTERM)
    assert replayer.end() == 0

    for name in ("worker", "projector", "replayer"):
        deployment.start(name)
    ((id, _),) = deployment.statuses().items()
    deployment.wait_for_status(id, "done")
    assert deployment.differences(2) == []


def test_an_order_that_nobody_can_read_is_a_dead_letter_and_the_exit_code_is_3(
    deployment: Deployment, run: Laurel
) -> None:
    """The replay is done all the same, and everything is as it should be."""
    deployment.publish(300)
    run("replay", "start", "--catalog", deployment.file(2))
    deployment.send_order(b"no order at all")
    deployment.start("worker")
    deployment.start("projector")

    job = deployment.replay(2)

    assert job.end() == 3
    assert "1 orders were dead letters: see `laurel dlq list" in job.said
    assert job.answer()["status"] == "done"
    assert deployment.differences(2) == []


@pytest.mark.parametrize("policy", ["revoke", "legacy"])
def test_what_becomes_of_awards_of_a_rule_that_is_harder_now_is_what_the_operator_said(
    deployment: Deployment, run: Laurel, policy: str
) -> None:
    for name in ("worker", "projector"):
        deployment.start(name)
    deployment.publish(600)
    before = deployment.differences(1)

    assert deployment.replay(5, "--policy", policy, "--notify", "none").end() == 0

    lost = [line for line in deployment.differences(5) if "first_play" in line]
    marked = deployment.rows("select user_id from user_award where is_legacy")
    assert before == []
    assert bool(lost) == (policy == "legacy"), "revoked, it is as if the new rule had always been there"
    assert bool(marked) == (policy == "legacy")
