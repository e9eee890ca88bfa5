"""How fast metrics rise, worked out by hand. A gain of 14 days ago counts half, one of 28 days ago a quarter."""

from __future__ import annotations

import pytest

from projections.pace import Pace, follow, paced

DAY = 20_000


def gained(pace: Pace, value: int) -> float:
    """What a reader takes for gained, as of the pace's day."""
    return max(0, pace.gained + value - pace.base)


def moved(*steps: tuple[int, int]) -> tuple[Pace, int]:
    """The pace after these (day, value) in turn, each seen once."""
    pace, value = None, 0
    for day, after in steps:
        pace, value = paced(pace, value, day), after
    assert pace is not None
    return pace, value


def test_what_is_seen_first_was_gained_on_its_day():
    pace, value = moved((DAY, 7))

    assert pace == Pace(0, 0, DAY, DAY, 1)
    assert gained(pace, value) == 7


def test_a_gain_counts_half_after_14_days():
    pace, value = moved((DAY, 8), (DAY + 14, 9))

    assert pace == Pace(8, 4, DAY + 14, DAY, 2)
    assert gained(pace, value) == 8 / 2 + 1


def test_gains_fade_each_by_its_own_age():
    pace, value = moved((DAY, 8), (DAY + 14, 12), (DAY + 28, 13))

    assert gained(pace, value) == 8 / 4 + 4 / 2 + 1
    assert (pace.first_day, pace.day, pace.days) == (DAY, DAY + 28, 3)


def test_gains_of_one_day_are_one_day_however_often_they_are_seen():
    pace, value = moved((DAY, 2), (DAY, 3), (DAY, 5))

    assert pace == Pace(0, 0, DAY, DAY, 1)
    assert gained(pace, value) == 5


def test_what_is_lost_again_is_taken_off():
    pace, value = moved((DAY, 8), (DAY + 14, 6))

    assert gained(pace, value) == 8 / 2 - 2


@pytest.mark.parametrize("after", [3, 0])
def test_nobody_gains_less_than_nothing(after):
    pace, value = moved((DAY, 8), (DAY + 14, after), (DAY + 28, after))

    assert gained(pace, value) == 0


def test_a_day_before_the_latest_changes_no_pace():
    """As when a catalog of a new version begins a metric anew."""
    pace, _ = moved((DAY, 8))

    assert paced(pace, 9, DAY - 3) is pace


def test_a_metric_that_never_moved_and_one_that_is_gone_have_no_pace():
    old = Pace(0, 0, DAY, DAY, 1)

    assert follow({"kept": old, "gone": old}, {"kept": 4, "idle": None}, [("kept", DAY + 14)]) == {
        "kept": Pace(4, 2, DAY + 14, DAY, 2)
    }
