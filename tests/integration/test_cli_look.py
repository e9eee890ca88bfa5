"""What was published can be looked at: at the moment `publish --wait` returns it is all there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from bench import reference
from broker.connections import producer
from cli import kafka
from cli.catalog_files import catalog_file
from cli.comparison import compare
from cli.postgres import read_models
from cli.settings import Settings
from cli.stack.pipeline import prepare
from tests.integration.demos import catalog_on_own_topic, environment, laurel, some_events, write_lines

pytestmark = pytest.mark.server

NAMESPACE = "looking"
BAD = b'{"specversion":"1.0","id":"x","source":"t","type":"login","subject":"eve","time":"1969-01-01T00:00:00Z"}'
BEHIND_IT = BAD.replace(b"login", b"of_no_catalog").replace(b"1969", b"2026")  # in the same partition


class Scene(NamedTuple):
    """A pipeline that has taken all of the lines."""

    settings: Settings
    env: dict[str, str]
    lines: list[bytes]
    expected: reference.Result


@pytest.fixture(scope="module")
def scene(request, tmp_path_factory) -> Iterator[Scene]:
    """Half of the events published plainly, half in transactions of which every second was aborted first."""
    servers = request.getfixturevalue("_shared_servers")
    folder = tmp_path_factory.mktemp("scene")
    settings = Settings(
        kafka=servers.kafka, postgres=SecretStr(servers.postgres), namespace=NAMESPACE, partitions=4
    )
    file = catalog_file(f"{catalog_on_own_topic(NAMESPACE, folder)}")
    prepare(settings, [file])
    env, lines = environment(servers, NAMESPACE), some_events(users=40, days=150)
    with ExitStack() as processes:
        for command in ("worker", "projector"):
            processes.enter_context(laurel([command], env, tmp_path_factory.mktemp(command)))
        publish_and_wait(env, lines[: len(lines) // 2], folder)
        publish_and_wait(env, lines[len(lines) // 2 :], folder, "--abort-every", "2")
        yield Scene(settings, env, lines, reference.fold(map(json.loads, lines), [file.text]))


def publish_and_wait(env: dict[str, str], lines: list[bytes], folder: Path, *manner: str) -> None:
    file = write_lines(folder / "events.jsonl", lines)
    with laurel(["publish", f"{file}", "--wait", *manner], env, folder) as publish:
        assert publish.end() == 0, publish.said


def publish_unchecked(settings: Settings, line: bytes) -> None:
    async def publish() -> None:
        async with producer(settings.kafka) as client:
            await client.send_and_wait(f"{NAMESPACE}.activity", line, key=json.loads(line)["subject"].encode())

    kafka.run(publish())


def answers(scene: Scene, folder: Path, *arguments: str) -> list[dict]:
    """The JSON lines that a command prints."""
    with laurel([*arguments], scene.env, folder) as command:
        assert command.end() == 0
    return [json.loads(line) for line in command.out.splitlines()]


def test_two_files_one_of_them_transactional_equal_the_reference_of_both(scene):
    with read_models(scene.settings) as connection:
        assert compare(connection, scene.expected) == []


def test_exported_awards_are_those_of_the_reference_in_order(scene, tmp_path):
    exported = answers(scene, tmp_path, "awards", "export", "--out", "-")

    names = [(award["user"], award["achievement"], award["scope"]) for award in exported]
    assert names == sorted((user, key, scope) for user, _, key, scope in scene.expected.awards)
    assert all(award["earned_at"].endswith("Z") for award in exported)


def test_a_user_is_shown_with_awards_points_metrics_and_streaks(scene, tmp_path):
    user = next(iter(scene.expected.awards))[0]

    (card,) = answers(scene, tmp_path, "user", "show", user, "--json")

    (entry,) = card["catalogs"]
    assert {award["achievement"] for award in entry["awards"]} == {
        key for owner, _, key, _ in scene.expected.awards if owner == user
    }
    assert entry["points"] == scene.expected.points[user]["trackflow"]
    assert entry["metrics"] == scene.expected.metrics[user]["trackflow"]
    assert entry["streaks"]["login_streak"]["longest"] == entry["metrics"]["login_streak"]
    with laurel(["user", "show", user], scene.env, tmp_path) as shown:
        assert shown.end() == 0
    assert f"{entry['points']:,} points" in shown.out


def test_somebody_nobody_has_heard_of_is_said_to_be_unknown(scene, tmp_path):
    with laurel(["user", "show", "nobody"], scene.env, tmp_path) as show:
        assert show.end() == 1

    assert "user 'nobody' is not known" in show.said


def test_a_dead_letter_is_listed_and_shown_as_it_was(scene, tmp_path):
    """Published past the check, as a publisher of one's own would."""
    publish_unchecked(scene.settings, BAD)
    publish_and_wait(scene.env, [BEHIND_IT], tmp_path)

    (listed,) = answers(scene, tmp_path, "dlq", "list", "--class", "bad_time", "--json")
    (shown,) = answers(scene, tmp_path, "dlq", "show", listed["id"], "--json")

    assert listed["topic"] == f"{NAMESPACE}.activity"
    assert "before 1970" in listed["message"]
    assert (shown["key"], shown["value"]) == ("eve", BAD.decode())
    assert answers(scene, tmp_path, "dlq", "list", "--class", "wrong_key", "--json") == []


def test_that_nothing_is_wrong_is_said_too(scene, tmp_path):
    for arguments, said in [
        (["dlq", "list", "--class", "wrong_key"], "no such dead letters\n"),
        (["topics", "check"], "all 9 topics are as they must be\n"),
    ]:
        with laurel(arguments, scene.env, tmp_path) as command:
            assert command.end() == 0
        assert command.out == said


def test_a_healthy_deployment_has_nothing_for_the_doctor(scene, tmp_path):
    """Every part that there is gets a line, and none of them fails."""
    (page,) = answers(scene, tmp_path, "doctor", "--json")

    subjects = {finding["subject"] for finding in page["findings"]}
    assert subjects >= {"broker", "catalogs", "topics", "workers", "lag", "parked", "dead letters"}
    assert subjects >= {"postgres", "queue", "projectors", "user_achievement", "user_progress", "achievement"}
    assert {finding["status"] for finding in page["findings"]} <= {"ok", "warn"}


def test_the_doctor_says_what_is_missing_and_ends_with_5(scene, tmp_path):
    """In a namespace of nobody: no catalog, no read models, no projector."""
    env = {**scene.env, "LAUREL_NAMESPACE": "nobody"}
    with laurel(["doctor"], env, tmp_path) as doctor:
        assert doctor.end() == 5

    assert "laurel topics create" in doctor.out
    assert "laurel db upgrade" in doctor.out
    assert "start `laurel projector`" in doctor.out


def test_the_doctor_without_a_broker_ends_with_4(scene, tmp_path):
    env = {**scene.env, "LAUREL_KAFKA": "127.0.0.1:1"}
    with laurel(["doctor"], env, tmp_path) as doctor:
        assert doctor.end() == 4

    assert "no broker answers at 127.0.0.1:1" in doctor.out


def test_a_claimed_delivery_can_be_held_longer_and_then_acknowledged(scene, tmp_path):
    (claimed,) = answers(scene, tmp_path, "queue", "claim", "-n", "1", "--lease-seconds", "20")
    lease, id = claimed["lease"], claimed["deliveries"][0]["notification_id"]

    (held,) = answers(scene, tmp_path, "queue", "extend", lease, id, "--lease-seconds", "900")
    (done,) = answers(scene, tmp_path, "queue", "ack", lease, id)

    assert (held["extended"], done["done"]) == ([id], [id])


def test_an_id_without_a_dead_letter_is_refused(scene, tmp_path):
    for id, said in [("0-999", "there is no dead letter 0-999"), ("one", "'one' is no id of a dead letter")]:
        with laurel(["dlq", "show", id], scene.env, tmp_path) as show:
            assert show.end() == 1
        assert said in show.said


def test_topics_pass_their_own_check_and_creating_them_again_changes_nothing(scene, tmp_path):
    (checked,) = answers(scene, tmp_path, "topics", "check", "--json")
    (created,) = answers(scene, tmp_path, "topics", "create", "--json")

    assert checked["faults"] == []
    assert {topic["created"] for topic in created["topics"]} == {False}


def test_a_missing_topic_fails_the_check_with_its_own_code(scene, tmp_path):
    with laurel(["topics", "check", "--catalog", "git"], scene.env, tmp_path) as check:
        assert check.end() == 5

    assert "topic git.activity does not exist: create it with `laurel topics create" in check.out
