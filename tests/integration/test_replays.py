"""Replays on a real Kafka and a real Postgres, with a worker and a projector that run, while events keep coming.

What is shown in the end is what the plain reference makes of the whole log under the new catalog: awards with their
dates, points, metrics.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.commands import Laurel, commands_in
from tests.integration.demos import wait_until
from tests.integration.replays import FATAL, KILLED, Deployment, deployed
from tests.servers import Servers

pytestmark = pytest.mark.server


@pytest.fixture
def deployment(servers: Servers, namespace: str, tmp_path: Path):
    with deployed(servers, namespace, tmp_path) as found:
        yield found


@pytest.fixture
def run(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Laurel:
    return commands_in(deployment.environment, monkeypatch, capsys)


def test_replays_among_live_events_give_what_a_fold_of_the_whole_log_gives(
    deployment: Deployment, run: Laurel
) -> None:
    """A new metric and its achievement by the replayer, paused on the way; a sweep by two jobs at once."""
    for name in ("worker", "projector", "replayer"):
        deployment.start(name)
    deployment.publish(1_500)
    with deployment.flowing():
        started = run("replay", "start", "--catalog", deployment.file(2), "--json")
        assert started.code == 0, started.err
        id = started.json["id"]
        assert run("replay", "start", "--catalog", deployment.file(2), "--json").json["id"] == id

        other = run("replay", "start", "--catalog", deployment.file(2), "--id", "other")
        assert (other.code, id in other.err) == (4, True), other.err

        run("replay", "pause", id)
        run("replay", "resume", id)
        watched = deployment.start("replay", "status", id, "--watch", "--json")
        assert watched.end() == 0
        assert watched.answer()["status"] == "done"

        jobs = [deployment.replay(3) for _ in range(2)]
        assert [job.end() for job in jobs] == [0, 0]
        assert {job.answer()["status"] for job in jobs} == {"done"}
        sweep = jobs[0].answer()
        assert (sweep["kind"], sweep["filling"], sweep["muted"]) == ("sweep", [], [["toy", "explorer"]])

    assert deployment.differences(3) == []
    replayed = deployment.rows(
        "select distinct achievement from user_achievement where origin = 'replay' order by 1"
    )
    assert replayed == [("duo",), ("explorer",), ("regular",)]
    assert (
        deployment.rows("select 1 from user_achievement where origin = 'replay' and earned_at >= awarded_at") == []
    )
    verbs = {(who, verb) for who, verb in deployment.rows("select who, verb from replay_audit")}
    assert {("ada", "start"), ("ada", "decide"), ("ada", "finish")} <= verbs


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
