"""One user's year: when they are there, and what they do then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from cli.simulation.chance import Chance
from cli.simulation.habits import ARCHETYPES, HABITS, SESSION_STARTS
from cli.simulation.names import profile
from cli.simulation.places import Whereabouts, moment
from cli.simulation.products import Begin, Product
from cli.simulation.resident import Fact

SECOND_SESSION_CHANCE = 0.07
PROFILE_CHANGE_CHANCE = 0.004
PAUSE = timedelta(minutes=30)
BETWEEN_DEEDS_MS = (1_500, 900_000)
BETWEEN_FACTS_MS = (15, 400)


class Happening(NamedTuple):
    """A fact of the product, before anybody has sent it."""

    type: str
    user_id: str
    at: datetime
    zone: str | None
    data: dict[str, Any]


class User:
    """Their joining day counts from the first day of the simulation; before it they do nothing."""

    def __init__(self, index: int, days: int, product: Product, begin: Begin, seed: str) -> None:
        self.chance = chance = Chance(f"{seed}/{product.user}/{index}")
        self.index = index
        self.id = f"{product.user[0]}{index:05d}"
        self.product = product
        self.joins_on = 0 if chance.happens(0.4) else chance.near(0, max(0, days * 3 // 4))
        self.whereabouts = Whereabouts(chance)
        archetype = chance.weighed(ARCHETYPES)
        self.habit = HABITS[archetype](chance)
        self.drive = chance.weighed(product.drives[archetype])
        self.busy_until = datetime.min.replace(tzinfo=UTC)
        self.tells_zone = chance.happens(0.9)
        self.life = begin(self.id, self.drive, chance)

    def live(self, number: int, day: date) -> Iterator[list[Happening]]:
        """The sessions of a day, each a list of happenings in the order of their times."""
        if number < self.joins_on:
            return
        deeds = [[self._register()]] if number == self.joins_on else []
        is_there = self.whereabouts.wake_up()
        if self.habit.shows_up(day) and is_there:
            deeds += self._deeds(self.drive)
        if deeds:
            yield self._session(day, deeds)
            if is_there and self.chance.happens(SECOND_SESSION_CHANCE):
                yield self._session(day, self._deeds(self.drive // 2))

    def _register(self) -> Fact:
        return self.life.register({**self._profile(), "timezone": self.whereabouts.home})

    def _deeds(self, most: int) -> list[list[Fact]]:
        deeds = [self.life.arrive()]
        if self.chance.happens(PROFILE_CHANGE_CHANCE):
            deeds.append([("user_updated", self._profile())])
        return deeds + [self.life.act() for _ in range(self.chance.between(0, most))]

    def _profile(self) -> dict[str, Any]:
        return profile(self.index, self.product.catalog, self.chance)

    def _session(self, day: date, deeds: list[list[Fact]]) -> list[Happening]:
        zone = self.whereabouts.zone
        first_hour, last_hour = self.chance.weighed(SESSION_STARTS)
        at = moment(day, self.chance.between(first_hour * 60, last_hour * 60), zone)
        at = max(at, self.busy_until + PAUSE)
        happenings = []
        for facts in deeds:
            at += timedelta(milliseconds=self.chance.near(*BETWEEN_DEEDS_MS))
            for kind, data in facts:
                at += timedelta(milliseconds=self.chance.near(*BETWEEN_FACTS_MS))
                happenings.append(Happening(kind, self.id, at, zone if self.tells_zone else None, data))
        self.busy_until = at
        return happenings
