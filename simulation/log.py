"""The processor's log, played by the broker in memory: the client's side, with its waits, retries and losses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka.errors import KafkaConnectionError

from processor.kafka.batches import Place, Row
from processor.kafka.fetch import Chunk
from processor.kafka.log import Extent
from simulation.broker import Broker, Sent
from simulation.process import Line, Lost

RETRY_S = 0.02
POLL_S = 0.2
CHUNK_RECORDS = 40  # of a restore: small, so that it takes several

T = TypeVar("T")


class MemoryWriter:
    def __init__(self, broker: Broker, line: Line, transactional_id: str, epoch: int) -> None:
        self._broker, self._line = broker, line
        self._who = (transactional_id, epoch)
        self._is_open = True

    async def begin(self) -> None:
        """Known here only, until something is appended."""
        if not self._is_open:
            raise KafkaConnectionError("the writer is closed")

    async def append(
        self, rows: Mapping[Place, Iterable[Row]], acknowledged: Callable[[Place], None]
    ) -> dict[Place, int]:
        records = {place: [sent(row) for row in wanted] for place, wanted in rows.items()}
        await self._add([place for place, some in records.items() if some])
        ends = await asyncio.gather(*(self._append(place, some, acknowledged) for place, some in records.items()))
        return {place: end for place, end in zip(records, ends, strict=True) if end is not None}

    async def _add(self, places: Sequence[Place]) -> None:
        while True:
            if await self._ask("append", lambda: self._broker.add(*self._who, places)):
                return
            await asyncio.sleep(RETRY_S)

    async def _append(
        self, place: Place, records: Sequence[Sent], acknowledged: Callable[[Place], None]
    ) -> int | None:
        end = None
        if records:
            end = await self._ask("append", lambda: self._broker.append(*self._who, place, records))
        acknowledged(place)
        return end

    async def move(self, group: str, positions: Mapping[Place, int]) -> None:
        await self._ask("move", lambda: self._broker.move(*self._who, group, positions))

    async def commit(self) -> None:
        await self._ask("commit", lambda: self._broker.end(*self._who, commit=True, by=self._line.process.name))

    async def close(self) -> None:
        self._is_open = False

    async def _ask(self, what: str, serve: Callable[[], T]) -> T:
        try:
            return await self._line.ask(serve, what)
        except Lost as lost:
            raise KafkaConnectionError(str(lost)) from lost


class MemoryReader:
    def __init__(self, broker: Broker, line: Line) -> None:
        self._broker, self._line = broker, line

    async def bounds(self, places: Iterable[Place]) -> dict[Place, Extent]:
        wanted = [*places]
        return await self._line.ask(lambda: {place: self._broker.extent(place) for place in wanted})

    async def read(self, place: Place, position: int) -> Chunk | None:
        chunk = await self._line.ask(lambda: self._broker.partition(place).read(position, CHUNK_RECORDS))
        if chunk.end > position:
            return chunk
        await asyncio.sleep(POLL_S)
        return None


class MemoryLog:
    def __init__(self, broker: Broker, line: Line) -> None:
        self._broker, self._line = broker, line

    async def writer(self, transactional_id: str) -> MemoryWriter:
        while True:
            epoch = await self._fence(transactional_id)
            if epoch is not None:
                return MemoryWriter(self._broker, self._line, transactional_id, epoch)
            await asyncio.sleep(RETRY_S)

    async def _fence(self, transactional_id: str) -> int | None:
        try:
            return await self._line.ask(lambda: self._broker.fence(transactional_id), "fence")
        except Lost as lost:
            raise KafkaConnectionError(str(lost)) from lost

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[MemoryReader]:
        yield MemoryReader(self._broker, self._line)


def sent(row: Row) -> Sent:
    if len(row) == 2:
        return Sent(row[0], row[1])
    return Sent(*row)
