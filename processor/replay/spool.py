"""What a fold found, and what it comes to, until it is asked for: in memory while it is little, else in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import SEEK_END
from struct import Struct
from tempfile import SpooledTemporaryFile
from typing import Any

import msgspec

from schemas.replays import Fact

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
decode_facts = msgspec.msgpack.Decoder(list[Fact]).decode


class _Lists:
    """Lists, in the order in which they were appended, in a file without a name."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - open as long as the replay goes on

    def append(self, found: Sequence[Any]) -> None:
        if found:
            self._write(found)

    def _write(self, found: Sequence[Any]) -> int:
        """Returns where it is."""
        packed, place = encode(found), self._file.seek(0, SEEK_END)
        self._file.write(LENGTH.pack(len(packed)) + packed)
        return place

    def clear(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def packed(self) -> Iterator[bytes]:
        self._file.seek(0)
        while head := self._file.read(LENGTH.size):
            yield self._file.read(LENGTH.unpack(head)[0])

    def _packed_at(self, place: int) -> bytes:
        self._file.seek(place)
        return self._file.read(*LENGTH.unpack(self._file.read(LENGTH.size)))


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


class Letters(_Lists):
    """Of what each user crossed, which is taken out by the user. In memory is where it is."""

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[bytes, tuple[int, ...]] = {}

    def __iter__(self) -> Iterator[bytes]:
        """The users."""
        return iter(self._places)

    def add(self, found: Spool) -> None:
        for together in found:
            by_user: dict[bytes, list[Fact]] = {}
            for user, fact in together:
                by_user.setdefault(user, []).append(fact)
            for user, facts in by_user.items():
                self._places[user] = (*self._places.get(user, ()), self._write(facts))

    def of(self, user: bytes) -> list[Fact]:
        """In the order of the log, as far as it was added so; of somebody unknown, nothing."""
        return [fact for place in self._places.get(user, ()) for fact in decode_facts(self._packed_at(place))]


class Shelf(_Lists):
    """Of users' states that nobody needs for a while."""

    def __iter__(self) -> Iterator[list[Row]]:
        return map(decode_rows, self.packed())
