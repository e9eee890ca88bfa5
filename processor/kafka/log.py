"""The log as the processor sees it: one fenced writer per partition, and a reader by position.

A port with two sides: processor/kafka/kafka_log.py is Kafka, simulation/log.py keeps everything in memory. One
suite, tests/simulation/test_log_contract.py, holds both to what is said here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

from processor.kafka.batches import Place, Row
from processor.kafka.fetch import Chunk


class Extent(NamedTuple):
    """A partition from its first offset to the end of what is decided: the last stable offset."""

    begin: int
    end: int


class Writer(Protocol):
    """The transactions of a partition's only writer, one after the other. After an error it is worth nothing."""

    async def begin(self) -> None: ...

    async def append(
        self, rows: Mapping[Place, Iterable[Row]], acknowledged: Callable[[Place], None]
    ) -> dict[Place, int]:
        """Write rows to their places and wait until all are acknowledged, telling of each place that is.

        Returns the position behind the last record of each place that got any.
        """

    async def move(self, group: str, positions: Mapping[Place, int]) -> None:
        """Positions of the group, which become its own with the commit."""

    async def commit(self) -> None: ...

    async def close(self) -> None:
        """Let go. What was begun and not committed is aborted, now or by the next writer."""


class Reader(Protocol):
    """Reads what is committed."""

    async def bounds(self, places: Iterable[Place]) -> dict[Place, Extent]: ...

    async def read(self, place: Place, position: int) -> Chunk | None:
        """The next chunk from this position; None when none came for a while. It may be one without records."""


class Log(Protocol):
    async def writer(self, transactional_id: str) -> Writer:
        """Fence: from its return no earlier writer of this id can commit, and what it had begun is decided."""

    def reader(self) -> AbstractAsyncContextManager[Reader]: ...
