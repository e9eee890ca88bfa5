"""A deployment of a test's own, and the commands as somebody types them there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Laurel, commands_in
from tests.integration.replays import Deployment, deployed
from tests.servers import Servers


@pytest.fixture
def deployment(servers: Servers, namespace: str, tmp_path: Path) -> Iterator[Deployment]:
    with deployed(servers, namespace, tmp_path) as found:
        yield found


@pytest.fixture
def run(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Laurel:
    return commands_in(deployment.environment, monkeypatch, capsys)
