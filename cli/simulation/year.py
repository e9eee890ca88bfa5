"""The days of a product, one after another. Memory holds its users and what is under way, never the year."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from cli.simulation.delivery import Delivery
from cli.simulation.products import PRODUCTS
from cli.simulation.user import User

END = date(2026, 1, 1)  # the day after the last: in the past, so that no event lies in the future
FIRST_MORNING = timedelta(hours=14)  # how long before UTC a day begins in Kiritimati


def simulate(
    users: int, days: int, seed: int, *, catalog: str = "trackflow", with_topic: bool = False
) -> Iterator[dict[str, Any]]:
    """CloudEvents of the product with that catalog, in the order in which they are published."""
    product = PRODUCTS[catalog]
    begin = product.settle()
    people = [User(index, days, product, begin, str(seed)) for index in range(1, users + 1)]
    delivery = Delivery(product, str(seed), with_topic=with_topic)
    for number in range(days):
        day = END - timedelta(days=days - number)
        for person in people:
            for session in person.live(number, day):
                delivery.take(session)
        yield from delivery.release(datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC) - FIRST_MORNING)
    yield from delivery.release(None)
