"""`laurel dlq` shows whatever lies in the dead letters."""

from __future__ import annotations

from cli.dead_letters import dead_letter, summary, whole
from processor.kafka.dead_letters import dead_letter as row_of
from processor.kafka.partition import Refusal
from schemas.errors import BadRecord
from schemas.records import Header, PlainRecord


def letter_of(*headers: Header) -> PlainRecord:
    """A refused record with these headers, as it stands in the topic."""
    record = PlainRecord(12, 1_780_000_000_000, b"ann\xff", None, headers)
    key, value, _, written = row_of(Refusal("songs", 3, record, BadRecord("null_value", "no value")))
    return PlainRecord(5, 1_780_000_000_000, key, value, written)


def test_headers_of_a_publisher_may_look_like_ours_and_hold_anything() -> None:
    """Without a value, or with one that is no text. Of two with one name ours stands behind, and wins."""
    theirs: list[Header] = [("laurel.error.x", None), ("laurel.error.y", b"\xff"), ("laurel.error.class", None)]

    letter = dead_letter(1, letter_of(*theirs))

    assert summary(letter) == {
        "id": "1-5",
        "class": "null_value",
        "topic": "songs",
        "partition": 3,
        "offset": 12,
        "message": "no value",
    }
    told = whole(letter)
    assert (told["key"], told["value"]) == ("ann\\xff", None)
    assert (told["headers"]["laurel.error.x"], told["headers"]["laurel.error.y"]) == (None, "\\xff")


def test_a_record_that_somebody_else_put_there_is_shown_without_a_reason() -> None:
    letter = dead_letter(1, PlainRecord(5, 1_780_000_000_000, b"k", b"v", [("laurel.error.offset", b"soon")]))

    assert (letter.cause, letter.offset, letter.message) == ("unknown", -1, "no header says why")
