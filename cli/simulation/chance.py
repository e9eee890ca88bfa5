"""Chance from a seed. `Random.random` alone is promised to stay the same on every machine and Python."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


class Chance:
    def __init__(self, seed: str) -> None:
        self._draw = Random(seed).random

    def happens(self, probability: float) -> bool:
        return self._draw() < probability

    def between(self, least: int, most: int) -> int:
        """Any whole number from least to most, both included."""
        return least + int(self._draw() * (most - least + 1))

    def near(self, least: int, most: int) -> int:
        """As `between`, but the small ones come more often."""
        draw = self._draw()
        return least + int(draw * draw * (most - least + 1))

    def one_of(self, items: Sequence[Item]) -> Item:
        return items[int(self._draw() * len(items))]

    def weighed(self, items: Sequence[tuple[int, Item]]) -> Item:
        """One of the items, each as often as its weight says."""
        left = self._draw() * sum(weight for weight, _ in items)
        for weight, item in items:
            left -= weight
            if left < 0:
                return item
        return items[-1][1]
