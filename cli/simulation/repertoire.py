"""Whose songs somebody takes up, and how their names get written."""

from __future__ import annotations

import unicodedata

from cli.simulation.chance import Chance

FIRST_YEAR, LAST_YEAR = 1918, 2025

LEADERS = [
    "The",
    "Los",
    "Zoë",
    "Björn",
    "Amélie",
    "Old",
    "Señor",
    "Kid",
    "Miss",
    "Saint",
    "Łukasz",
    "Café",
    "DJ",
    "Big",
]
FOLLOWERS = [
    "Foxes",
    "Ångström",
    "Hurricane",
    "Night Owls",
    "Corazón",
    "Straße",
    "Lanterns",
    "Moonshine",
    "Ōkami",
    "Paper Boats",
    "Río",
    "Telegraph",
    "Velvet",
    "Zebra",
]
ARTISTS = [f"{leader} {follower}" for follower in FOLLOWERS for leader in LEADERS]

MOODS = ["Blue", "Broken", "Distant", "Electric", "Golden", "Last", "Lonely", "Midnight", "Silver", "Slow", "Wild"]
THINGS = [
    "Avenue",
    "Bridge",
    "Fever",
    "Garden",
    "Heart",
    "Letter",
    "Ocean",
    "Parade",
    "Radio",
    "River",
    "Summer",
    "Train",
]


class Taste:
    """The artists and years somebody prefers; a historian wants every year there is."""

    def __init__(self, chance: Chance, is_historian: bool) -> None:
        self._chance = chance
        self._is_historian = is_historian
        self._breadth = len(ARTISTS) if is_historian else chance.near(8, 120)
        self._favourite = chance.between(0, len(ARTISTS) - 1)
        self._golden_year = chance.between(1955, 2020)

    def artist(self) -> str | None:
        name = ARTISTS[(self._favourite + self._chance.between(0, self._breadth - 1) * 3) % len(ARTISTS)]
        return self._chance.weighed(spellings(name))

    def year(self) -> int | None:
        if self._chance.happens(0.03):
            return None
        if self._is_historian:
            return self._chance.between(FIRST_YEAR, LAST_YEAR)
        distance = self._chance.near(0, 30) * self._chance.one_of((-1, 1))
        return min(LAST_YEAR, self._golden_year + distance)


def spellings(name: str) -> list[tuple[int, str | None]]:
    """A name as people type it: all of these are one artist, a blank one is none."""
    return [
        (84, name),
        (4, name.upper()),
        (4, name.lower()),
        (2, f" {name}"),
        (2, f"{name}  "),
        (2, unicodedata.normalize("NFD", name)),
        (1, ""),
        (1, None),
    ]


def title(chance: Chance) -> str:
    return f"{chance.one_of(MOODS)} {chance.one_of(THINGS)}"
