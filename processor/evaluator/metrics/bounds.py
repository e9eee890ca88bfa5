"""What the bounds of a user's state keep out, counted for whoever runs this process. No fold depends on it."""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

Bound = Literal[
    "distinct values", "period values", "periods", "streak runs", "freezes", "edge days", "scopes", "totals"
]
BOUNDS: tuple[Bound, ...] = get_args(Bound)

KEPT_OUT: Counter[Bound] = Counter()


def keep_out(bound: Bound) -> None:
    KEPT_OUT[bound] += 1
