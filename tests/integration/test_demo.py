"""`laurel demo`: equal to the reference, or an exit code that says so; and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from itertools import islice
from pathlib import Path

import psycopg
import pytest

from broker.connections import producer
from broker.topics import create_topics
from cli.simulation.year import simulate
from schemas.topics import SOURCE_CONFIG, Names, TopicSpec
from tests.integration.demos import (
    Laurel,
    catalog_on_own_topic,
    environment,
    laurel,
    runs,
    some_events,
    wait_until,
    write_lines,
)
from tests.integration.processors import LEAD, Stage, kept_busy, moved_on

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc"),
]

BAD = {
    2: (b'{"specversion":"1.0","id":"1"', "malformed_json"),
    5: (b'{"specversion":"1.0","id":"1","source":"t","type":"login","subject":"u","time":"then"}', "bad_time"),
}


@pytest.fixture
def catalog(namespace: str, tmp_path: Path) -> Path:
    return catalog_on_own_topic(namespace, tmp_path)


def test_good_lines_equal_the_reference_and_bad_ones_are_named(servers, namespace, catalog, tmp_path):
    lines = some_events()
    for number, (line, _) in BAD.items():
        lines.insert(number - 1, line)
    events, awards = write_lines(tmp_path / "events.jsonl", lines), tmp_path / "awards.jsonl"
    arguments = ["--catalog", f"{catalog}", "--events", f"{events}", "--awards-out", f"{awards}"]

    with laurel(["demo", "--json", *arguments], environment(servers, namespace), tmp_path) as demo:
        assert demo.end() == 3

    answer = demo.answer()
    assert (answer["equal"], answer["bad_lines"], answer["events"]) == (True, 2, len(lines) - 2)
    for number, (_, cause) in BAD.items():
        assert f"{events}:{number}: {cause}: " in demo.said
    exported = [json.loads(line) for line in awards.read_text().splitlines()]
    assert len(exported) == answer["awards"] > 50
    assert all(set(award) == {"user", "achievement", "scope", "earned_at"} for award in exported)
    assert exported == sorted(exported, key=lambda award: (award["user"], award["achievement"], award["scope"]))


async def test_killing_processors_and_projector_changes_nothing(servers, namespace, catalog, tmp_path):
    """One row and one notification an award, though all who write them were killed in the middle, twice.

    Activity comes through a pipe until then, so that there is a middle however quick the machine is.
    """
    stage = Stage(servers.kafka, Names(namespace), f"{namespace}.activity")
    lines = (json.dumps(event).encode() for event in simulate(users=1_000, days=365, seed=7))
    arguments = ["--workers", "2", "--catalog", f"{catalog}", "--events", "-"]

    with laurel(["demo", "--json", *arguments], environment(servers, namespace), tmp_path, fed=True) as demo:
        demo.wait_until(lambda: "publishing" in demo.said, "it published")

        async def publish_more() -> None:
            demo.feed(islice(lines, LEAD))

        async with kept_busy(stage, publish_more):
            for _ in range(2):
                await at_work(demo, stage, servers.postgres)
                for pid in writers(demo):
                    os.kill(pid, signal.SIGKILL)
        demo.starve()
        assert demo.end() == 0

    answer = demo.answer()
    assert answer["equal"]
    assert answer["restarts"] >= 5  # all three, and after the second time the projector and a worker at least
    for table in ("user_achievement", "notification", "notification_delivery"):
        assert rows(servers.postgres, namespace, table) == answer["awards"]


async def at_work(demo: Laurel, stage: Stage, postgres: str) -> None:
    """Wait until two workers and a projector live, and have written since: in every partition, and an award."""
    before = rows(postgres, stage.names.namespace)
    await moved_on(stage)

    def all_wrote() -> bool:
        return len(writers(demo)) == 3 and rows(postgres, stage.names.namespace) > before

    await asyncio.to_thread(demo.wait_until, all_wrote, "all three were at work")


def writers(demo: Laurel) -> list[int]:
    return [*demo.children("cli.main worker"), *demo.children("cli.main projector")]


def rows(postgres: str, namespace: str, table: str = "user_achievement") -> int:
    with psycopg.connect(postgres) as connection:
        return connection.execute(f"select count(*) from {namespace}.{table}").fetchone()[0]


def test_the_history_of_a_repository_is_input(servers, namespace, tmp_path):
    catalog = catalog_on_own_topic(namespace, tmp_path, "git")
    arguments = ["--catalog", f"{catalog}", "--git", f"{repository(tmp_path)}"]

    with laurel(["demo", "--json", *arguments], environment(servers, namespace), tmp_path) as demo:
        assert demo.end() == 0

    assert demo.answer()["equal"]
    assert demo.answer()["events"] == 3
    assert demo.answer()["awards"] >= 1


@pytest.mark.parametrize(("name", "awards"), [("learning", 1000), ("badges", 337)])
def test_a_bundled_catalog_is_shown_with_a_year_of_its_own_users(servers, namespace, tmp_path, name, awards):
    """Scopes in one, tiers, sets and XP in the other; TrackFlow's year is that of the plain demo."""
    catalog = catalog_on_own_topic(namespace, tmp_path, name)

    with laurel(["demo", "--json", "--catalog", f"{catalog}"], environment(servers, namespace), tmp_path) as demo:
        assert demo.end() == 0

    answer = demo.answer()
    assert (answer["equal"], answer["differences"], answer["awards"]) == (True, [], awards)


async def test_events_that_others_published_are_not_taken_for_the_demos_own(servers, namespace, catalog, tmp_path):
    topic = f"{namespace}.activity"
    await create_topics(servers.kafka, [TopicSpec(topic, 4, SOURCE_CONFIG)])
    async with producer(servers.kafka) as client:
        await client.send_and_wait(topic, b"an event of somebody else's", key=b"somebody")

    arguments = ["--catalog", f"{catalog}", "--events", f"{write_lines(tmp_path / 'events.jsonl', [])}"]
    with laurel(["demo", *arguments], environment(servers, namespace), tmp_path) as demo:
        assert demo.end() == 4

    assert f"topic {topic} at {servers.kafka} has events already" in demo.said


def test_an_interrupted_demo_leaves_nothing_running(tmp_path):
    """With servers of its own: Kafka and Postgres end too."""
    with laurel(["demo", "--json"], {"LAUREL_PARTITIONS": "2"}, tmp_path) as demo:
        demo.wait_until(lambda: demo.children("cli.main worker"), "the worker ran")
        children = demo.children()
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 130

    assert len(children) >= 3
    wait_until(lambda: not any(runs(pid) for pid in children), "all of them ended")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--events", "no-such-file"], 4, "there is no file 'no-such-file'"),
        (["--catalog", "no-such-catalog"], 4, "catalog 'no-such-catalog' is no file"),
        (["--git", "/"], 1, "git cannot read the history of '/'"),
        (["--events", "-", "--git", "."], 2, "not both"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(arguments, code, said, tmp_path):
    with laurel(["demo", *arguments], {}, tmp_path) as demo:
        assert demo.end() == code

    assert said in demo.said
    assert "starting Kafka" not in demo.said


def repository(folder: Path) -> Path:
    path = folder / "repository"
    who = {"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": f"{folder}"}
    who |= {
        f"GIT_{role}_{what}": "somebody@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    subprocess.run(["git", "init", "-q", path], check=True, env=os.environ | who)
    for message in ("one", "two", "three"):
        commit = ["git", "-C", path, "commit", "-q", "--allow-empty", "-m", message]
        subprocess.run(commit, check=True, env=os.environ | who)
    return path
