"""How much of the machine a replay takes: whether to go on, when to rest, and how quickly orders are sent.

Once live events flow they have it first. While they are behind, the job rests between short pieces of work, longer
while they fall behind further; and it sends fewer orders, as evenly as it can. It never stands still: under a load
that is always somewhat behind, a replay is slow, and ends. Where live events wait for the job itself, it does not
rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from processor.replay.ports import Ports, Status

LOOK_S = 0.2
WATCH_EVERY_S = 0.5
FLOWS_FROM = 500.0  # records a second
LAG_MAX = 2_000  # beyond it the job rests
WORK_S, REST_S, LONG_REST_S = 0.5, 0.5, 2.0
CLEAR_RESTS_MAX = 20
ORDERS_AT_ONCE, ORDERS_AT_ONCE_BESIDE_LIVE = 1_000, 50
ORDERS_PER_S, ORDERS_PER_S_MIN, ORDERS_PER_S_MAX = 1_000.0, 500.0, 20_000.0  # beside live; the first to begin with
QUICKER, SLOWER = 1.03, 0.5  # at each look, by whether live is behind
GOING_ON: tuple[Status, ...] = ("running", "paused")


class Turned(Exception):  # noqa: N818 - what happened
    """The registry's row says something else than what is being done."""


class Watch:
    """Asked between two pieces of work."""

    def __init__(self, ports: Ports) -> None:
        self.expected: tuple[Status, ...] = GOING_ON
        self._ports = ports
        self._due = self._rest_until = 0.0
        self._lag = self._hurrying = 0
        self._orders_per_s = ORDERS_PER_S
        self.gave_way = False

    @property
    def orders_at_once(self) -> int:
        return ORDERS_AT_ONCE_BESIDE_LIVE if self.gave_way else ORDERS_AT_ONCE

    async def keep_pace(self, orders: int) -> None:
        """Once live events flow, their owners get orders as evenly as they take them without falling behind."""
        if self.gave_way:
            await asyncio.sleep(orders / self._orders_per_s)

    @contextmanager
    def in_haste(self) -> Iterator[None]:
        """Somebody waits for what is done within: no rest."""
        self._hurrying += 1
        self._rest_until = 0.0
        try:
            yield
        finally:
            self._hurrying -= 1

    async def keep_clear(self) -> None:
        """Rest until the live processors keep up, but not for ever."""
        for _ in range(CLEAR_RESTS_MAX):
            await self._heed_traffic()
            if self._lag <= LAG_MAX:
                return
            await asyncio.sleep(REST_S)

    async def go_on(self) -> None:
        """Called often. Raises: Turned."""
        now = asyncio.get_running_loop().time()
        if now >= self._due:
            self._due = now + WATCH_EVERY_S
            await self.look()
            await self._heed_traffic()
        await asyncio.sleep(max(0.0, self._rest_until - now))

    async def look(self) -> None:
        """Wait while it is paused. Raises: Turned when the row says something else than what is being done."""
        status = await self._ports.registry.status()
        if status not in self.expected:
            raise Turned(status)
        if status == "paused":
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def _heed_traffic(self) -> None:
        traffic = self._ports.traffic
        before, (self._lag, per_s) = self._lag, await traffic.load()
        if per_s >= FLOWS_FROM:
            self.gave_way = True
            traffic.give_way()
        wanted = self._orders_per_s * (SLOWER if self._lag else QUICKER)
        self._orders_per_s = max(ORDERS_PER_S_MIN, min(wanted, ORDERS_PER_S_MAX))
        if self._lag > LAG_MAX and not self._hurrying:
            rest = LONG_REST_S if self._lag > before else REST_S
            self._rest_until = asyncio.get_running_loop().time() + rest
            self._due = self._rest_until + WORK_S
