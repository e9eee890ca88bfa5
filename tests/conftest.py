from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.servers import Servers, running_servers

# The same look at every run, so that what fails fails again, and at once; and a search on demand, which makes
# small what it finds: `./laurel test --fast --hypothesis-profile=long`. Neither sets a time for an
# example: a busy machine is no bug.
LOOK = (Phase.explicit, Phase.generate)
for profile, examples, is_search in (("short", 40, False), ("long", 1000, True)):
    settings.register_profile(
        profile,
        max_examples=examples,
        derandomize=not is_search,
        phases=tuple(Phase) if is_search else LOOK,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("short")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", default="50", help="So many seconds' worth of the faults of tests/faults, or all.")
    parser.addoption("--faults-seed", type=int, default=1, help="Which ones.")
    parser.addoption("--share", default="1/1", help="K/N: every N-th file from the K-th on, for N side by side.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the files that have tests left, those of our share."""
    ours, shares = map(int, config.getoption("--share").split("/"))
    kept = set(sorted({item.path for item in items})[ours - 1 :: shares])
    config.hook.pytest_deselected(items=[item for item in items if item.path not in kept])
    items[:] = [item for item in items if item.path in kept]


@pytest.fixture(scope="session")
def _shared_servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Servers:
    """The run's Kafka and Postgres. Stay in your `namespace`: other tests use them too."""
    if request.node.get_closest_marker("server") is None:
        pytest.fail("a test that uses `servers` carries @pytest.mark.server, or `--fast` would start a Kafka")
    shared: Servers = request.getfixturevalue("_shared_servers")
    return shared


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test has."""
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the database's user may pass through, as pytest's own is not when the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="laurel-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(autouse=True)
def _unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings of whoever runs it."""
    for name in ("LAUREL_KAFKA", "LAUREL_POSTGRES", "LAUREL_NAMESPACE", "LAUREL_PARTITIONS", "LAUREL_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
