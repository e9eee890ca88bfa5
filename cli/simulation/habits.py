"""How regularly somebody is there, and at what time of the day."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from cli.simulation.chance import Chance

SATURDAY = 5
FRIDAY = 4

SESSION_STARTS = [(2, (6, 9)), (2, (11, 14)), (1, (15, 17)), (6, (18, 22)), (1, (23, 24))]


class Habit(Protocol):
    """Whether somebody is there on a day; asked once a day, in order."""

    def shows_up(self, day: date) -> bool: ...


class Daily:
    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._reliability = 1 - chance.near(2, 120) / 1000

    def shows_up(self, day: date) -> bool:
        return self._chance.happens(self._reliability)


class Weekender:
    def __init__(self, chance: Chance) -> None:
        self._chance = chance

    def shows_up(self, day: date) -> bool:
        weekday = day.weekday()
        return self._chance.happens(0.85 if weekday >= SATURDAY else 0.25 if weekday == FRIDAY else 0.04)


class Burst:
    """Some weeks nearly every day, then weeks without."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._days_left = chance.between(4, 18)
        self._is_busy = True

    def shows_up(self, day: date) -> bool:
        if not self._days_left:
            self._is_busy = not self._is_busy
            self._days_left = self._chance.between(4, 18) if self._is_busy else self._chance.between(10, 50)
        self._days_left -= 1
        return self._is_busy and self._chance.happens(0.88)


class Lapsed:
    """Keen at first, then hardly ever seen again."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._keen_days = chance.between(10, 90)

    def shows_up(self, day: date) -> bool:
        self._keen_days -= 1
        return self._chance.happens(0.65 if self._keen_days >= 0 else 0.02)


HABITS: dict[str, type[Daily | Weekender | Burst | Lapsed]] = {
    "daily": Daily,
    "weekender": Weekender,
    "burst": Burst,
    "lapsed": Lapsed,
}
ARCHETYPES = [(20, "daily"), (30, "weekender"), (20, "burst"), (30, "lapsed")]
