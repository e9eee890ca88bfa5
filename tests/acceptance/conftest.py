from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from cli import main
from tests.acceptance.scene import Scene, play


@pytest.fixture(scope="session")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One run for all tests of the table that were asked for."""
    modules = {item.module: None for item in request.session.items if hasattr(item.module, "STORIES")}
    servers, folder = request.getfixturevalue("_shared_servers"), tmp_path_factory.mktemp("scene")
    scene = Scene(play(servers, f"t{secrets.token_hex(6)}", folder, modules))
    yield scene
    scene.connection.close()


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def laurel(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs a command in this process, on the read models of the run."""
    monkeypatch.setenv("LAUREL_POSTGRES", scene.settings.postgres.get_secret_value())
    monkeypatch.setenv("LAUREL_KAFKA", scene.settings.kafka)
    monkeypatch.setenv("LAUREL_NAMESPACE", scene.settings.namespace)
    monkeypatch.setenv("LAUREL_PARTITIONS", f"{scene.settings.partitions}")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["laurel", *arguments])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    return run
