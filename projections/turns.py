"""Long work in small pieces, with rests between them: what else this machine has to do is not kept waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, TypeVar

EachT = TypeVar("EachT")


class Gait(NamedTuple):
    """How work is gone through. Units: share, of the time; stride, how many times as much as usual is one turn."""

    share: float
    stride: int


UNHURRIED = Gait(0.2, 1)
HURRIED = Gait(1.0, 10)


async def in_turns(items: Sequence[EachT], size: int, gait: Gait) -> AsyncIterator[Sequence[EachT]]:
    """So many at a time, and after each turn a rest by what it took."""
    now, step = asyncio.get_running_loop().time, size * gait.stride
    for start in range(0, len(items), step):
        began = now()
        yield items[start : start + step]
        await asyncio.sleep((now() - began) * (1 / gait.share - 1))
