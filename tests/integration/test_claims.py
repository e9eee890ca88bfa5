"""Challenges claimed on a real broker: the commands topic is a source like any other."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.catalogs import publish
from broker.connections import producer
from broker.producing import Outgoing, Publisher
from broker.topics import create_topics, wanted_topics
from processor.evaluator.compile import compile_catalog
from schemas.records import Record
from schemas.topics import Names
from tests.integration.processors import PARTITIONS, POLL_S, WAIT_S, Stage, records, workers_of
from tests.servers import Servers

pytestmark = pytest.mark.server

CATALOG = """
catalog: toy
version: 1
events: {{played: {{topic: {topic}}}}}
metrics: {{plays: {{count: played}}}}
challenges:
  per_day: 1
  list: [{{key: two_plays, type: practice, description: Play twice, when: plays >= 2, every: day, xp: 30}}]
levels: {{of: xp, curve: [0, 30]}}
achievements: [{{key: twice, name: Twice, when: plays >= 2}}]
"""


def noon_zone() -> str:
    """A zone where it is about noon, so that no midnight comes in between."""
    hour = datetime.now(UTC).hour
    return f"Etc/GMT{hour - 12:+}"  # in these names the sign is that of UTC as seen from there


async def set_up(kafka: str, namespace: str) -> Stage:
    stage = Stage(kafka, Names(namespace), f"{namespace}.plays")
    await create_topics(kafka, wanted_topics(stage.names, [stage.source], PARTITIONS))
    await publish(kafka, stage.names, CATALOG.format(topic=stage.source), "toy.yaml", compile_catalog)
    return stage


async def send(stage: Stage, topic: str, identity: str, kind: str, key: str = "ann", **said: Any) -> None:
    now, zone = datetime.now(UTC).isoformat(), noon_zone()
    event = {"specversion": "1.0", "id": identity, "source": "/app", "type": kind, "subject": "ann", "time": now}
    value = json.dumps(event | {"timezone": zone, "data": said}).encode()
    async with producer(stage.kafka) as client:
        publisher = Publisher(client, {topic: PARTITIONS})
        await publisher.send(Outgoing(topic, key.encode(), value))
        await publisher.flush()


async def outcomes(stage: Stage, count: int) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in await arrived(stage, stage.names.outcomes, count)]


async def arrived(stage: Stage, topic: str, count: int) -> list[Record]:
    """The records of a topic, as soon as there are so many."""
    deadline = time.monotonic() + WAIT_S
    while len(found := [record for _, record in await records(stage, topic)]) < count:
        assert time.monotonic() < deadline, f"{len(found)} records of {topic} after {WAIT_S:.0f} s: {found}"
        await asyncio.sleep(4 * POLL_S)
    return found


async def test_a_claim_is_answered_once_and_completes_the_challenge(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    stage = await set_up(servers.kafka, namespace)
    claim = {"catalog": "toy", "challenge": "two_plays"}
    with workers_of(stage, tmp_path) as workers:
        workers.start()
        await send(stage, stage.names.commands, "c1", "claim_challenge", **claim)
        await outcomes(stage, 1)
        await send(stage, stage.source, "p1", "played")
        await send(stage, stage.source, "p2", "played")
        await outcomes(stage, 2)
        await send(stage, stage.names.commands, "c2", "claim_challenge", **claim)
        await send(stage, stage.names.commands, "c2", "claim_challenge", **claim)
        await send(stage, stage.names.commands, "c3", "claim_challenge", **claim)
        told = await outcomes(stage, 6)

    assert [outcome["type"] for outcome in told] == [
        "command_answered",
        "achievement_unlocked",
        "challenge_completed",
        "command_answered",
        "level_reached",
        "command_answered",
    ]
    answers = [outcome["data"] for outcome in told if outcome["type"] == "command_answered"]
    assert [(each["command_id"], each["status"], each["reason"]) for each in answers] == [
        ("c1", "refused", "incomplete"),
        ("c2", "accepted", None),
        ("c3", "repeated", None),
    ]
    assert answers[0]["missing"] == [{"metric": "plays@day", "value": 0, "target": 2}]


async def test_a_claim_under_somebody_elses_key_is_a_dead_letter(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    stage = await set_up(servers.kafka, namespace)
    with workers_of(stage, tmp_path) as workers:
        workers.start()
        await send(stage, stage.names.commands, "c1", "claim_challenge", key="bob", catalog="toy", challenge="x")
        await send(stage, stage.names.commands, "c2", "claim_challenge", catalog="toy", challenge="x")

        (answer,) = await outcomes(stage, 1)

        assert answer["data"]["reason"] == "unknown"
        (letter,) = await arrived(stage, stage.names.dead_letters, 1)

    assert dict(letter.headers)["laurel.error.class"] == b"wrong_key"
