"""Versions of catalogs that a process meets while it runs: found in the catalogs topic, or a reason to leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from processor.evaluator.orders import order_of
from processor.evaluator.programs import Programs, Versions, versions_of
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogRecord
from schemas.records import Record
from schemas.replays import Prepare, Promote, Publish

VISIBLE_WITHIN_S = 10.0  # what an order names was committed with it, or before it
LOOK_AGAIN_S = 0.1

ReadRecords = Callable[[], Awaitable[Sequence[CatalogRecord]]]


class Meetings:
    """Shared by the partitions of a process."""

    def __init__(self, programs: Programs, read_records: ReadRecords) -> None:
        self._programs, self._read_records = programs, read_records

    async def recall(self, number: int, ran: Versions) -> None:
        """Know what a partition has run. Raises: Precondition when nobody does any more."""
        if self._programs.unknown(ran):
            self._programs.learn(await self._read_records())
        if unknown := self._programs.unknown(ran):
            raise Precondition(
                f"partition {number} has run {', '.join(unknown)}, which the catalogs topic does not have: it was "
                "recreated, and with it the numbering of the states is lost. Restore the topic, or start over in a "
                "new namespace"
            )
        self._refuse_what_needs_a_restart(ran)

    async def hear(self, running: Versions, records: Iterable[Record]) -> None:
        """Know what these orders name, as far as it is published.

        Raises: LaurelError when this process cannot run it as it was started.
        """
        for order in _orders(records):
            wanted = {name: max(at, running.get(name, 0)) for name, at in order.catalogs.items()}
            await self._look_for({**running, **wanted})
            if not self._programs.unknown({**running, **wanted}):
                self._refuse_what_needs_a_restart({**running, **wanted})

    async def _look_for(self, wanted: Versions) -> None:
        clock = asyncio.get_running_loop().time
        deadline = clock() + VISIBLE_WITHIN_S
        while self._programs.unknown(wanted):
            self._programs.learn(await self._read_records())
            if clock() > deadline:
                return  # the order will be a dead letter
            await asyncio.sleep(LOOK_AGAIN_S)

    def _refuse_what_needs_a_restart(self, wanted: Versions) -> None:
        """Only a version that came after the start of this process: what it was started with, it reads."""
        started = self._programs.newest
        known = versions_of(started)
        if all(at <= known.get(name, 0) for name, at in wanted.items()):
            return
        program = self._programs.program(wanted)
        fresh = [topic for topic in program.sources if topic not in started.sources]
        if fresh or program.repartitioned != started.repartitioned:
            named = ", ".join(fresh or sorted(program.repartitioned ^ started.repartitioned))
            raise LaurelError(f"a new version of a catalog reads {named} as this process does not: a restart will")


def _orders(records: Iterable[Record]) -> Iterator[Publish | Prepare | Promote]:
    return (order for order in map(order_of, records) if isinstance(order, Publish | Prepare | Promote))
