"""Long work in small pieces, with rests between them: what else this machine has to do is not kept waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TypeVar

EachT = TypeVar("EachT")


class Turns:
    """Work that may take this share of the time; all of it while `hurried`."""

    def __init__(self, share: float) -> None:
        self._rest = 1 / share - 1
        self.hurried = False

    async def of(self, items: Sequence[EachT], size: int) -> AsyncIterator[Sequence[EachT]]:
        """So many at a time, and after each piece a rest by what it took."""
        now = asyncio.get_running_loop().time
        for start in range(0, len(items), size):
            began = now()
            yield items[start : start + size]
            await asyncio.sleep(0 if self.hurried else (now() - began) * self._rest)
