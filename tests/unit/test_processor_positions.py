"""Where a partition starts to read: three witnesses must agree, or a person must decide."""

from __future__ import annotations

import pytest

from processor.kafka.positions import Bounds, starting_positions
from schemas.errors import Precondition
from schemas.state import Control

TOPIC, GROUP, NUMBER = "songs", "laurel.processor", 5


def start(recorded: int | None, begin: int, end: int, committed: int | None) -> int:
    control = Control(positions={} if recorded is None else {TOPIC: recorded})
    return starting_positions(GROUP, NUMBER, control, {TOPIC: Bounds(begin, end, committed)})[TOPIC]


@pytest.mark.parametrize(
    ("recorded", "begin", "end", "committed", "position"),
    [
        (None, 0, 10, None, 0),  # a new partition
        (None, 4, 10, None, 4),  # a new partition of a topic that retention has shortened
        (7, 0, 10, 7, 7),
        (10, 0, 10, 10, 10),
        (7, 0, 10, 3, 3),  # an operator moved the group back: marks in the states skip what is known
    ],
)
def test_reading_goes_on_where_the_group_stands(
    recorded: int | None, begin: int, end: int, committed: int | None, position: int
) -> None:
    assert start(recorded, begin, end, committed) == position


def test_a_group_that_forgot_what_the_changelog_records_is_refused_with_the_command_to_mend_it() -> None:
    with pytest.raises(
        Precondition, match=r"songs-5 was read up to 7.*--topic songs:5 --reset-offsets --to-offset 7"
    ):
        start(recorded=7, begin=0, end=10, committed=None)


@pytest.mark.parametrize(("recorded", "committed"), [(7, 7), (7, 2)])
def test_a_topic_shorter_than_what_was_read_of_it_is_refused(recorded: int | None, committed: int | None) -> None:
    """Recreated: its new events would be taken for old ones."""
    with pytest.raises(Precondition, match="songs-5 ends at 6, but was read up to 7: the topic was recreated"):
        start(recorded, 0, 6, committed)


def test_a_changelog_that_does_not_know_what_the_group_has_read_is_refused() -> None:
    """Recreated: what users did before would count for nothing, in silence."""
    with pytest.raises(Precondition, match=r"read up to 7, says the group, but the changelog has no word of it"):
        start(recorded=None, begin=0, end=10, committed=7)


def test_events_that_retention_deleted_unread_are_not_passed_over_in_silence() -> None:
    with pytest.raises(Precondition, match=r"begins at 9, but was read only up to 7.*retention.ms.*--to-earliest"):
        start(recorded=7, begin=9, end=20, committed=7)
