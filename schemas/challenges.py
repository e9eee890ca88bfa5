"""Challenges of a day: which are offered to whom, and how one is claimed. One rule for the fold and for readers."""

from __future__ import annotations

from collections.abc import Iterable

from xxhash import xxh3_64_intdigest

from schemas.program import EventSpec, FieldSpec

CLAIM = "claim_challenge"


def offered(catalog: str, user: str, day: str, keys: Iterable[str], per_day: int) -> list[str]:
    """The challenges that a user is offered on a day, in order. Shapes: day is written 2026-11-21."""
    return sorted(keys, key=lambda key: (_place(catalog, user, day, key), key))[:per_day]


def _place(catalog: str, user: str, day: str, key: str) -> int:
    return xxh3_64_intdigest(f"{catalog}/{user}/{day}/{key}".encode())


def claim_spec(topic: str, window: int) -> EventSpec:
    """The command by which a user claims a challenge: read as an event is. Without a day, the user's today."""
    return EventSpec(
        type=CLAIM,
        topic=topic,
        fields=[
            FieldSpec(name="catalog", type="string"),
            FieldSpec(name="challenge", type="string"),
            FieldSpec(name="day", type="string", optional=True),
        ],
        window=window,
    )
