"""The days of a town, one after another: memory holds the town and the events still under way, never the year."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cli.simulation.delivery import Delivery
from cli.simulation.musician import Musician
from cli.simulation.town import Town

END = date(2026, 1, 1)  # the day after the last: in the past, so that no event lies in the future
FIRST_MORNING = timedelta(hours=14)  # how long before UTC a day begins in Kiritimati


def simulate(users: int, days: int, seed: int, *, with_topic: bool = False) -> Iterator[dict[str, Any]]:
    """CloudEvents in the order in which they are published."""
    town = Town()
    musicians = [Musician(index, days, town, str(seed)) for index in range(1, users + 1)]
    delivery = Delivery(str(seed), with_topic=with_topic)
    for number in range(days):
        day = END - timedelta(days=days - number)
        for musician in musicians:
            for session in musician.live(number, day):
                delivery.take(session)
        yield from delivery.release(datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC) - FIRST_MORNING)
    yield from delivery.release(None)
