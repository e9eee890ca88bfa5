"""Kafka and Postgres go away under a replayer: it says so and ends with 70, and the next one goes on."""

from __future__ import annotations

import signal

import pytest

from cli.faults.catalogue import await_broker
from cli.faults.ground import Ground, await_end, signal_child
from projections.decoding import RESTART
from tests.commands import Laurel
from tests.integration.demos import Laurel as Process
from tests.integration.demos import wait_until
from tests.integration.replays import Deployment

pytestmark = [pytest.mark.server, pytest.mark.faults]

END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{} replay'"


def waits_for_owners(deployment: Deployment, run: Laurel) -> tuple[str, Process]:
    """A replay, and a replayer that waits for the partitions, whose workers have not started yet."""
    deployment.publish(300)
    id = run("replay", "start", "--catalog", deployment.file(2), "--json").json["id"]
    replayer = deployment.start("replayer")
    replayer.wait_until(lambda: "replay is carried out" in replayer.said + replayer.out, "at work")
    return id, replayer


def assert_said_why(replayer: Process) -> None:
    assert replayer.process.returncode == RESTART
    assert "it was there, so this process must start again and wait for it" in replayer.said + replayer.out


def test_after_postgres_ended_its_sessions_a_replayer_says_so_and_another_goes_on(
    deployment: Deployment, run: Laurel
) -> None:
    """As a restart of Postgres does."""
    id, replayer = waits_for_owners(deployment, run)

    deployment.rows(END_SESSIONS.format(deployment.settings.namespace))

    replayer.end()
    assert_said_why(replayer)
    for name in ("worker", "projector", "replayer"):
        deployment.start(name)
    deployment.wait_for_status(id, "done")
    assert deployment.differences(2) == []


def test_a_broker_that_was_killed_costs_a_replay_nothing(
    ground: Ground, deployment: Deployment, run: Laurel
) -> None:
    """A replayer that was not asking for anything just then goes on; one that was says so, and another goes on."""
    id, replayer = waits_for_owners(deployment, run)

    kill_broker(ground)

    for name in ("worker", "projector"):
        deployment.start(name)
    wait_until(lambda: has_ended(replayer) or deployment.statuses()[id] == "done", "the replayer ends or goes on")
    if has_ended(replayer):
        assert_said_why(replayer)
        deployment.start("replayer")
    deployment.wait_for_status(id, "done")
    assert deployment.differences(2) == []


def has_ended(process: Process) -> bool:
    return process.process.poll() is not None


def kill_broker(ground: Ground) -> None:
    broker = ground.broker
    broker.restart = False
    try:
        signal_child(broker, signal.SIGKILL)
        await_end(broker, broker.pid)
        ground.stack.run_again(broker)
        await_broker(ground)
    finally:
        broker.restart = True
