"""The batches of a fetch as Kafka writes them, and the wanted records in them.

The format is that of Kafka 0.11 and later: 61 bytes of header, then the records, compressed or not. Every batch's
checksum is looked at, also of those that are not parsed: a damaged byte could hide a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from struct import Struct
from typing import NamedTuple, Protocol

from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.default_records import DefaultRecordBatch

from broker.parsing import TolerantBatch
from schemas.errors import LaurelError
from schemas.records import Record

HEADER = Struct(">qiibIhiqqqhii")
LENGTH, SHORT = Struct(">i"), Struct(">h")
BEFORE_LENGTH, AFTER_LENGTH = 8, 12  # the length counts what follows it
ATTRIBUTES = 21
MAGIC = 2
CODEC, TRANSACTIONAL, CONTROL = 0x07, 0x10, 0x20
DECOMPRESS: dict[int, Callable[[bytes], bytes]] = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}

Abort = tuple[int, int]
"""A producer, and the offset at which a transaction of its begins that was aborted."""


class RawBatch(NamedTuple):
    """A batch of which nothing but the header was read.

    Shapes: its offsets are [first, end), those that compaction took away included; held, how many it has still.
    """

    data: bytes
    first: int
    end: int
    magic: int
    attributes: int
    producer: int
    held: int


class Sifted(NamedTuple):
    """What a batch came to. Shapes: end, the position behind it; read, how many committed records it had."""

    end: int
    read: int
    size: int
    records: Sequence[Record]


def raw_batches(data: bytes) -> Iterator[RawBatch]:
    """The whole batches of a fetch; the broker cuts the last one off where the fetch is full."""
    at = 0
    while at + HEADER.size <= len(data):
        first, length, _, magic, _, attributes, last, _, _, producer, _, _, count = HEADER.unpack_from(data, at)
        begin, at = at, at + AFTER_LENGTH + length
        if at > len(data):
            return
        yield RawBatch(data[begin:at], first, first + last + 1, magic, attributes, producer, count)


class Aborts:
    """Follows, batch by batch, whose open transaction is one that was aborted."""

    def __init__(self, aborts: Sequence[Abort]) -> None:
        self._coming = sorted(aborts, key=lambda abort: abort[1], reverse=True)
        self._open: set[int] = set()

    def hold(self, batch: RawBatch) -> bool:
        """Whether nobody who reads committed may see this batch; asked once for each, in order."""
        while self._coming and self._coming[-1][1] <= batch.first:
            self._open.add(self._coming.pop()[0])
        if batch.attributes & CONTROL and _is_abort_marker(batch):
            self._open.discard(batch.producer)
        return bool(batch.attributes & TRANSACTIONAL) and batch.producer in self._open


def _is_abort_marker(batch: RawBatch) -> bool:
    marker = next(iter(DefaultRecordBatch(batch.data)), None)
    return marker is not None and ControlRecord.parse(marker.key) == ABORT_MARKER


class Choice(Protocol):
    """Which records are wanted; processor/replay/wanted.py has them."""

    def may_be_in(self, data: bytes) -> bool: ...
    def among(self, records: Sequence[Record]) -> Sequence[Record]: ...


class Sieve:
    """Lets through, of the positions [start, cut), the committed records that are wanted."""

    def __init__(self, wanted: Choice, start: int, cut: int) -> None:
        self._wanted, self._start, self._cut = wanted, start, cut

    def sift(self, batches: Iterable[RawBatch], aborts: Sequence[Abort]) -> Iterator[Sifted]:
        """A fetch, batch by batch, up to the cut. Raises: LaurelError for a batch that cannot be read."""
        aborted = Aborts(aborts)
        for batch in batches:
            end = min(batch.end, self._cut)
            _check(batch)
            if aborted.hold(batch) or batch.attributes & CONTROL or batch.first >= self._cut:
                yield Sifted(end, 0, len(batch.data), ())
            else:
                yield self._sifted(batch, end)
            if end == self._cut:
                return

    def _sifted(self, batch: RawBatch, end: int) -> Sifted:
        plain, body = _uncompressed(batch)
        if self._start <= batch.first and batch.end <= self._cut:
            found = self._wanted.among(_records(batch, plain)) if self._wanted.may_be_in(body) else ()
            return Sifted(end, batch.held, len(batch.data), found)
        within = [record for record in _records(batch, plain) if self._start <= record.offset < self._cut]
        return Sifted(end, len(within), len(batch.data), self._wanted.among(within))


def _check(batch: RawBatch) -> None:
    if batch.magic != MAGIC:
        raise _unreadable(batch, f"its format is {batch.magic}, older than Kafka 0.11")
    if not DefaultRecordBatch(batch.data).validate_crc():
        raise _unreadable(batch, "its checksum is wrong")


def _uncompressed(batch: RawBatch) -> tuple[bytes, bytes]:
    """The batch as if it had never been compressed, and bytes that hold its records, framing and all."""
    if not batch.attributes & CODEC:
        return batch.data, batch.data
    try:
        body = bytes(DECOMPRESS[batch.attributes & CODEC](batch.data[HEADER.size :]))
    except Exception as error:  # each codec has its own
        raise _unreadable(batch, f"it cannot be decompressed: {error!r}") from error
    head = bytearray(batch.data[: HEADER.size])
    LENGTH.pack_into(head, BEFORE_LENGTH, HEADER.size - AFTER_LENGTH + len(body))
    SHORT.pack_into(head, ATTRIBUTES, batch.attributes & ~CODEC)
    return bytes(head) + body, body


def _records(batch: RawBatch, plain: bytes) -> Sequence[Record]:
    try:
        try:
            return list(DefaultRecordBatch(plain))
        except UnicodeDecodeError:  # the name of a header
            return list(TolerantBatch(plain))
    except Exception as error:
        raise _unreadable(batch, repr(error)) from error


def _unreadable(batch: RawBatch, why: str) -> LaurelError:
    return LaurelError(
        f"the batch of offsets {batch.first} to {batch.end - 1} cannot be read, {why}: look at the broker's log "
        "and disk; nothing behind it is read before it is repaired or deleted"
    )
