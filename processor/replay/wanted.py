"""Which records are of a wanted event type, and which bytes hold none of them for sure.

A type can be told by searching: whoever sends it in JSON writes it in quotes, letter by letter or with escapes, and
whoever sends it in a header has the header that tells binary mode. Bytes without any of these hold no such record,
and need not be parsed. What is found may still be something else, a word in the data or another type's escapes; so
it is decoded, and the answer is the event reader's own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Sequence
from typing import Any

import msgspec

from schemas.errors import BadRecord
from schemas.events import BINARY_PREFIX, is_binary, structured
from schemas.records import Record

BINARY_MARK = f"{BINARY_PREFIX}specversion".encode()
LETTER_ESCAPED = rb"\\[u]"  # as a set: so that the search runs by its first byte, which is rare, and not its last
ANY_ESCAPE = rb"\\"
ESCAPE = b"\\"
ESCAPED_SHORTLY = re.compile(r'["\\/\x00-\x1f]')  # what JSON can escape without a \u


class Typed(msgspec.Struct, gc=False):
    """An event's type and nothing else: wherever a whole envelope is read, this is, with the same type."""

    type: str


decode_typed: Any = msgspec.json.Decoder(Typed).decode


class Wanted:
    """Some event types of a topic; with `keys` under no other key."""

    def __init__(self, types: Collection[str], keys: Container[bytes | None] | None = None) -> None:
        self._types, self._keys = frozenset(types), keys
        self._words = [f'"{name}"'.encode() for name in types]
        plain = not any(ESCAPED_SHORTLY.search(name) for name in types)
        self._escape = re.compile(LETTER_ESCAPED if plain else ANY_ESCAPE)

    def may_be_in(self, data: bytes) -> bool:
        """Whether among these bytes, keys, values and headers side by side, there may be a wanted record."""
        if any(word in data for word in self._words) or BINARY_MARK in data:
            return True
        return self._escape.search(data) is not None

    def among(self, records: Iterable[Record]) -> list[Record]:
        """The wanted ones. Hot: in a batch that may hold one, every record comes by here; most are told by a search
        of their own."""
        types, words, keys, found = self._types, self._words, self._keys, []
        for record in records if keys is None else [record for record in records if record.key in keys]:
            value = record.value
            if not record.headers and value is not None and ESCAPE not in value:
                for word in words:
                    if word in value:
                        break
                else:
                    continue
            try:
                value = structured(record) if record.headers and is_binary(record) else value
                if decode_typed(value).type in types:
                    found.append(record)
            except (msgspec.MsgspecError, BadRecord, TypeError, ValueError, RecursionError):
                continue  # no event reader finds a type in it either: it was refused when it was live
        return found


class Everything:
    """All records: for topics that hold no events."""

    def may_be_in(self, data: bytes) -> bool:
        return True

    def among(self, records: Sequence[Record]) -> Sequence[Record]:
        return records
