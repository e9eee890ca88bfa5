"""One stack for all fault tests, and which of them run: a seeded selection, unless all are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from cli.faults.ground import Ground
from tests.faults.scenes import Scenes
from tests.servers import Servers

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    with Ground() as ground:
        yield ground


@pytest.fixture
def servers(ground: Ground) -> Servers:
    """The same stack for all of them, straight and without proxies."""
    return Servers(ground.kafka, ground.postgres, ground.stack)


@pytest.fixture(scope="session")
def scenes(ground: Ground) -> Iterator[Scenes]:
    scenes = Scenes(ground)
    try:
        yield scenes
    finally:
        scenes.close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the faults that are drawn from, so many as --faults says. A test that is named outright runs anyway."""
    wanted = config.getoption("--faults")
    drawn_from = [item for item in items if item.get_closest_marker("drawn") is not None]
    if wanted == "all" or len(items) == len(drawn_from) == 1:
        return
    kept = Random(config.getoption("--faults-seed")).sample(drawn_from, min(int(wanted), len(drawn_from)))
    left = [item for item in drawn_from if item not in kept]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]
