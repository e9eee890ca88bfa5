"""The products that can be simulated: who uses them, and how much on a day."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from cli.simulation.academy import study
from cli.simulation.chance import Chance
from cli.simulation.rehearsal import rehearse
from cli.simulation.resident import Community, Life
from cli.simulation.school import enrol
from cli.simulation.studio import open_studio
from cli.simulation.town import Town
from cli.simulation.workshop import Platform, open_workshop

Begin = Callable[[str, int, Chance], Life]  # of a user id, a drive and a chance
Drives = dict[str, list[tuple[int, int]]]  # by archetype: (weight, how many things on an active day at most)

CREATIVE: Drives = {
    "daily": [(12, 0), (12, 1), (4, 3), (2, 12)],
    "weekender": [(10, 1), (6, 3), (2, 6)],
    "burst": [(8, 1), (8, 3), (2, 9)],
    "lapsed": [(6, 1), (3, 3)],
}
STUDIOUS: Drives = {
    "daily": [(10, 1), (8, 2), (2, 5)],
    "weekender": [(10, 2), (4, 4)],
    "burst": [(8, 2), (4, 6)],
    "lapsed": [(6, 1), (3, 3)],
}
DILIGENT: Drives = {
    "daily": [(8, 2), (8, 4), (4, 12)],
    "weekender": [(10, 3), (6, 6)],
    "burst": [(8, 4), (4, 10)],
    "lapsed": [(6, 2), (3, 5)],
}
REHEARSING: Drives = {
    "daily": [(12, 0), (6, 1), (1, 3)],
    "weekender": [(10, 0), (6, 2)],
    "burst": [(8, 1), (3, 4)],
    "lapsed": [(6, 0), (3, 2)],
}


class Product(NamedTuple):
    """`user` is what its people are called; `settle` makes what they share, and says how each of them begins."""

    catalog: str
    user: str
    drives: Drives
    settle: Callable[[], Begin]

    @property
    def topic(self) -> str:
        return f"{self.catalog}.activity"

    @property
    def source(self) -> str:
        return f"/{self.catalog}/web"


PRODUCTS = {
    each.catalog: each
    for each in (
        Product("trackflow", "musician", CREATIVE, lambda: partial(open_studio, Town())),
        Product("platform", "builder", CREATIVE, lambda: partial(open_workshop, Platform())),
        Product("learning", "learner", STUDIOUS, lambda: partial(enrol, Community())),
        Product("interview", "candidate", REHEARSING, lambda: partial(rehearse, Community())),
        Product("badges", "student", DILIGENT, lambda: partial(study, Community())),
    )
}
