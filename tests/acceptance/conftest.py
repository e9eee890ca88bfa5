from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.acceptance.scene import Scene, play
from tests.commands import Laurel, commands_in


@pytest.fixture(scope="session")
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One run for all tests of the table that were asked for."""
    modules = {item.module: None for item in request.session.items if hasattr(item.module, "STORIES")}
    servers, folder = request.getfixturevalue("_shared_servers"), tmp_path_factory.mktemp("scene")
    scene = Scene(play(servers, f"t{secrets.token_hex(6)}", folder, modules))
    yield scene
    scene.connection.close()


@pytest.fixture
def laurel(scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Laurel:
    """On the read models of the run."""
    environment = {
        "LAUREL_POSTGRES": scene.settings.postgres.get_secret_value(),
        "LAUREL_KAFKA": scene.settings.kafka,
        "LAUREL_NAMESPACE": scene.settings.namespace,
        "LAUREL_PARTITIONS": f"{scene.settings.partitions}",
    }
    return commands_in(environment, monkeypatch, capsys)
