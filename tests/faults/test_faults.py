"""Each fault of the catalogue under load, and all invariants afterwards.

A seeded selection of these runs by default; `./laurel test --faults=all tests/faults` runs all.
"""

from __future__ import annotations

import pytest

from cli.faults.catalogue import FAULTS
from tests.faults.scenes import Scenes, survives

pytestmark = [pytest.mark.server, pytest.mark.faults, pytest.mark.drawn]


@pytest.mark.parametrize("fault", [fault.name for fault in FAULTS])
def test_nothing_is_lost_or_doubled_when(fault: str, scenes: Scenes) -> None:
    survives(scenes, fault)
