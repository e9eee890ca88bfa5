"""How happenings become published events: a little later, sometimes much later, sometimes twice."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.simulation.chance import Chance
from cli.simulation.products import Product
from cli.simulation.user import Happening

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

OFFLINE_SESSION_CHANCE = 0.015
LATE_CHANCE = 0.005
SLOW_CHANCE = 0.04
REPEATED_CHANCE = 0.01

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Delivery:
    """Events that wait for their moment of publishing."""

    def __init__(self, product: Product, seed: str, *, with_topic: bool) -> None:
        self._product = product
        self._chance = Chance(f"{seed}/delivery")
        self._with_topic = with_topic
        self._waiting: list[tuple[int, int, dict[str, Any]]] = []
        self._sent = 0
        self._queued = 0

    def take(self, session: list[Happening]) -> None:
        """Take over what happened; somebody without a network sends a whole session later."""
        offline_ms = self._late_ms() if self._chance.happens(OFFLINE_SESSION_CHANCE) else 0
        for happening in session:
            self._send(happening, offline_ms)

    def release(self, until: datetime | None) -> Iterator[dict[str, Any]]:
        """The events published before a moment, or all that are left, in that order."""
        limit = None if until is None else milliseconds(until)
        while self._waiting and (limit is None or self._waiting[0][0] < limit):
            yield heapq.heappop(self._waiting)[2]

    def _send(self, happening: Happening, offline_ms: int) -> None:
        self._sent += 1
        event = self._event(happening)
        published_ms = milliseconds(happening.at) + offline_ms + self._delay_ms()
        self._queue(published_ms, event)
        if self._chance.happens(REPEATED_CHANCE):
            self._queue(
                published_ms + self._chance.weighed([(6, 1), (4, self._chance.near(1, 60) * SECOND_MS)]), event
            )

    def _delay_ms(self) -> int:
        if self._chance.happens(LATE_CHANCE):
            return self._late_ms()
        if self._chance.happens(SLOW_CHANCE):
            return self._chance.near(5 * SECOND_MS, 20 * MINUTE_MS)
        return self._chance.near(40, 2 * SECOND_MS)

    def _late_ms(self) -> int:
        return self._chance.near(2 * HOUR_MS, 6 * DAY_MS)

    def _queue(self, published_ms: int, event: dict[str, Any]) -> None:
        self._queued += 1
        heapq.heappush(self._waiting, (published_ms, self._queued, event))

    def _event(self, happening: Happening) -> dict[str, Any]:
        return {
            "specversion": "1.0",
            "id": f"{happening.user_id}-{self._sent}",
            "source": self._product.source,
            "type": happening.type,
            "subject": happening.user_id,
            "time": rfc3339(happening.at),
            **({"timezone": happening.zone} if happening.zone else {}),
            **({"topic": self._product.topic} if self._with_topic else {}),
            "data": happening.data,
        }


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
