"""A deployment of a test's own with the commands as somebody types them there; and read models of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from projections.settings import ProjectorSettings
from tests.commands import Laurel, commands_in
from tests.integration import projections
from tests.integration.replays import Deployment, deployed
from tests.servers import Servers


@pytest.fixture
def deployment(servers: Servers, namespace: str, tmp_path: Path) -> Iterator[Deployment]:
    with deployed(servers, namespace, tmp_path) as found:
        yield found


@pytest.fixture
def run(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Laurel:
    return commands_in(deployment.environment, monkeypatch, capsys)


@pytest.fixture
async def settings(servers: Servers, namespace: str) -> ProjectorSettings:
    """Of a projector that has topics and tables, and does not run."""
    found = projections.settings_of(servers, namespace)
    await projections.prepare(found)
    return found


@pytest.fixture
async def database(settings: ProjectorSettings) -> AsyncIterator[AsyncConnection]:
    async with projections.reading(settings) as connection:
        yield connection
