"""One stack for all fault tests, and which of them run: a seeded selection, unless all are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from cli.faults.catalogue import fault_named
from cli.faults.ground import Ground
from tests.faults.scenes import Scenes
from tests.integration.conftest import deployment as deployment
from tests.integration.conftest import run as run
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
    """Of the faults that are drawn from, those that --faults leaves time for. A test named outright runs anyway."""
    wanted = config.getoption("--faults")
    drawn_from = [item for item in items if item.get_closest_marker("drawn") is not None]
    if wanted == "all" or len(items) == len(drawn_from) == 1:
        return
    kept = draw(drawn_from, int(wanted), Random(config.getoption("--faults-seed")))
    left = [item for item in drawn_from if item not in kept]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def draw(items: list[pytest.Item], seconds: int, chance: Random) -> list[pytest.Item]:
    """As many as fit into these seconds, in any order."""
    kept = []
    for item in chance.sample(items, len(items)):
        takes_s = fault_named(item.callspec.params["fault"]).takes_s
        if takes_s <= seconds:
            kept.append(item)
            seconds -= takes_s
    return kept
