"""What the control topic says: notes beside the states, the latest of each kind counts.

About records that made our own code raise, in the partition they are about: a worker notes every exit at one, an
operator orders one to be skipped. About the whole namespace, in partition 0: what it was last run with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec.structs import replace

Step = Literal["fold", "cut"]

EXITS_MAX = 3  # then the record stays where it is, and the worker alive


class Suspect(msgspec.Struct, frozen=True, kw_only=True, tag="suspect"):
    """Records at which a worker exited, one of them the culprit.

    Shapes: start <= offset < end; exits counts those at these records; error names the exception's type, and not
    its text, which may quote an event. The step that raised: folding a record, or cutting what was folded.
    """

    topic: str
    start: int
    end: int
    exits: int
    error: str
    step: Step = "fold"

    @property
    def is_parked(self) -> bool:
        return self.end - self.start == 1 and self.exits >= EXITS_MAX


class SkipOrder(msgspec.Struct, frozen=True, kw_only=True, tag="skip"):
    """An operator's word that a parked record shall become a dead letter."""

    topic: str
    offset: int


class Layout(msgspec.Struct, frozen=True, kw_only=True, tag="layout"):
    """What the states were made with. Shapes: catalogs name -> (version, sha256), of the version that ran last."""

    partitions: int
    catalogs: dict[str, tuple[int, str]]


Note = Suspect | SkipOrder | Layout
encode_note: Callable[[Note], bytes] = msgspec.json.Encoder().encode
decode_note = msgspec.json.Decoder(Note).decode


def key_of(note: Note) -> bytes:
    match note:
        case Suspect():
            return f"suspect/{note.topic}".encode()
        case SkipOrder():
            return f"skip/{note.topic}".encode()
        case Layout():
            return b"layout"


def after_exit(known: Suspect | None, exited: Suspect) -> Suspect:
    """What to note of an exit, when this was known of its topic before."""
    if known is None or exited.start < known.start or known.end < exited.end:
        return exited
    return replace(exited, exits=known.exits + exited.exits)
