"""A user's own pace, and what it says about the rest: worked out by hand."""

from __future__ import annotations

from datetime import date

import pytest

from progress.achievements import progress_of_all
from progress.estimates import effort_days, estimated_completion
from progress.pace import daily_rate, days_left, whole_days
from progress.rows import Run
from progress.standing import Standing
from progress.streaks import current_run, tell_streaks
from schemas.program import All, WindowSpec
from schemas.program import Any as AnyOf
from tests.unit.standings import TODAY, at_least, award, catalog, entry, metric, pace, run, standing

TWO_DAYS = 1 + 2 ** (-1 / 14)  # what 1 yesterday and 1 today weigh together
FIFTEEN_DAYS = 10.8509  # 1 + 2^(-1/14) + … + 2^(-14/14)


def estimate(each: Standing) -> date | None:
    return estimated_completion(each, each.program.achievements[0])


def test_somebody_who_gained_the_same_each_day_gains_that_a_day():
    """3 yesterday and 3 today."""
    gained = 3 + 3 * 2 ** (-1 / 14)

    assert daily_rate(pace(gained, since=1), TODAY) == pytest.approx(3.0)


def test_a_gain_counts_half_after_14_days_and_so_do_the_days():
    """8 gained today and 4 fourteen days ago, which count as 2: 10 in fifteen weighed days."""
    assert daily_rate(pace(10.0, since=14), TODAY) == pytest.approx(10 / FIFTEEN_DAYS, rel=1e-5)


def test_a_pace_decays_while_nothing_happens():
    """What was gained two days in a row until 14 days ago has half its weight among sixteen days."""
    weighed = sum(2 ** (-age / 14) for age in range(16))

    assert daily_rate(pace(4.0, since=15, ago=14), TODAY) == pytest.approx(2.0 / weighed)


def test_one_active_day_tells_no_pace():
    assert daily_rate(pace(100.0, days=1), TODAY) is None
    assert days_left(5, pace(100.0, days=1), TODAY) is None
    assert days_left(5, None, TODAY) is None


def test_what_lies_ten_years_ahead_is_no_estimate():
    assert days_left(3_649, pace(TWO_DAYS, since=1), TODAY) == pytest.approx(3_649)
    assert days_left(3_651, pace(TWO_DAYS, since=1), TODAY) is None


def test_days_are_whole_and_a_rounding_error_is_no_day():
    assert [whole_days(days) for days in (0.2, 1.0, 1.0000000001, 1.01)] == [1, 1, 1, 2]


def test_a_pace_seen_from_a_zone_where_it_is_still_yesterday():
    """1 on their yesterday, which is today here, and 1 on their today: one a day all the same."""
    assert daily_rate(pace(TWO_DAYS, since=0, ago=-1), TODAY) == pytest.approx(1.0)


def test_the_estimate_is_what_remains_at_that_pace():
    """7 of 10 missing, 2 a day: 3.5 days, so on the fourth from 2026-06-12."""
    each = standing(
        entry("a", at_least("released", 10)),
        metrics={"released": 3},
        paces={"released": pace(2 * TWO_DAYS, since=1)},
    )

    assert estimate(each) == date(2026, 6, 16)


def test_what_is_earned_has_no_estimate():
    assert estimate(standing(entry("a", at_least("released", 1)), awards=[award("a")])) is None


COMPOUND = {
    "metrics": {"released": 8, "artists": 1},
    "paces": {"released": pace(TWO_DAYS, since=1), "artists": pace(TWO_DAYS / 2, since=1)},
}


def test_all_takes_as_long_as_its_slowest_condition():
    """2 releases at one a day, 4 artists at one in two days: 8 days."""
    both = All(of=[at_least("released", 10), at_least("artists", 5)])

    assert estimate(standing(entry("a", both), **COMPOUND)) == date(2026, 6, 20)


def test_any_takes_as_long_as_its_fastest():
    either = AnyOf(of=[at_least("released", 10), at_least("artists", 5)])

    assert estimate(standing(entry("a", either), **COMPOUND)) == date(2026, 6, 14)


def test_all_with_an_unknown_pace_is_unknown_and_any_is_not():
    parts = [at_least("released", 10), at_least("likes", 5)]

    assert estimate(standing(entry("a", All(of=parts)), **COMPOUND)) is None
    assert estimate(standing(entry("a", AnyOf(of=parts)), **COMPOUND)) == date(2026, 6, 14)


def test_a_condition_that_is_met_takes_no_time_whatever_its_pace():
    both = All(of=[at_least("released", 10), at_least("likes", 5)])
    known = {**COMPOUND, "metrics": {"released": 8, "likes": 5}}

    assert estimate(standing(entry("a", both), **known)) == date(2026, 6, 14)


def test_the_best_of_single_events_is_not_worked_off_day_by_day():
    program = catalog(entry("a", at_least("best", 90)), metrics=[metric("best", "max")])
    known = {"metrics": {"best": 82}, "paces": {"best": pace(40.0, since=1)}}

    assert estimate(standing(program=program, **known)) is None


def test_what_is_required_takes_its_time_too():
    """The achievement itself needs 2 days, what it requires 8."""
    wanted = entry("after", at_least("released", 10), requires=["first"])
    first = entry("first", at_least("artists", 5))

    assert estimate(standing(wanted, first, **COMPOUND)) == date(2026, 6, 20)
    assert estimate(standing(wanted, first, **COMPOUND, awards=[award("first")])) == date(2026, 6, 14)


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (run(3), date(2026, 6, 16)),  # today is done: four days more, the last of them on the 16th
        (run(3, ago=1), date(2026, 6, 15)),  # today is the first of the four
        (run(3, ago=2), None),  # missed yesterday
        (run(1), None),  # one day is no run yet
    ],
)
def test_a_streak_takes_a_day_for_each_day_missing_as_long_as_it_runs(present, expected):
    each = standing(entry("week", at_least("logins", 7)), metrics={"logins": 3}, streaks={"logins": present})

    assert estimate(each) == expected


def test_a_season_goes_at_the_pace_of_the_metric_it_looks_at():
    """6 of 10 in the season are missing, at one a day; the season ends on the 18th, which is too early."""
    season = "released@2026-06-01..2026-09-01"
    known = {"metrics": {season: 4}, "paces": {"released": pace(TWO_DAYS, since=1)}}
    summer = entry("a", at_least(season, 10), window=WindowSpec(first_day=TODAY - 11, end_day=TODAY + 7))
    short = entry("a", at_least(season, 10), window=WindowSpec(first_day=TODAY - 11, end_day=TODAY + 6))

    assert estimate(standing(summer, **known)) == date(2026, 6, 18)
    assert estimate(standing(short, **known)) is None


def test_what_will_not_be_reached_this_week_has_no_estimate():
    """Friday: three missing at one a day is Monday, which belongs to next week."""
    weekly = entry("a", at_least("released@week", 4), window=WindowSpec(every="week"))
    known = {"paces": {"released": pace(TWO_DAYS, since=1)}}

    assert estimate(standing(weekly, metrics={"released@week": {"2026-W24": 1}}, **known)) is None
    assert estimate(standing(weekly, metrics={"released@week": {"2026-W24": 2}}, **known)) == date(2026, 6, 14)


def test_an_award_straight_from_an_event_cannot_be_estimated():
    each = standing(entry("module_complete", scope="module_id"))

    assert effort_days(each, each.program.achievements[0]) is None


def test_the_last_change_is_the_last_day_on_which_a_metric_of_it_rose():
    both = All(of=[at_least("released", 10), at_least("logins", 7)])
    known = {"paces": {"released": pace(1.0, ago=4)}, "streaks": {"logins": run(2, ago=3)}}

    (told,) = progress_of_all(standing(entry("a", both), **known))

    assert told.changed_on == date(2026, 6, 9)


@pytest.mark.parametrize(
    ("ago", "grace", "freezes", "expected"),
    [
        (0, 0, 0, 5),
        (1, 0, 0, 5),
        (2, 0, 0, 0),
        (2, 1, 0, 5),
        (3, 1, 0, 0),
        (3, 0, 2, 5),
        (4, 1, 2, 5),
        (5, 1, 2, 0),
    ],
)
def test_a_run_lives_while_the_next_active_day_joins_it(ago, grace, freezes, expected):
    """Missed are the days between the last one and today; grace and freezes are for so many of them."""
    assert current_run(run(5, ago=ago, freezes=freezes), TODAY, grace) == expected


def test_somebody_without_an_active_day_has_no_streak():
    assert current_run(Run(), TODAY) == 0


def test_streaks_say_until_when_they_can_be_kept_and_the_headline_comes_first():
    program = catalog(headline_streak="practice")
    known = {"logins": run(3, ago=1, longest=8), "practice": run(2, ago=2)}

    practice, logins = tell_streaks(program, known, TODAY)

    assert (practice.metric, practice.headline, practice.current, practice.grace) == ("practice", True, 2, 1)
    assert practice.ends_on == date(2026, 6, 12)
    assert (logins.current, logins.longest, logins.active_today) == (3, 8, False)
    assert (logins.last_day, logins.ends_on) == (date(2026, 6, 11), date(2026, 6, 12))
