"""What people say about themselves when they register."""

from __future__ import annotations

from typing import Any

from cli.simulation.chance import Chance

FIRST_NAMES = [
    "ada",
    "ben",
    "chiara",
    "dmitri",
    "esra",
    "femi",
    "gao",
    "hana",
    "ivan",
    "jo",
    "kemal",
    "lin",
    "maya",
]
LAST_NAMES = ["adler", "brook", "costa", "diaz", "eze", "fuji", "gomez", "haas", "iyer", "jansen", "khan", "lopez"]


def profile(index: int, product: str, chance: Chance) -> dict[str, Any]:
    first, last = chance.one_of(FIRST_NAMES), chance.one_of(LAST_NAMES)
    return {
        "username": f"{first}.{last}.{index}",
        "display_name": f"{first.title()} {last.title()}",
        "avatar_url": f"https://img.{product}.example/avatar/{index}.png" if chance.happens(0.7) else None,
    }
