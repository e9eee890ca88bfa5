"""Dead letters: the record as it was as long as it fits, and always a way to recognise it."""

from __future__ import annotations

import hashlib

import pytest

from processor.kafka.batches import Row
from processor.kafka.dead_letters import dead_letter
from processor.kafka.partition import Refusal
from schemas.errors import BadRecord
from schemas.records import Header, PlainRecord
from schemas.topics import DEAD_LETTER_BYTES_MAX, SOURCE_RECORD_BYTES_MAX

STAMP_MS = 1_780_000_000_000


def letter(key: bytes | None, value: bytes | None, headers: tuple[Header, ...] = (), **stamp: int) -> Row:
    record = PlainRecord(12, stamp.get("stamp_ms", STAMP_MS), key, value, headers)
    return dead_letter(Refusal("songs", 3, record, BadRecord("bad_data", "no such field")))


def size(row: Row) -> int:
    key, value, _, headers = row
    return (
        len(key or b"") + len(value or b"") + sum(len(name.encode()) + len(each or b"") for name, each in headers)
    )


def test_the_largest_source_record_fits_untouched() -> None:
    value = b"v" * (SOURCE_RECORD_BYTES_MAX - 100)

    row = letter(b"ann", value, (("trace", b"1"),))

    assert row[:2] == (b"ann", value)
    assert row[3][0] == ("trace", b"1")
    assert dict(row[3])["laurel.error.message"] == b"no such field"
    assert size(row) < DEAD_LETTER_BYTES_MAX


def test_a_value_beyond_the_limit_is_cut_and_its_hash_kept() -> None:
    """Such a record came compressed from a topic that takes more; it may not stop the partition."""
    value = b"v" * (DEAD_LETTER_BYTES_MAX + 5)

    row = letter(b"ann", value)

    kept, headers = row[1], dict(row[3])
    assert kept is not None
    assert len(kept) > SOURCE_RECORD_BYTES_MAX
    assert value.startswith(kept)
    assert headers["laurel.error.value.sha256"] == hashlib.sha256(value).hexdigest().encode()
    assert headers["laurel.error.value.bytes"] == str(len(value)).encode()
    assert size(row) < DEAD_LETTER_BYTES_MAX


def test_a_key_beyond_the_limit_is_replaced_by_its_hash() -> None:
    key = b"k" * DEAD_LETTER_BYTES_MAX

    row = letter(key, b"value")

    assert row[:2] == (None, b"value")
    assert dict(row[3])["laurel.error.key.sha256"] == hashlib.sha256(key).hexdigest().encode()


def test_headers_whose_names_are_beyond_the_limit_are_replaced_by_their_hash() -> None:
    """Measured in bytes, of which a letter may have several."""
    headers = (("ß" * (DEAD_LETTER_BYTES_MAX // 2), None),)

    row = letter(b"ann", b"value", headers)

    assert row[1] == b"value"
    assert (
        dict(row[3])["laurel.error.headers.sha256"]
        == hashlib.sha256(repr([*headers]).encode()).hexdigest().encode()
    )
    assert size(row) < DEAD_LETTER_BYTES_MAX


@pytest.mark.parametrize("key", [None, b""])
def test_a_record_without_key_or_value_stays_so(key: bytes | None) -> None:
    assert letter(key, None)[:2] == (key, None)


@pytest.mark.parametrize("stamp_ms", [-1, 0, STAMP_MS, 99_999_999_999_999])
def test_a_letter_is_as_old_as_itself_and_names_the_time_of_its_record(stamp_ms: int) -> None:
    """As old as its record it would be deleted soon, or at once; one from the future no broker would take."""
    row = letter(b"ann", b"", stamp_ms=stamp_ms)

    assert row[2] is None, "the moment in which it is written"
    assert dict(row[3])["laurel.error.timestamp"] == str(stamp_ms).encode()
