"""What readers of a state are told of it: chains, periods, times, awards. All answers are worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.program import Feed
from schemas.replays import ReplayNote
from schemas.state import (
    LOST,
    Control,
    award_entry,
    award_of,
    awarded_at,
    decode_control,
    encode_control,
    metric_values,
    period_values,
    present_chain,
    time_of,
    with_award,
    without_award,
)
from tests.unit.written_program import Fold, metric, written


def test_the_present_chain_counts_active_days_and_says_what_freezes_are_left() -> None:
    """1 January 2026 is day 20454. Days 1, 2 and 4: a freeze over day 3, one of two left."""
    days = metric("days", "streak", freezes=[Feed(type="frozen")])
    fold = Fold(written([days]))
    for kind, day in (("done", 1), ("frozen", 1), ("frozen", 2), ("done", 2), ("done", 4)):
        fold.take(kind, at=f"2026-01-0{day}T10:00:00Z")

    chain = present_chain(fold.state(), fold.program.catalogs[0].metrics[0])

    assert chain == (20454, 20457, 3, 1)


def test_before_the_first_day_there_is_no_chain() -> None:
    fold = Fold(written([metric("days", "streak")]))
    fold.take("seen")

    assert present_chain(fold.state(), fold.program.catalogs[0].metrics[0]) is None


def test_values_of_periods_come_in_order_under_their_names_and_not_among_the_metrics() -> None:
    fold = Fold(written([metric("done@month", "distinct", by=["item"], every="month")]))
    for item, at in (("a", "2026-02-01"), ("b", "2026-02-09"), ("a", "2026-02-10"), ("c", "2025-12-31")):
        fold.take("done", item=item, at=f"{at}T10:00:00Z")

    assert period_values(fold.state(), fold.program.catalogs[0].metrics[0]) == {"2025-12": 1, "2026-02": 2}
    assert metric_values(fold.state(), fold.program) == {"toy": {}}


def test_a_metric_has_the_latest_time_of_what_moved_it_and_none_before() -> None:
    fold = Fold(written([metric("done"), metric("days", "streak"), metric("seen", plus="seen")]))
    for day in (3, 2):
        fold.take("done", at=f"2026-01-0{day}T10:00:00Z")

    times = [time_of(fold.state(), each) for each in fold.program.catalogs[0].metrics]

    assert times == [datetime(2026, 1, 3, 10, tzinfo=UTC), None, None]


def test_a_lost_award_is_counted_and_not_held_until_it_comes_back() -> None:
    awards = award_entry(7, 100) + award_entry(8, 200)

    lost = without_award(awards, 7)

    assert (awarded_at(lost, 7), awarded_at(lost, 8)) == (None, 200)
    assert award_of(lost, 7) == (1, LOST)
    assert award_of(with_award(lost, 7, 300), 7) == (1, 300)
    assert award_of(awards, 9) is None


def test_awards_whose_numbers_end_alike_are_told_apart() -> None:
    """7 and 263 have the same low byte; 1,792 ends with the high bytes of whatever stands behind it."""
    awards = award_entry(263, 1) + award_entry(1_792, 2)

    assert [awarded_at(awards, number) for number in (263, 1_792, 7, 0)] == [1, 2, None, None]
    assert [awarded_at(with_award(awards, 7, 3), number) for number in (263, 1_792, 7)] == [1, 2, 3]


def test_a_control_record_says_what_is_known_of_replays_and_one_of_before_says_nothing() -> None:
    note = ReplayNote(phase="filling", cut={"songs": 7}, muted=[("toy", "first")], filling=[("toy", "songs")])
    control = Control(catalogs={"toy": 2}, positions={"songs": 7}, replays={"toy-v2": note})

    assert decode_control(encode_control(control)) == control
    assert decode_control(b'{"format":1,"catalogs":{"toy":2},"positions":{"songs":7}}').replays == {}
