"""A stretch of a topic again, on a real Kafka: dead letters of a strict version become readable by a milder one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench import reference
from cli.comparison import compare
from cli.visibility import wait_until_visible
from tests.commands import Laurel, Said
from tests.integration.demos import wait_until
from tests.integration.replays import KILLED, Deployment, Happenings, catalog
from tests.integration.test_replay_refusals import truncate

pytestmark = pytest.mark.server

MANY = """\
  - {key: eight_plays, name: Eight, when: plays >= 8, points: 7}
  - {key: ten_plays, name: Ten, when: plays >= 10, points: 9}
"""
TOLD = "select count(*), count(distinct user_id) from notification where metadata ->> 'replay_id' = '{}'"
GAINED = "select count(*), count(distinct user_id) from user_achievement where replay_id = '{}'"


def version(deployment: Deployment, number: int) -> str:
    """2 reads partners as text, 3 does not look at them."""
    text = catalog(1, deployment.topic).replace("version: 1", f"version: {number}") + MANY
    return text if number == 2 else text.replace(", partner: string?", "")


def file(deployment: Deployment, number: int) -> str:
    path = Path(deployment.file(1)).with_name(f"version-{number}.yaml")
    path.write_text(version(deployment, number), encoding="utf-8")
    return f"{path}"


def publish_with_refused(deployment: Deployment, count: int) -> int:
    """Events of which some have a partner that is no text; how many. The log as it shall count has them last."""
    events = Happenings(seed=7).more(count)
    refused = [event for number, event in enumerate(events) if number % 3 == 0 and event["type"] == "played"]
    for event in refused:
        event["data"]["partner"] = 7
    asyncio.run(deployment._publish(events))
    deployment.published += [event for event in events if event not in refused] + refused
    return len(refused)


@pytest.mark.faults
def test_dead_letters_of_a_strict_version_count_once_when_a_milder_one_can_read_them(
    deployment: Deployment, run: Laurel
) -> None:
    """Its job is killed halfway, and started again; users get what they had earned, and one message each."""
    began = datetime.now(UTC) - timedelta(minutes=1)
    assert run("catalog", "publish", file(deployment, 2)).code == 0
    for name in ("worker", "projector"):
        deployment.start(name)
    refused = publish_with_refused(deployment, 600)
    asyncio.run(wait_until_visible(deployment.settings, deployment._ends, lambda **_: None))
    before = shown(deployment)
    stretch = ["--topic", deployment.topic, "--from", began.isoformat(), "--until", later(began)]

    nothing = run("replay", "start", *stretch)
    assert (nothing.code, "laurel replay plan" in nothing.err) == (4, True), nothing.err
    published = run("catalog", "publish", file(deployment, 3))
    assert published.code == 0, published.err
    wait_until(lambda: planned(run, stretch)["folded"] == refused, "the milder version to run")
    plan = planned(run, stretch)
    assert plan["awards"] > plan["winners"] > 0
    assert shown(deployment) == before, "a plan changes nothing"

    killed = deployment.start("replay", "start", *stretch, "--wait", "--json", failpoint="replay.2=kill@2")
    assert killed.end() == KILLED
    job = deployment.start("replay", "start", *stretch, "--wait", "--json")
    assert job.end() == 0, job.said
    id = job.answer()["id"]
    assert differences(deployment) == []

    awards, users = deployment.rows(GAINED.format(id))[0]
    assert (awards, users) == (plan["awards"], plan["winners"])
    assert deployment.rows(TOLD.format(id)) == [(users, users)]
    again = run("replay", "start", *stretch, "--id", "again")
    assert (again.code, "no record that was" in again.err) == (4, True), again.err
    asyncio.run(truncate(deployment, 10))
    truncated = run("replay", "start", *stretch, "--id", "again")
    assert (truncated.code, "Say --accept-truncated" in truncated.err) == (4, True), truncated.err


def test_a_stretch_that_is_none_is_refused_with_what_to_do(deployment: Deployment, run: Laurel) -> None:
    early, late = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00+02:00"

    unknown = refused(run, deployment.topic[:-1], early, late)
    assert (unknown.code, f"did you mean '{deployment.topic}'" in unknown.err) == (4, True), unknown.err
    unfolded = refused(run, deployment.topic, early, late)
    assert (unfolded.code, "nothing was folded" in unfolded.err) == (4, True), unfolded.err
    for since, until in [(late, early), ("2026-01-01T00:00:00", late), (early, "tomorrow")]:
        assert refused(run, deployment.topic, since, until).code == 2
    assert run("replay", "start", "--topic", deployment.topic).code == 2
    assert run("replay", "plan").code == 2


def refused(run: Laurel, topic: str, since: str, until: str) -> Said:
    return run("replay", "start", "--topic", topic, "--from", since, "--until", until)


def later(began: datetime) -> str:
    return (began + timedelta(hours=1)).isoformat()


def planned(run: Laurel, stretch: list[str]) -> dict[str, Any]:
    plan: dict[str, Any] = run("replay", "plan", *stretch, "--json").json
    return plan


def shown(deployment: Deployment) -> list[tuple[Any, ...]]:
    return deployment.rows("select user_id, catalog, achievement, scope from user_achievement order by 1, 2, 3, 4")


def differences(deployment: Deployment) -> list[str]:
    """Between what is shown, and the naive fold of a log in which what was refused stands at the end."""
    asyncio.run(wait_until_visible(deployment.settings, deployment._ends, lambda **_: None))
    with deployment.connection() as connection:
        return compare(connection, reference.fold(deployment.published, [version(deployment, 3)]))
