"""`laurel publish`: good lines reach the topics of their types, bad ones are named, and `--wait` means visible."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from broker.reading import read_to_end
from broker.topics import places_of
from cli import kafka
from cli.catalog_files import catalog_file
from cli.settings import Settings
from cli.stack.pipeline import prepare
from tests.integration.demos import REPOSITORY, environment, laurel, wait_until, write_lines
from tests.transactions import decided

pytestmark = pytest.mark.server

TWO_TOPICS = """
catalog: two
version: 1
events:
  read: {{topic: {0}.books, data: {{book: string}}}}
  heard: {{topic: {0}.songs, data: {{song: string}}}}
  rested: {{topic: {0}.songs}}
metrics: {{books: {{count: read}}, songs: {{count: heard}}}}
achievements: [{{key: reader, name: Reader, when: books >= 1}}]
"""
ALSO_READ = """
catalog: more
version: 1
events: {{read: {{topic: {0}.papers, data: {{book: string}}}}}}
metrics: {{papers: {{count: read}}}}
achievements: [{{key: scholar, name: Scholar, when: papers >= 1}}]
"""


def event(kind: str, user: str = "ann", number: int = 1, **data: str) -> bytes:
    envelope = {"specversion": "1.0", "source": "tests", "time": "2026-01-02T03:04:05Z"}
    return json.dumps(envelope | {"id": f"{kind}-{number}", "type": kind, "subject": user, "data": data}).encode()


@pytest.fixture
def settings(servers, namespace) -> Settings:
    return Settings(kafka=servers.kafka, postgres=SecretStr(servers.postgres), namespace=namespace, partitions=4)


@pytest.fixture
def two_topics(settings, tmp_path) -> None:
    make(settings, tmp_path, TWO_TOPICS)


def make(settings: Settings, folder: Path, *catalogs: str) -> None:
    files = []
    for number, text in enumerate(catalogs):
        files.append(folder / f"catalog-{number}.yaml")
        files[-1].write_text(text.format(settings.namespace))
    prepare(settings, [catalog_file(f"{file}") for file in files])


def published(settings: Settings, topic: str) -> list[bytes]:
    """The committed values of a topic, in order for every key."""

    async def read() -> list[bytes]:
        topics = [f"{settings.namespace}.{topic}"]
        await decided(settings.kafka, topics)
        places = await places_of(settings.kafka, topics)
        return [
            record.value or b"" async for batch in read_to_end(settings.kafka, places) for record in batch.records
        ]

    return kafka.run(read())


def test_each_type_goes_to_its_topic_and_what_is_bad_is_named(servers, namespace, settings, two_topics, tmp_path):
    lines = [
        event("read", book="a"),
        b"no json",
        event("heard", song="b"),
        b"",
        event("heard", song=1),
        event("fell"),
    ]
    file = write_lines(tmp_path / "events.jsonl", lines)

    with laurel(["publish", f"{file}", "--json"], environment(servers, namespace), tmp_path) as publish:
        assert publish.end() == 3

    assert published(settings, "books") == [lines[0]]
    assert published(settings, "songs") == [lines[2]]
    answer = publish.answer()
    assert (answer["events"], answer["bad_lines"], answer["unplaced"]) == (2, 2, 1)
    assert f"{file}:2: malformed_json: " in publish.said
    assert f"{file}:5: bad_data: " in publish.said


def test_a_type_on_two_topics_needs_to_be_told_which(servers, namespace, settings, tmp_path):
    make(settings, tmp_path, TWO_TOPICS, ALSO_READ)
    file = write_lines(tmp_path / "events.jsonl", [event("read", book="a")])

    with laurel(["publish", f"{file}"], environment(servers, namespace), tmp_path) as publish:
        assert publish.end() == 3
    assert "ambiguous_topic" in publish.said
    told = ["publish", f"{file}", "--topic", f"{namespace}.papers"]
    with laurel(told, environment(servers, namespace), tmp_path) as publish:
        assert publish.end() == 0

    assert published(settings, "books") == []
    assert published(settings, "papers") == [event("read", book="a")]


def test_aborted_transactions_leave_no_trace_for_readers(servers, namespace, settings, two_topics, tmp_path):
    lines = [event("heard", f"user-{number % 9}", number, song="b") for number in range(3500)]
    file = write_lines(tmp_path / "events.jsonl", lines)

    with laurel(["publish", f"{file}", "--abort-every", "2"], environment(servers, namespace), tmp_path) as publish:
        assert publish.end() == 0

    assert sorted(published(settings, "songs")) == sorted(lines)


def test_a_pipe_is_published_as_it_comes(servers, namespace, settings, two_topics, tmp_path):
    """A line is in Kafka while the pipe is still open: `tail -f` may be at its other end."""
    publish = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "publish", "-", "--json"],
        cwd=REPOSITORY,
        env={**environment(servers, namespace), "PATH": "/usr/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with publish:
        assert publish.stdin is not None
        publish.stdin.write(event("read", book="a") + b"\n")
        publish.stdin.flush()
        wait_until(lambda: published(settings, "books"), "the line is in Kafka")
        answer, _ = publish.communicate(event("read", number=2, book="b"))

    assert json.loads(answer)["events"] == 2
    assert len(published(settings, "books")) == 2


def test_without_a_catalog_it_is_said_what_to_do(servers, namespace, tmp_path):
    file = write_lines(tmp_path / "events.jsonl", [event("read", book="a")])

    with laurel(["publish", f"{file}"], environment(servers, namespace), tmp_path) as publish:
        assert publish.end() == 4

    assert "laurel topics create" in publish.said
