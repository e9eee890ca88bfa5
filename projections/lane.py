"""One projection at work: its own consumer, its own session, its own pace."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from psycopg import OperationalError

from broker.failpoints import reach
from broker.reading import Batch
from projections import checkpoints
from projections.projection import Projection
from projections.session import Session
from projections.subscription import Subscription
from projections.telemetry import BATCH_SECONDS, LAG, NOTIFICATIONS, RECORDS, log

RETRY_BASE_S = 0.1
RETRY_CAP_S = 5.0
REPORT_EVERY_S = 1.0

Connect = Callable[[], Awaitable[Session]]


class Lane:
    """Moves one projection along its topic, a batch in each transaction.

    1. Read a batch and decode it; the next one is read while this one is written.
    2. Begin a transaction.
    3. Compare and set the positions: a partition that another projector has moved ends this process.
    4. Write the rows, and the notifications of awards that appeared.
    5. Commit.
    6. Tell the group how far the rows are, for displays only.

    A crash before 5 shows nothing and is read again from the position in Postgres; after it the rows and the
    position are there. In detail, a crash between
    1 and 2 loses what was only in memory, the batch that was read ahead with it;
    2 and 3 leaves a transaction that has done nothing, rolled back when its session ends: at once, or after
        30 seconds of a frozen process, so that no other waits for ever;
    3 and 4 leaves moved positions that nobody sees, and that are rolled back with the rest. Another projector that
        wants to move them waits until then, and finds them where they were;
    4 and 5 the same with rows and notifications;
    5 and its answer is decided by Postgres alone: the next start, or this process with a new session, reads the
        position, which says which it was;
    5 and 6 leaves rows and position in place, and the lag that is shown too large until the next report.
    """

    def __init__(self, projection: Projection, subscription: Subscription, connect: Connect) -> None:
        self._projection = projection
        self._subscription = subscription
        self._connect = connect
        self._session: Session | None = None
        self._ahead: asyncio.Task[tuple[list[Batch], Any]] | None = None
        self._log = log.bind(projection=projection.name)
        self._failures = 0
        self._written_s = 0.0  # how long the last batch took
        self._positions: dict[int, int] = {}  # as committed in Postgres
        self._unreported: dict[int, int] = {}
        self._shown: set[int] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Until stopping, which lets the batch in hand be committed. Raises: LaurelError."""
        reporting = asyncio.create_task(self._report_always())
        try:
            while not stopping.is_set():
                try:
                    await self._advance()
                except OperationalError as error:
                    await self._wait_for_database(error, stopping)
        finally:
            reporting.cancel()
            await self._drop_ahead()
            await self._report()
            await self._disconnect()

    async def _advance(self) -> None:
        if self._session is None:
            self._session = await self._connect()
        if not self._subscription.settled:
            await self._settle(self._session)
            return
        batches, rows = await (self._ahead or self._read())  # 1
        self._ahead = asyncio.create_task(self._read())  # reads on while Postgres writes
        if batches:
            await self._project(self._session, batches, rows)

    async def _settle(self, session: Session) -> None:
        await self._drop_ahead()
        beginnings = await self._subscription.beginnings()
        if beginnings is None:
            return
        positions = await session.positions(beginnings)
        self._subscription.seek(positions)
        self._positions = positions
        self._log.info("reads", positions=positions)

    async def _read(self) -> tuple[list[Batch], Any]:
        batches = await self._subscription.gather(self._window_s, self._projection.records_max)
        return batches, await self._projection.decode(batches)

    @property
    def _window_s(self) -> float:
        """About as long as the batch before is being written, within the projection's bounds."""
        return max(self._projection.window_s, min(self._written_s, self._projection.window_s_max))

    async def _drop_ahead(self) -> None:
        """Forget what was read in advance: it will be read again, by us or by whoever has the partitions then."""
        if self._ahead is not None:
            self._ahead.cancel()
            await asyncio.gather(self._ahead, return_exceptions=True)
            self._ahead = None

    async def _project(self, session: Session, batches: Sequence[Batch], rows: Any) -> None:
        async with self._subscription.busy:
            if not self._subscription.settled:
                return  # a rebalance came first
            reach("projection.1")
            began = asyncio.get_running_loop().time()
            with BATCH_SECONDS.labels(self._projection.name).time():
                async with session.transaction():  # 2; 5 where it ends
                    reach("projection.2")
                    await checkpoints.move(session, self._projection.name, batches)  # 3
                    reach("projection.3")
                    notifications = await session.write(rows)  # 4
                    reach("projection.4")
            reach("projection.5")
            self._written_s = asyncio.get_running_loop().time() - began
        self._failures = 0
        self._count(batches, notifications)

    def _count(self, batches: Sequence[Batch], notifications: int) -> None:
        moved = {batch.partition: batch.end for batch in batches}
        self._positions.update(moved)
        self._unreported.update(moved)
        RECORDS.labels(self._projection.name).inc(sum(len(batch.records) for batch in batches))
        NOTIFICATIONS.inc(notifications)

    async def _wait_for_database(self, error: OperationalError, stopping: asyncio.Event) -> None:
        """Begin again from the positions in Postgres, with a new session."""
        self._failures += 1
        pause_s = min(RETRY_CAP_S, RETRY_BASE_S * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1)
        told = str(error).partition("\n")[0]  # what follows may quote a row
        self._log.warning("database failed", error=told, failures=self._failures, pause_s=round(pause_s, 2))
        self._subscription.unsettle()
        await self._disconnect()
        try:
            await asyncio.wait_for(stopping.wait(), pause_s)
        except TimeoutError:
            return

    async def _disconnect(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _report_always(self) -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            await self._report()

    async def _report(self) -> None:
        """Show the lags, and tell the group how far the rows are."""
        ends = self._subscription.stable_ends()
        for partition in self._shown - ends.keys():
            LAG.remove(self._projection.name, str(partition))
        for partition in ends.keys() & self._positions.keys():
            lag = max(0, ends[partition] - self._positions[partition])
            LAG.labels(self._projection.name, str(partition)).set(lag)
        self._shown = set(ends)
        if self._unreported:
            reported, self._unreported = self._unreported, {}
            await self._subscription.commit(reported)  # 6
            reach("projection.6")
