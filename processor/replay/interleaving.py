"""The topics of a partition as one log, in the order of their append times."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from processor.replay.ports import Part
from schemas.records import Record


class Chunk(NamedTuple):
    """Records of one topic in a row, perhaps none. Shapes: end, how far its log was read."""

    topic: str
    records: Sequence[Record]
    end: int


class _Head:
    """What was read of a topic and not given yet."""

    def __init__(self, topic: str, parts: AsyncIterator[Part]) -> None:
        self.topic, self._parts = topic, parts
        self._records: Sequence[Record] = ()
        self._place, self._end = 0, 0

    @property
    def is_filled(self) -> bool:
        return self._place < len(self._records)

    @property
    def key(self) -> tuple[int, str]:
        return self._records[self._place].timestamp, self.topic

    async def read(self) -> bool:
        """Read on; False at the end."""
        part = await anext(self._parts, None)
        if part is not None:
            self._records, self._place, self._end = part.records, 0, part.end
        return part is not None

    def take(self, bound: tuple[int, str] | None) -> Chunk:
        """The next record, and all behind it that come before the bound."""
        first = self._place
        self._place = len(self._records) if bound is None else self._behind(bound)
        return Chunk(self.topic, self._records[first : self._place], self._end)

    def _behind(self, bound: tuple[int, str]) -> int:
        for place in range(self._place + 1, len(self._records)):
            if (self._records[place].timestamp, self.topic) > bound:
                return place
        return len(self._records)


async def interleaved(topics: Mapping[str, AsyncIterator[Part]]) -> AsyncGenerator[Chunk, None]:
    """Everything that the topics hold; within a topic in its order, and of equal times by the topic's name.

    A chunk without records says that a topic was read on and nothing was found: that may go on for long.
    """
    heads = [_Head(topic, parts) for topic, parts in sorted(topics.items())]
    while heads:
        for head in heads:
            while not head.is_filled and await head.read():
                if not head.is_filled:
                    yield head.take(None)
        heads = sorted((head for head in heads if head.is_filled), key=lambda head: head.key)
        if heads:
            yield heads[0].take(heads[1].key if len(heads) > 1 else None)
