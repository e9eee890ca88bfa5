"""Which gaps a chain of active days bridges. All answers are worked out by hand."""

from __future__ import annotations

import pytest

from schemas.streaks import chains, day_number, freezes_left, joins, length_of


def lengths(*runs: tuple[int, int], grace: int = 0, freezes: tuple[int, ...] = (), joined: tuple[int, ...] = ()):
    return [length_of(chain) for chain in chains(runs, grace, freezes, joined)]


def test_without_any_help_a_missed_day_breaks_the_chain() -> None:
    assert lengths((1, 3), (5, 6)) == [3, 2]


def test_grace_bridges_so_many_missed_days_in_a_row_and_not_one_more() -> None:
    assert lengths((1, 3), (5, 6), (9, 9), grace=1) == [5, 1]
    assert lengths((1, 3), (5, 6), (9, 9), grace=2) == [6]


def test_grace_days_do_not_count_themselves() -> None:
    assert lengths((1, 1), (3, 3), (5, 5), grace=1) == [3]


@pytest.mark.parametrize(
    ("freezes", "expected"),
    [
        ((3,), [4]),  # bought while still active
        ((4,), [4]),  # bought on the missed day itself
        ((5,), [3, 1]),  # bought too late
    ],
)
def test_a_freeze_bridges_a_day_that_was_missed_when_it_was_there_in_time(
    freezes: tuple[int, ...], expected: list[int]
) -> None:
    assert lengths((1, 3), (5, 5), freezes=freezes) == expected


def test_a_freeze_is_used_once() -> None:
    assert lengths((1, 1), (3, 3), (5, 5), freezes=(1,)) == [2, 1]
    assert lengths((1, 1), (3, 3), (5, 5), freezes=(1, 1)) == [3]


def test_a_gap_takes_all_the_freezes_it_needs_or_none() -> None:
    """Two missed days and one freeze: broken, and the freeze serves the next gap."""
    assert lengths((1, 1), (4, 4), (6, 6), freezes=(1,)) == [1, 2]


def test_freezes_bridge_only_what_grace_does_not() -> None:
    assert lengths((1, 1), (4, 4), grace=1, freezes=(1,)) == [2]
    assert lengths((1, 1), (5, 5), grace=1, freezes=(1,)) == [1, 1]


def test_a_late_freeze_may_serve_an_earlier_gap_and_be_missing_later() -> None:
    """Days 1, 4, 6 and 7. One freeze joins 4 and 6; a second lets the first gap take both."""
    assert lengths((1, 1), (4, 4), (6, 7), freezes=(1,)) == [1, 3]
    assert lengths((1, 1), (4, 4), (6, 7), freezes=(1, 1)) == [2, 2]


def test_what_is_left_of_the_freezes_is_what_no_gap_has_taken() -> None:
    runs, freezes = [(1, 1), (3, 3), (9, 9)], [1, 2, 8]
    found = chains(runs, 0, freezes, ())

    assert [length_of(chain) for chain in found] == [2, 1]
    assert freezes_left(found, 0, freezes, ()) == 2


def test_the_days_of_a_chain_are_numbered_over_its_gaps() -> None:
    assert [day_number([(10, 11), (13, 14)], number) for number in (1, 2, 3, 4)] == [10, 11, 13, 14]


def test_a_day_that_the_date_line_skipped_was_not_missed() -> None:
    """From Hawaii (UTC-10) on day 1 to Kiritimati (UTC+14) on day 3: no moment of day 2 was lived."""
    west, east = -10 * 60, 14 * 60

    assert joins([(1, west, west), (3, east, east)]) == {1}
    assert lengths((1, 1), (3, 4), joined=(1,)) == [3]
    assert lengths((1, 1), (4, 4), joined=(1,)) == [1, 1]


def test_a_journey_of_less_than_a_day_skips_nothing() -> None:
    """From Hawaii (UTC-10) to Auckland in summer (UTC+13) an hour of the day between was left."""
    assert joins([(1, -600, -600), (3, 780, 780)]) == set()
    assert joins([(1, 840, 840), (3, -600, -600)]) == set()
