"""Full reprocessing on a real Kafka and a real Postgres: a shadow beside a live deployment, compared and promoted.

What is shown in the end is what the plain reference makes of the whole log under the new catalog.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.commands import Laurel, commands_in
from tests.integration.demos import wait_until
from tests.integration.replays import Deployment, deployed
from tests.servers import Servers

MUST_START_AGAIN = 70

pytestmark = pytest.mark.server


@pytest.fixture
def deployment(servers: Servers, namespace: str, tmp_path: Path):
    with deployed(servers, namespace, tmp_path) as found:
        yield found


@pytest.fixture
def run(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Laurel:
    return commands_in(deployment.environment, monkeypatch, capsys)


def wait_until_level(deployment: Deployment, run: Laurel, id: str) -> None:
    wait_until(lambda: run("replay", "status", id, "--json").json["is_level"], "a shadow that is level")


def test_a_cancelled_full_reprocessing_leaves_nothing_behind(deployment: Deployment, run: Laurel) -> None:
    """It is level and compared before; no topic, no schema, no group of its shadow is there after."""
    for name in ("worker", "projector"):
        deployment.start(name)
    deployment.publish(600)
    assert deployment.differences(1) == []
    started = run("replay", "start", "--catalog", deployment.file(6), "--json").json
    assert started["kind"] == "full"
    replayer = deployment.start("replayer")
    wait_until_level(deployment, run, started["id"])

    told = run("replay", "diff", started["id"], "--json").json
    assert {each["achievement"] for each in told["gained"]} == {"guest"}, told
    assert deployment.differences(1) == []

    run("replay", "cancel", started["id"])
    deployment.wait_for_status(started["id"], "cancelled")
    replayer.process.send_signal(signal.SIGTERM)
    assert replayer.end() == 0
    assert deployment.leftovers(started["shadow"]) == []
    assert deployment.differences(1) == []


def test_what_is_promoted_is_what_a_fold_of_the_whole_log_gives(deployment: Deployment, run: Laurel) -> None:
    """While events keep coming. The new version reads a topic more, for which a worker starts anew."""
    worker = deployment.start("worker")
    deployment.start("projector")
    deployment.publish(600)
    assert deployment.differences(1) == []
    id = run("replay", "start", "--catalog", deployment.file(6), "--json").json["id"]
    with deployment.flowing():
        deployment.start("replayer")
        wait_until_level(deployment, run, id)
        assert run("replay", "promote", id, "--json").json == {"replay": id, "status": "promoting"}
        assert worker.process.wait(60) == MUST_START_AGAIN
        deployment.start("worker")
        deployment.wait_for_status(id, "done")
        assert run("replay", "promote", id, "--json").json["status"] == "done"

    assert deployment.differences(6) == []
    given = deployment.rows("select distinct achievement from user_achievement where origin = 'replay'")
    assert given == [("guest",)]
    dropped = run("replay", "drop", id, "--json").json
    assert deployment.leftovers(dropped["shadow"]) == []
    verbs = deployment.rows(f"select verb from replay_audit where replay_id = '{id}' order by id")
    assert verbs == [(verb,) for verb in ("start", "promote", "decide to promote", "finish", "drop")]
