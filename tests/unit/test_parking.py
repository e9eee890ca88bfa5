"""Counting the exits at a record, and which order skips it. No server."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from broker.parking import Parking, take_note
from schemas.errors import Precondition
from schemas.notes import EXITS_MAX, SkipOrder, Suspect, after_exit, decode_note, encode_note, key_of
from schemas.records import PlainRecord


def exit_at(start: int, end: int) -> Suspect:
    return Suspect(topic="songs", start=start, end=end, exits=1, error="KeyError")


def test_the_exits_at_a_record_add_up_from_the_first_that_only_knew_the_stretch() -> None:
    """The first exit knows a stretch of records, the next one the very record."""
    first = after_exit(None, exit_at(100, 900))
    second = after_exit(first, exit_at(412, 413))
    third = after_exit(second, exit_at(412, 413))

    assert [each.exits for each in (first, second, third)] == [1, 2, EXITS_MAX]
    assert [each.is_parked for each in (first, second, third)] == [False, False, True]


def test_an_exit_somewhere_else_is_counted_anew() -> None:
    known = Suspect(topic="songs", start=412, end=413, exits=2, error="KeyError")

    assert after_exit(known, exit_at(413, 414)).exits == 1
    assert after_exit(known, exit_at(400, 500)).exits == 1


def test_a_stretch_is_never_parked_however_often_it_ends_a_worker() -> None:
    """What is skipped must be one record, and the right one."""
    assert not Suspect(topic="songs", start=1, end=3, exits=9, error="KeyError").is_parked


PARKED = Suspect(topic="songs", start=7, end=8, exits=EXITS_MAX, error="KeyError")


@pytest.mark.parametrize(
    ("suspect", "offset", "skipped"),
    [(PARKED, 7, True), (PARKED, 6, False), (PARKED, 8, False), (None, 7, False)],
)
def test_an_order_counts_only_at_the_parked_record(suspect: Suspect | None, offset: int, skipped: bool) -> None:
    assert Parking(suspect, SkipOrder(topic="songs", offset=offset)).is_to_be_skipped is skipped


def test_an_order_before_the_record_is_parked_is_none() -> None:
    suspect = Suspect(topic="songs", start=7, end=8, exits=EXITS_MAX - 1, error="KeyError")

    assert not Parking(suspect, SkipOrder(topic="songs", offset=7)).is_to_be_skipped


def test_an_order_is_void_after_the_next_exit() -> None:
    """Somebody ordered the record to be skipped, then had it tried again: the last word counts."""
    order, tried_again = SkipOrder(topic="songs", offset=7), replace(PARKED, exits=0)
    found: dict[tuple[str, int], Parking] = {}

    for note in (PARKED, order, tried_again, PARKED):
        take_note(found, 3, PlainRecord(0, 0, key_of(note), encode_note(note)))

    assert found == {("songs", 3): Parking(PARKED)}


def test_a_note_of_a_newer_version_is_refused() -> None:
    with pytest.raises(Precondition, match=r"offset 4 of partition 3 of the control topic .* upgrade it"):
        take_note({}, 3, PlainRecord(4, 0, b"new", b'{"type":"new"}'))


def test_notes_come_back_as_they_were_under_a_key_of_their_own() -> None:
    notes = [PARKED, SkipOrder(topic="songs", offset=7), SkipOrder(topic="logins", offset=7)]

    assert [decode_note(encode_note(note)) for note in notes] == notes
    assert len({key_of(note) for note in notes}) == 3
