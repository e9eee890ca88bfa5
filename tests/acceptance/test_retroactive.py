# ruff: noqa: N802 - tests are named by the ids of the checklist
"""What people get for what they did before there was anything to earn, on running processes."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from broker.controls import read_controls
from tests.acceptance.scene import MONDAY, Scene, Step, some, topic_of
from tests.integration.demos import environment, wait_until
from tests.integration.demos import laurel as laurel_process

pytestmark = pytest.mark.server

CATALOG = "past"
HOUR = timedelta(hours=1)

FIRST = """
catalog: past
version: 1
events:
  song_released: {topic: past.activity, data: {artist: string?}}
metrics:
  released: {count: song_released}
achievements:
  - {key: first_release, name: First Release, points: 10, when: released >= 1}
"""
SECOND = FIRST.replace("version: 1", "version: 2").replace(
    "achievements:",
    """  artists: {distinct: song_released, by: data.artist}
achievements:
  - {key: third_release, name: Third Release, points: 20, when: released >= 3}
  - {key: varied, name: Varied, points: 30, when: {all: [released >= 4, artists >= 3]}}""",
)
THIRD = SECOND.replace("version: 2", "version: 3").replace(
    "achievements:",
    "achievements:\n  - {key: second_release, name: Second Release, points: 5, when: released >= 2}",
)
CATALOGS = {CATALOG: FIRST}
STORIES = {
    CATALOG: {
        "P/five": [Step("song_released", {"artist": f"a{n}"}, MONDAY + n * HOUR) for n in range(5)],
        "P/four": some(4, "song_released"),
        "P/two": some(2, "song_released"),
        "P/one": some(1, "song_released"),
    }
}


class Day(NamedTuple):
    """What the commands said, in this order."""

    plan: dict[str, Any]
    started: dict[str, Any]
    diff: dict[str, Any]
    recalculated: dict[str, Any]
    planned: dict[str, Any]
    awarded: dict[str, Any]
    again: dict[str, Any]


@pytest.fixture(scope="module")
def day(request: pytest.FixtureRequest, scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A new version is planned and replayed; a further one is published, and what it gives awarded later."""
    folder = tmp_path_factory.mktemp("day")
    env = environment(request.getfixturevalue("_shared_servers"), scene.settings.namespace)
    said = Typed(env, folder)
    with ExitStack() as processes:
        for command in ("worker", "projector"):
            processes.enter_context(laurel_process([command], env, tmp_path_factory.mktemp(command)))
        second, third = (written(scene, folder / name, text) for name, text in FILES.items())
        plan = said("replay", "plan", "--catalog", f"{second}", "--json")
        (folder / "plan.json").write_text(json.dumps(plan))
        options = ["--catalog", f"{second}", "--plan", f"{folder / 'plan.json'}", "--json"]
        started = said("replay", "start", *options)
        with laurel_process(["replayer"], env, tmp_path_factory.mktemp("replayer")):
            wait_until(lambda: told(scene) == ["P/five", "P/four"], "everybody has a message")
            wait_until(lambda: status(scene, started["id"]) == "done", "the replay is done")
        diff = said("replay", "diff", started["id"], "--json")
        said("catalog", "publish", f"{third}", "--json")
        wait_until(lambda: versions_run(scene) == {3}, "the third version runs")
        award = ["award_retroactive_achievements", "--achievement", "second_release", "--json"]
        recalculated = said("recalculate_achievements", "--user=P/two", "--catalog", CATALOG, "--json")
        planned, awarded, again = said(*award, "--dry-run"), said(*award), said(*award)
        wait_until(lambda: len(told(scene)) == 5, "everybody has another message")
    return Day(plan, started, diff, recalculated, planned, awarded, again)


FILES = {"second.yaml": SECOND, "third.yaml": THIRD}


def written(scene: Scene, file: Path, text: str) -> Path:
    file.write_text(text.replace("past.activity", topic_of(scene.settings.namespace, CATALOG)))
    return file


def told(scene: Scene) -> list[str]:
    """Whom a message tells what was gained."""
    rows = scene.rows("select user_id from notification where type = 'replay_completed' order by user_id")
    return [row["user_id"] for row in rows if row["user_id"].startswith("P/")]


def status(scene: Scene, id: str) -> str:
    return str(scene.row("select status from replay where id = %(id)s", id=id)["status"])


def versions_run(scene: Scene) -> set[int]:
    """Of the catalog, in all partitions."""
    controls = asyncio.run(read_controls(scene.settings.kafka, scene.settings.names))
    return {control.catalogs.get(CATALOG, 0) for control in controls.values()}


class Typed:
    """Commands in processes of their own, and what they print."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self._env, self._folder = env, folder

    def __call__(self, *arguments: str) -> dict[str, Any]:
        with laurel_process([*arguments], self._env, self._folder) as command:
            assert command.end() == 0, command.said
            answer: dict[str, Any] = command.answer()
        return answer


def test_S1_13_what_somebody_did_before_is_awarded_with_its_own_day(scene, day):
    awards = scene.awards(CATALOG, "P/five")

    assert {key: award["earned_at"] - MONDAY for key, award in awards.items()} == {
        "first_release": 0 * HOUR,
        "second_release": 1 * HOUR,
        "third_release": 2 * HOUR,
        "varied": 3 * HOUR,
    }
    assert {key: award["origin"] for key, award in awards.items()} == dict.fromkeys(
        ("second_release", "third_release", "varied"), "replay"
    ) | {"first_release": "live"}
    assert awards["third_release"]["replay_id"] == day.started["id"]
    assert awards["third_release"]["evidence_event_id"] == "STORIES/P/five/2"
    assert awards["third_release"]["awarded_at"] > awards["third_release"]["earned_at"]
    assert scene.metrics(CATALOG, "P/five") == {"released": 5, "artists": 5}


def test_S1_56_all_users_get_what_was_earned_before_the_achievement_was_there(scene, day):
    (planned,) = day.planned["gains"]
    holders = scene.rows(
        "select user_id from user_award where achievement = 'second_release' and catalog = 'past' order by user_id"
    )

    assert (planned["achievement"], planned["users"]) == ("second_release", 3)
    assert [row["user_id"] for row in holders] == ["P/five", "P/four", "P/two"]
    assert day.awarded["status"] == "done"
    assert day.again["id"] == day.awarded["id"], "the same once more is the same replay"


def test_S4_41_operators_add_badges_of_their_own_while_everything_runs(scene, day, laurel):
    """A catalog file that is published: the badge is listed with what it is worth, and can be held."""
    row = scene.row(
        "select name, points, is_active from achievement where catalog = 'past' and key = 'second_release'"
    )
    assert row == {"name": "Second Release", "points": 5, "is_active": True}
    assert scene.awards(CATALOG, "P/two")["second_release"]["points"] == 5
    (told,) = laurel("progress", "P/one", "--catalog", CATALOG, "--json").json["catalogs"]
    assert {each["key"]: each["percent"] for each in told["achievements"]}["second_release"] == 50


def test_S1_57_one_user_is_folded_anew_and_told_what_is_due(day):
    told = day.recalculated

    assert told["equal"]
    assert told["due"] == [["P/two", CATALOG, "second_release", ""]]
    assert (told["users"], told["records"]) == (1, 2)


def test_S1_62_nobody_gets_an_award_twice_and_one_message_tells_all_that_was_gained(scene, day):
    rows = scene.rows("select user_id, achievement, n from user_achievement where catalog = 'past'")
    assert len({(row["user_id"], row["achievement"]) for row in rows}) == len(rows)
    assert {row["n"] for row in rows} == {0}
    assert told(scene) == ["P/five", "P/five", "P/four", "P/four", "P/two"], (
        "one for each replay that gave something"
    )
    points = scene.rows("select user_id, points from user_profile where catalog = 'past' and points > 0")
    assert {row["user_id"]: row["points"] for row in points} == {
        "P/five": 10 + 5 + 20 + 30,
        "P/four": 10 + 5 + 20,
        "P/two": 10 + 5,
        "P/one": 10,
    }


def test_S1_66_what_is_large_is_done_in_the_background(scene, day):
    """The command was back before anything was done, and a process of its own did it."""
    assert day.started["status"] == "running"
    verbs = scene.rows("select verb from replay_audit where replay_id = %(id)s order by id", id=day.started["id"])
    assert [row["verb"] for row in verbs][-1] == "finish"
    assert status(scene, day.started["id"]) == "done"


def test_what_a_plan_says_is_what_happens(scene, day):
    happened = {each["achievement"]: (each["users"], each["points"]) for each in day.diff["gained"]}

    assert happened == {each["achievement"]: (each["users"], each["points"]) for each in day.plan["gains"]}
    assert day.diff["users"] == day.plan["users"]
    assert (day.diff["lost"], day.diff["shifted"], day.diff["unchanged"]) == ([], [], 4)
    assert (day.diff["points_before"], day.diff["points_after"]) == (40, 40 + day.plan["points"])
    assert day.diff["sample"].keys() == {"P/five", "P/four"}


def test_what_replays_gave_is_what_the_log_comes_to(day, laurel):
    told = laurel("verify", "--sample", "5000", "--catalog", CATALOG, "--json").json

    assert (told["equal"], told["due"], told["left_out"]) == (True, [], [])
