"""Rows as COPY reads them in its binary format: what Postgres need not parse, and we need not escape.

A column is its length in bytes and its value, a row the number of its columns and they, in the order that the
COPY statement names. Source: PostgreSQL's documentation of COPY, "Binary Format", and the types' receive functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

import msgspec

from schemas.records import Record

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
JSONB_VERSION = b"\x01"
EMPTY_OBJECT = b"{}"

REMEMBERED_MAX = 4096
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
EPOCH_MS = round(EPOCH.timestamp() * 1000)
MICROSECOND = timedelta(microseconds=1)

encode_json = msgspec.json.Encoder().encode
_length = Struct(">i").pack
_bigint = Struct(">iq").pack


def copied(rows: Iterable[bytes]) -> bytes:
    """All that a COPY statement is sent."""
    return b"".join((HEADER, *rows, TRAILER))


def text(value: str) -> bytes:
    encoded = value.encode()
    return _length(len(encoded)) + encoded


def bigint(value: int | None) -> bytes:
    return NULL if value is None else _bigint(8, value)


def nullable(value: str | None) -> bytes:
    return NULL if value is None else text(value)


def nullables(values: Iterable[str | None]) -> bytes:
    """Several columns, one behind the other."""
    return b"".join(map(nullable, values))


def jsonb(value: bytes) -> bytes:
    return _length(len(value) + 1) + JSONB_VERSION + value


def moment(at: datetime) -> int:
    """The value of a timestamptz: microseconds since 2000."""
    return (at - EPOCH) // MICROSECOND


def moment_at(value: int) -> datetime:
    """The time that `moment` made a value of."""
    return EPOCH + value * MICROSECOND


def append_moment(record: Record) -> int:
    """When the broker appended the record, as `moment`."""
    return (record.timestamp - EPOCH_MS) * 1000


def appended_at(record: Record) -> datetime:
    """When the broker appended the record."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


class Repeated(dict[Any, bytes]):
    """What many rows share, made once: a value -> its columns."""

    def __init__(self, columns: Callable[[Any], bytes]) -> None:
        super().__init__()
        self._columns = columns

    def __missing__(self, value: Any) -> bytes:
        if len(self) >= REMEMBERED_MAX:
            self.clear()
        made = self[value] = self._columns(value)
        return made
