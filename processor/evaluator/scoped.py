"""Awards straight from an event: one for each scope, or one at all."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from xxhash import xxh3_64_digest

from processor.evaluator.entries import Entry
from processor.evaluator.metrics import Crossed, Step
from processor.evaluator.metrics.bounds import keep_out
from processor.evaluator.metrics.distinct import place_of
from schemas.events import Attributes, attribute_of
from schemas.program import EventSpec
from schemas.state import ID_BYTES, SCOPE_CHARS_MAX, SCOPES_MAX, State

SCOPES_BYTES_MAX = SCOPES_MAX * ID_BYTES


class DirectAward(NamedTuple):
    """An event that is an award, if it is none yet."""

    entry: Entry
    scope: str


def award_step(entry: Entry, event: EventSpec) -> Step:
    """The award of every event of a type, of its scope where the entry has scopes."""
    if entry.spec.scope is None:
        return lambda state, data, at, event: [(DirectAward(entry, ""), at)]
    field, slot = attribute_of(event, entry.spec.scope), scopes_slot(entry)

    def step(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        scope = scope_text(getattr(data, field))
        if scope is None or not is_free(state[slot], scope):
            return None
        return [(DirectAward(entry, scope), at)]

    return step


def scopes_slot(entry: Entry) -> int:
    assert entry.spec.scopes is not None, "compiled without a slot for its scopes"
    return entry.spec.scopes


def scope_text(value: str | int | None) -> str | None:
    """The scope that a field names; None where it is absent, blank or too long."""
    scope = "" if value is None else str(value)
    return scope if len(scope) <= SCOPE_CHARS_MAX and scope.strip() else None


def is_free(won: bytes, scope: str) -> bool:
    """Whether this scope is not won yet, and there is room for it."""
    if place_of(won, xxh3_64_digest(scope.encode()), ID_BYTES) >= 0:
        return False
    if len(won) >= SCOPES_BYTES_MAX:
        keep_out("scopes")
        return False
    return True


def with_scope(won: bytes, scope: str) -> bytes:
    return won + xxh3_64_digest(scope.encode())


def has_scope(won: bytes, scope: str) -> bool:
    return place_of(won, xxh3_64_digest(scope.encode()), ID_BYTES) >= 0


def without_scope(won: bytes, scope: str) -> bytes:
    place = place_of(won, xxh3_64_digest(scope.encode()), ID_BYTES)
    return won if place < 0 else won[:place] + won[place + ID_BYTES :]
