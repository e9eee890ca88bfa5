"""Records of our own topics, decoded. A record that cannot be is never skipped: it stops the projector."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from schemas.errors import LaurelError
from schemas.records import Record

RESTART = 70  # exit code: a supervisor starts the process again
ESCAPE, ESCAPED_NUL = b"\\", b"\\u0000"
REPLACEMENT = "�"
UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, struct.error)

Decoded = TypeVar("Decoded")


class Undecodable(LaurelError):  # noqa: N818 - names the culprit
    """A record of ours that this version cannot read."""

    exit_code = RESTART


def decode(record: Record, decoder: Callable[[bytes], Decoded], place: str) -> Decoded:
    """A JSON record as its struct; `place` is topic/partition. Raises: Undecodable."""
    value = record.value
    try:
        if value is None:
            raise ValueError("it has no value")
        if ESCAPE in value and ESCAPED_NUL in value:  # one byte is found sooner than six, and is mostly not there
            value = without_nul(value)
        return decoder(value)
    except UNREADABLE as error:
        raise undecodable(record, place, error) from error


def undecodable(record: Record, place: str, error: Exception) -> Undecodable:
    return Undecodable(
        f"the record at {place} offset {record.offset} cannot be read: {error}; nothing after it is shown until "
        "this process is upgraded to the version that wrote it, or the record is mended"
    )


def without_nul(value: bytes) -> bytes:
    """JSON without U+0000, which a publisher may write and Postgres cannot keep."""
    return msgspec.json.encode(replace_nul(msgspec.json.decode(value)))


def replace_nul(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\x00", REPLACEMENT)
        case list():
            return [replace_nul(each) for each in value]
        case dict():
            return {replace_nul(key): replace_nul(each) for key, each in value.items()}
    return value
