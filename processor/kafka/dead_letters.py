"""A refused record on its way to the dead letters: as it was, with headers that say where and why."""

from __future__ import annotations

import hashlib

from processor.kafka.batches import Row
from processor.kafka.partition import Refusal
from schemas.records import Header, Headers
from schemas.topics import DEAD_LETTER_BYTES_MAX

PREFIX = "laurel.error."
STAGE = "fold"
MESSAGE_CHARS_MAX = 2000
ROOM = DEAD_LETTER_BYTES_MAX - 1024  # less the envelope of a batch and of its only record


def dead_letter(refusal: Refusal) -> Row:
    """The row for a refused record: key, value and headers untouched as long as they fit.

    The record's timestamp stands in a header: a letter is kept for so long from when it is written, and one as old
    as a record from long ago would be deleted at once.

    Only the bytes of a header's name that are no UTF-8 are lost, since our client takes text for a name: they are
    written as \\x escapes. The value of such a header, and the place of the original, are untouched.
    """
    record = refusal.record
    key, headers, cut = record.key, [*record.headers], _explanation(refusal)
    if _size(key, headers + cut) > ROOM:  # what is this large came compressed; it may not stop the partition
        cut += _marks("key", key or b"") + _marks("headers", repr(headers).encode())
        key, headers = None, []
    value = record.value
    if value is not None and _size(key, headers + cut) + len(value) > ROOM:
        cut += _marks("value", value)
        value = value[: ROOM - _size(key, headers + cut)]
    return key, value, None, headers + cut


def _explanation(refusal: Refusal) -> list[Header]:
    record = refusal.record
    facts = {
        "topic": refusal.topic,
        "partition": refusal.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "stage": STAGE,
        "class": refusal.bad.cause,
        "message": str(refusal.bad)[:MESSAGE_CHARS_MAX],
    }
    return [(PREFIX + name, str(fact).encode(errors="replace")) for name, fact in facts.items()]


def _marks(part: str, whole: bytes) -> list[Header]:
    """What tells a part that was cut, and lets its original be recognised."""
    facts = {"bytes": str(len(whole)), "sha256": hashlib.sha256(whole).hexdigest()}
    return [(f"{PREFIX}{part}.{name}", fact.encode()) for name, fact in facts.items()]


def _size(key: bytes | None, headers: Headers) -> int:
    lengths = (len(name.encode()) + len(value or b"") + 10 for name, value in headers)
    return len(key or b"") + sum(lengths)
