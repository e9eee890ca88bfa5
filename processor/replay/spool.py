"""What a fold found, kept until it can be sent: in memory while it is little, in a file without a name when not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from struct import Struct
from tempfile import SpooledTemporaryFile

import msgspec

from processor.replay.past import Told
from schemas.replays import Named, judged_by

MEMORY_BYTES = 4 * 1024 * 1024
LENGTH = Struct(">Q")

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Told]).decode


class Spool:
    """Lists of what users crossed, in the order in which they were appended; read once, when all are in it.

    Shapes: `lists`, in how many a user is; `judged`, what of a user's facts gives awards by itself.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - open as long as the fold goes on
        self.lists = Counter[bytes]()
        self.judged: dict[bytes, frozenset[Named]] = {}
        self._alike: dict[frozenset[Named], frozenset[Named]] = {}  # many users have the same

    def append(self, found: Sequence[Told]) -> None:
        if found:
            packed = encode(found)
            self._file.write(LENGTH.pack(len(packed)) + packed)
            self.lists.update({user for user, _ in found})
            self._judge(found)

    def _judge(self, found: Sequence[Told]) -> None:
        for user, fact in found:
            if awards := judged_by([fact]):
                known = self.judged.get(user, frozenset()) | awards
                self.judged[user] = self._alike.setdefault(known, known)

    def __iter__(self) -> Iterator[list[Told]]:
        self._file.seek(0)
        while head := self._file.read(LENGTH.size):
            yield decode(self._file.read(LENGTH.unpack(head)[0]))
