"""When young objects are looked through."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from broker import garbage


class Knot:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def only_when_asked() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize(("young", "is_freed"), [(0, False), (garbage.FEW, True)])
def test_young_objects_are_looked_through_early_where_they_are_more_than_a_few(
    only_when_asked: None, young: int, is_freed: bool
) -> None:
    knot = weakref.ref(Knot())
    kept: list[list[int]] = [[] for _ in range(young)]

    garbage.collect_early()

    assert len(kept) == young
    assert (knot() is None) == is_freed
