"""What a fold found, and what it comes to, until it is asked for: in memory while it is little, else in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import SEEK_END
from struct import Struct
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

import msgspec

from schemas.replays import Fact, Named, judged_by

MEMORY_BYTES = 4 * 1024 * 1024
TOGETHER_BYTES = 16 * 1024 * 1024  # packed
LENGTH = Struct(">Q")

Told = tuple[bytes, Fact]
"""A user, and something that the user crossed."""
Row = tuple[bytes, bytes]
"""A user, and the state in wire form."""

encode = msgspec.msgpack.Encoder().encode
decode_told = msgspec.msgpack.Decoder(list[Told]).decode
decode_rows = msgspec.msgpack.Decoder(list[Row]).decode


class Known(NamedTuple):
    """Of the users in a spool. Shapes: lists, in how many each is; judged, what of a user's facts gives awards by
    itself."""

    lists: Counter[bytes]
    judged: Mapping[bytes, frozenset[Named]]


class _Lists:
    """Lists, in the order in which they were appended, in a file without a name."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - open as long as the replay goes on

    def append(self, found: Sequence[Any]) -> None:
        if found:
            packed = encode(found)
            self._file.seek(0, SEEK_END)
            self._file.write(LENGTH.pack(len(packed)) + packed)

    def packed(self) -> Iterator[bytes]:
        self._file.seek(0)
        while head := self._file.read(LENGTH.size):
            yield self._file.read(LENGTH.unpack(head)[0])


class Spool(_Lists):
    """Of what users crossed; read when all is in it."""

    def __iter__(self) -> Iterator[list[Told]]:
        """Several lists in one, so that what a user crossed is together."""
        together: list[Told] = []
        size = 0
        for packed in self.packed():
            if size and size + len(packed) > TOGETHER_BYTES:
                yield together
                together, size = [], 0
            together += decode_told(packed)
            size += len(packed)
        if together:
            yield together

    def known(self) -> Known:
        """By a pass over it: kept beside it, this would be in memory for all partitions at once."""
        lists, judged = Counter[bytes](), dict[bytes, frozenset[Named]]()
        alike: dict[frozenset[Named], frozenset[Named]] = {}  # many users have the same
        for found in self:
            lists.update({user for user, _ in found})
            for user, fact in found:
                if awards := judged_by([fact]):
                    known = judged.get(user, frozenset()) | awards
                    judged[user] = alike.setdefault(known, known)
        return Known(lists, judged)


class Shelf(_Lists):
    """Of users' states that nobody needs for a while."""

    def __iter__(self) -> Iterator[list[Row]]:
        return map(decode_rows, self.packed())
