"""`laurel dev` as a newcomer runs it: started, killed outright, started again, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.stack.identity import still_runs

pytestmark = pytest.mark.server

DEADLINE_SECONDS = 120.0


class Dev:
    def __init__(self, data: Path) -> None:
        self.data = data
        argv = [sys.executable, "-m", "cli.main", "dev", "--json", "--data-dir", str(data)]
        self.errors = (data.parent / "stderr").open("a+")
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.errors, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (data.parent / "stderr").read_text()
        self.told: dict[str, str] = json.loads(line)

    def children(self) -> dict[str, tuple[int, str]]:
        written: list[dict[str, Any]] = json.loads((self.data / "run.json").read_text())["children"]
        return {child["name"]: (child["pid"], child["started"]) for child in written}

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)


@pytest.fixture
def start(open_folder: Path) -> Iterator[Callable[[], Dev]]:
    started: list[Dev] = []

    def start() -> Dev:
        started.append(Dev(open_folder / "data"))
        return started[-1]

    yield start
    for dev in started:
        dev.process.kill()
        dev.process.wait()
        dev.errors.close()


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_SECONDS:g} s"
        time.sleep(0.05)


def test_dev_survives_its_processors_death_and_leaves_nothing_when_it_is_killed(start: Callable[[], Dev]) -> None:
    dev = start()
    assert {"kafka", "postgres", "namespace", "processor_metrics", "projector_metrics"} <= dev.told.keys()
    assert "laurel_users" in urllib.request.urlopen(dev.told["processor_metrics"]).read().decode()
    with psycopg.connect(dev.told["postgres"]) as connection:
        connection.autocommit = True
        until(
            lambda: connection.execute("select count(*) from laurel.achievement").fetchone() == (80,),
            "the catalog's 80 achievements",
        )

    assert "replayer" in dev.children()
    processor = dev.children()["processor"]
    os.kill(processor[0], signal.SIGKILL)
    until(lambda: dev.children().get("processor", processor) != processor, "the processor's restart")

    children = dev.children().values()
    assert len(children) == 5
    dev.end(signal.SIGKILL)
    until(lambda: not any(still_runs(*child) for child in children), "the end of all processes")

    again = start()
    assert again.end(signal.SIGINT) == 130
    assert not (again.data / "run.json").exists()
