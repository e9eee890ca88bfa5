"""From an event to what is told of it: a worker, a projector, and the commands, over a real Kafka and Postgres."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from cli.catalog_files import catalog_file
from cli.settings import Settings
from cli.stack.pipeline import prepare
from tests.integration.demos import catalog_on_own_topic, environment, laurel, wait_until, write_lines

pytestmark = pytest.mark.server

NAMESPACE = "toldlive"
SESSIONS, QUESTIONS = 3, 20  # enough for every challenge of interview.yaml on one day
SESSION_XP = 50


class Said(NamedTuple):
    code: int
    out: str
    err: str


class Scene(NamedTuple):
    """A pipeline with the interview catalog, and a user for whom it is noon."""

    env: dict[str, str]
    folder: Path
    zone: str
    now: datetime

    def say(self, *arguments: str) -> Said:
        with laurel([*arguments], self.env, self.folder) as command:
            code = command.end()
        return Said(code, command.out, command.said)

    def ask(self, *arguments: str) -> Any:
        return json.loads(self.say(*arguments, "--json").out)

    def publish(self, *events: dict[str, Any]) -> None:
        lines = [json.dumps(self._envelope(event)).encode() for event in events]
        said = self.say("publish", f"{write_lines(self.folder / 'events.jsonl', lines)}", "--wait")
        assert said.code == 0, said.err

    def _envelope(self, event: dict[str, Any]) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "source": "/web",
            "subject": "ann",
            "timezone": self.zone,
            "time": (self.now - timedelta(minutes=5)).isoformat(),
            **event,
        }


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    servers, folder = request.getfixturevalue("_shared_servers"), tmp_path_factory.mktemp("scene")
    settings = Settings(
        kafka=servers.kafka, postgres=SecretStr(servers.postgres), namespace=NAMESPACE, partitions=4
    )
    prepare(settings, [catalog_file(f"{catalog_on_own_topic(NAMESPACE, folder, 'interview')}")])
    env, now = environment(servers, NAMESPACE), datetime.now(UTC)
    with ExitStack() as processes:
        for command in ("worker", "projector"):
            processes.enter_context(laurel([command], env, tmp_path_factory.mktemp(command)))
        yield Scene(env, folder, zone_at_noon(now), now)


def zone_at_noon(now: datetime) -> str:
    """Etc/GMT+3 lies three hours west of Greenwich."""
    west = now.hour - 12
    return f"Etc/GMT{west:+d}" if west else "Etc/GMT"


def session(number: int) -> dict[str, Any]:
    data = {"session_id": f"s{number}", "kind": ["mock", "drill", "panel"][number], "score": 90, "duration_s": 900}
    return {"id": f"session-{number}", "type": "session_completed", "data": data}


def question(number: int) -> dict[str, Any]:
    data = {"question_id": f"q{number}", "topic": ["sql", "go", "math"][number % 3], "correct": True}
    return {"id": f"question-{number}", "type": "question_answered", "data": data}


def test_an_event_is_told_and_its_challenge_claimed_once(scene):
    scene.publish({"id": "1", "type": "user_registered", "data": {}})
    offered = [each["key"] for each in _interview(scene)["challenges"]]
    assert len(offered) == 3

    early = scene.say("claim", "ann", offered[0])
    assert (early.code, early.out.partition(":")[0]) == (1, "refused (incomplete)")

    scene.publish(*(session(number) for number in range(SESSIONS)), *(question(n) for n in range(QUESTIONS)))
    told = _interview(scene)
    assert [each["completed"] for each in told["challenges"]] == [True] * 3
    assert told["level"]["total"] == SESSIONS * SESSION_XP
    assert (told["streaks"][0]["current"], told["streaks"][0]["headline"]) == (1, True)

    first, again = scene.ask("claim", "ann", offered[0]), scene.ask("claim", "ann", offered[0])
    assert (first["status"], again["status"]) == ("accepted", "repeated")
    due = SESSIONS * SESSION_XP + told["challenges"][0]["xp"]
    wait_until(lambda: _interview(scene)["level"]["total"] == due, "level shows the challenge's XP")
    assert [each["claimed"] for each in _interview(scene)["challenges"]] == [True, False, False]

    long_over = scene.now.date() - timedelta(2)
    assert scene.say("claim", "ann", offered[1], "--day", f"{long_over}").code == 1


def test_an_award_is_explained_by_the_very_record(scene):
    scene.publish({"id": "lone", "type": "session_completed", "subject": "bob", "data": {"session_id": "b1"}})

    (proof,) = scene.ask("explain", "bob", "first_steps")["awards"]

    assert (proof["metric"], proof["before"], proof["after"]) == ("sessions", 0, 1)
    assert proof["evidence"]["event_id"] == "lone"
    assert proof["evidence"]["topic"] == f"{NAMESPACE}.activity"


def test_load_achievements_publishes_catalogs(scene):
    """This one is there already, so nothing changes."""
    said = scene.say("load_achievements", f"{scene.folder / 'interview.yaml'}")

    assert (said.code, said.out) == (0, "catalog 'interview' version 1 was published before, with this content\n")


def _interview(scene: Scene) -> Any:
    (told,) = scene.ask("progress", "ann")["catalogs"]
    return told
