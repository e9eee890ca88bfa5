"""`laurel verify` on running processes: no false alarm while events flow, and what cannot be compared is named."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from broker.connections import admin
from broker.controls import read_controls
from broker.notes import write_note
from schemas.notes import Suspect
from tests.commands import Laurel, commands_in
from tests.integration.demos import wait_until
from tests.integration.replays import USERS, Deployment, deployed
from tests.servers import Servers

pytestmark = pytest.mark.server


@pytest.fixture
def deployment(deployment: Deployment) -> Deployment:
    for name in ("worker", "projector"):
        deployment.start(name)
    return deployment


def test_events_that_flow_raise_no_false_alarm_and_a_real_difference_is_found(
    deployment: Deployment, run: Laurel
) -> None:
    """While they flow most users have new ones at every look; who is judged is judged right."""
    deployment.publish(1_000)
    assert deployment.differences(1) == []
    with deployment.flowing():
        amid = run("verify", "--json")
    assert (amid.code, amid.json["differences"]) == (0, []), amid.out

    assert deployment.differences(1) == []
    after = run("verify", "--json").json
    assert (after["users"], after["records"]) == (USERS, len(deployment.published))
    assert (after["equal"], after["unsettled"], after["left_out"]) == (True, [], [])

    shift = b"update user_achievement set earned_at = earned_at + interval '1 hour' where user_id = 'user-7'"
    with deployment.connection() as connection:
        connection.execute(shift)
    told = run("verify", "--json")
    assert told.code == 5
    assert [(each["user"], each["key"]) for each in told.json["differences"]] == [("user-7", "first_play")]


def test_what_began_later_and_what_lost_its_beginning_is_left_out(deployment: Deployment, run: Laurel) -> None:
    deployment.publish(500)
    assert deployment.differences(1) == []
    assert run("catalog", "publish", deployment.file(2), "--from-now").code == 0
    wait_until(lambda: versions(deployment) == {2}, "the second version runs")
    deployment.publish(500)

    later = run("verify", "--json").json
    assert later["equal"], later["differences"]
    assert {each["key"]: each["why"] for each in later["left_out"] if each["what"] == "metric"} == dict.fromkeys(
        ("partners", "days"), "it counts only what came since version 2"
    )
    assert {each["key"] for each in later["left_out"]} == {"partners", "days", "duo", "regular"}

    asyncio.run(truncate(deployment, before=3))
    cut = run("verify")
    assert cut.code == 0, cut.out
    assert "0 awards and 0 metrics compared" in cut.out
    assert "has lost all before offset 3, of 20" in cut.out


def test_what_is_parked_or_skipped_is_left_out_and_named(
    servers: Servers,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with deployed(servers, namespace, tmp_path) as deployment:
        run = commands_in(deployment.environment, monkeypatch, capsys)
        worker, _ = deployment.start("worker"), deployment.start("projector")
        deployment.publish(100)
        assert deployment.differences(1) == []
        worker.process.send_signal(signal.SIGINT)
        worker.end()
        controls = asyncio.run(read_controls(deployment.settings.kafka, deployment.settings.names))
        start = controls[0].positions[deployment.topic]
        suspect = Suspect(topic=deployment.topic, start=start, end=start + 1, exits=3, error="E")
        asyncio.run(write_note(deployment.settings.kafka, deployment.settings.names, 0, suspect))
        deployment.publish(100)
        deployment.start("worker")

        parked = run("verify", "--json").json
        assert (parked["equal"], len(parked["left_out"])) == (True, 1), parked
        assert (parked["left_out"][0]["key"], parked["records"] < 200) == (f"0 at {start}", True)

        assert run("skip", deployment.topic, "0", f"{start}", "--yes").code == 0
        wait_until(lambda: run("verify", "--json").json["records"] == 199, "all but what was skipped is counted")
        skipped = run("verify")
        assert skipped.code == 0, skipped.out
        assert f"left out: {deployment.topic}/0 at {start}: an operator skipped it" in skipped.out


def versions(deployment: Deployment) -> set[int]:
    controls = asyncio.run(read_controls(deployment.settings.kafka, deployment.settings.names))
    return {control.catalogs.get("toy", 0) for control in controls.values()}


async def truncate(deployment: Deployment, before: int) -> None:
    place = TopicPartition(deployment.topic, 0)
    async with admin(deployment.settings.kafka) as client:
        await client.delete_records({place: RecordsToDelete(before_offset=before)})
