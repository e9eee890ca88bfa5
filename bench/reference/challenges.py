"""Daily challenges: who is offered what, and what a claim comes to."""

from __future__ import annotations

from datetime import date
from typing import Any

from xxhash import xxh3_64_intdigest

from bench.reference.catalog import Catalog
from bench.reference.event import Happening
from bench.reference.result import Answer
from bench.reference.standing import Standing

CLAIM = "claim_challenge"
REFUSED, REPEATED, ACCEPTED = "refused", "repeated", "accepted"


def offered(catalog: Catalog, user: str, day: date) -> list[str]:
    """The keys of a user's challenges on a day: the same whenever it is asked."""

    def lot(key: str) -> int:
        return xxh3_64_intdigest(f"{catalog.name}/{user}/{day.isoformat()}/{key}".encode())

    return sorted(catalog.challenges, key=lot)[: catalog.per_day]


def answer(claim: Happening, standing: Standing | None, today: date) -> Answer:
    """What a claim comes to, appended on the user's day `today`. Gives what it accepts."""
    day, key = claimed_day(claim, today), claim.data.get("challenge")
    challenge = standing.catalog.challenges.get(str(key)) if standing else None
    if standing is None or challenge is None or day is None:
        return Answer(REFUSED, "unknown", None)
    value = standing.kept[challenge.when.metric].values().get(day.isoformat()) or 0
    if challenge.key not in offered(standing.catalog, claim.user, day):
        return Answer(REFUSED, "not_offered", None)
    if day != today:
        return Answer(REFUSED, "expired" if day < today else "not_open", None)
    if value < challenge.when.at:
        return Answer(REFUSED, "incomplete", (challenge.when.metric, value, challenge.when.at))
    if (challenge.key, day.isoformat()) in standing.claimed:
        return Answer(REPEATED, None, None)
    standing.claim(challenge, day, claim)
    return Answer(ACCEPTED, None, None)


def claimed_day(claim: Happening, today: date) -> date | None:
    """The day a claim is about: today unless it says another; None when what it says is no day."""
    said: Any = claim.data.get("day")
    if said is None:
        return today
    try:
        return date.fromisoformat(said)
    except (TypeError, ValueError):
        return None
