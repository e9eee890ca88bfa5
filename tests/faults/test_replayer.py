"""Kafka and Postgres go away under a replayer: it says so and ends with 70, and the next one goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from cli.faults.catalogue import await_broker
from cli.faults.ground import Ground, await_end, signal_child
from projections.decoding import RESTART
from tests.commands import Laurel
from tests.integration.replays import Deployment

pytestmark = [pytest.mark.server, pytest.mark.faults]

END_SESSIONS = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{} replay'"


def ends_and_another_goes_on(deployment: Deployment, run: Laurel, go_away: Callable[[], object]) -> None:
    """A replayer waits for the partitions, whose workers have not started yet; somebody goes away meanwhile."""
    deployment.publish(300)
    id = run("replay", "start", "--catalog", deployment.file(2), "--json").json["id"]
    replayer = deployment.start("replayer")
    replayer.wait_until(lambda: "replay is carried out" in replayer.said + replayer.out, "at work")

    go_away()

    assert replayer.end() == RESTART
    assert "it was there, so this process must start again and wait for it" in replayer.said + replayer.out
    for name in ("worker", "projector", "replayer"):
        deployment.start(name)
    deployment.wait_for_status(id, "done")
    assert deployment.differences(2) == []


def test_a_replayer_goes_on_after_postgres_has_ended_its_sessions(deployment: Deployment, run: Laurel) -> None:
    """As a restart of Postgres does."""
    sessions = END_SESSIONS.format(deployment.settings.namespace)
    ends_and_another_goes_on(deployment, run, lambda: deployment.rows(sessions))


def test_a_replayer_goes_on_after_the_broker_was_killed(
    ground: Ground, deployment: Deployment, run: Laurel
) -> None:
    def kill() -> None:
        broker = ground.broker
        broker.restart = False
        try:
            signal_child(broker, signal.SIGKILL)
            await_end(broker, broker.pid)
            ground.stack.run_again(broker)
            await_broker(ground)
        finally:
            broker.restart = True

    ends_and_another_goes_on(deployment, run, kill)
