"""How far an achievement is: every rule of the percentage, with the answer worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from progress.achievements import Progress, progress_of_all
from progress.conditions import percent_of
from progress.standing import Standing
from schemas.program import All, LevelsSpec, WindowSpec
from schemas.program import Any as AnyOf
from tests.unit.standings import (
    EARNED_AT,
    NOW,
    TODAY,
    at_least,
    award,
    catalog,
    entry,
    run,
    standing,
    tier,
)

RISING = entry("rising_star", at_least("released", 5))


def percent(each: Standing) -> int:
    return percent_of(each, each.program.achievements[0])


def only(each: Standing) -> Progress:
    (progress,) = progress_of_all(each)
    return progress


@pytest.mark.parametrize(("value", "expected"), [(None, 0), (0, 0), (1, 20), (3, 60), (4, 80), (5, 99), (7, 99)])
def test_a_comparison_is_value_by_target_and_100_only_once_it_is_earned(value, expected):
    assert percent(standing(RISING, metrics={"released": value})) == expected


def test_percentages_are_cut_not_rounded():
    """2 of 3 is 66, and 199 of 200 is 99."""
    assert percent(standing(entry("a", at_least("released", 3)), metrics={"released": 2})) == 66
    assert percent(standing(entry("a", at_least("released", 200)), metrics={"released": 199})) == 99


def test_what_is_earned_shows_100_even_when_its_metric_has_fallen():
    told = only(standing(RISING, metrics={"released": 3}, awards=[award("rising_star")]))

    assert (told.percent, told.earned, told.earned_at, told.current) == (100, True, EARNED_AT, 3)


def test_a_value_below_nothing_counts_as_nothing():
    assert percent(standing(RISING, metrics={"released": -4})) == 0


def test_all_is_the_mean_of_its_conditions_each_clipped_to_100():
    """(100 + 20 + 50) / 3 = 56.67; 30 releases of 10 do not make up for the rest."""
    both = All(of=[at_least("released", 10), at_least("artists", 5), at_least("likes", 8)])

    assert percent(standing(entry("a", both), metrics={"released": 30, "artists": 1, "likes": 4})) == 56


def test_one_of_two_conditions_met_and_the_other_at_half_is_75():
    both = All(of=[at_least("released", 10), at_least("artists", 4)])

    assert percent(standing(entry("a", both), metrics={"released": 10, "artists": 2})) == 75


def test_any_is_its_best_part():
    either = AnyOf(of=[at_least("released", 10), at_least("artists", 4)])

    assert percent(standing(entry("a", either), metrics={"released": 3, "artists": 2})) == 50


def test_nested_conditions_are_weighed_where_they_stand():
    """all(60, any(10, all(100, 0))) = (60 + 50) / 2 = 55."""
    inner = AnyOf(
        of=[at_least("released", 30), All(of=[at_least("artists", 1), at_least("likes", 5)])],
    )
    nested = All(of=[at_least("released", 5), inner])

    assert percent(standing(entry("a", nested), metrics={"released": 3, "artists": 9})) == 55


def test_a_prerequisite_is_a_part_that_is_0_or_100():
    """(40 + 0) / 2, then (40 + 100) / 2, whatever the prerequisite's own percentage is."""
    wanted = entry("after", at_least("released", 5), requires=["first"])
    first = entry("first", at_least("likes", 10))

    before = standing(wanted, first, metrics={"released": 2, "likes": 9})
    after = standing(wanted, first, metrics={"released": 2, "likes": 9}, awards=[award("first")])

    assert (percent(before), percent(after)) == (20, 70)


def test_prerequisites_stand_beside_the_conditions_of_all():
    """(100 + 50 + 0) / 3 = 50."""
    both = All(of=[at_least("released", 1), at_least("artists", 2)])
    wanted = entry("after", both, requires=["first"])

    assert percent(standing(wanted, entry("first"), metrics={"released": 1, "artists": 1})) == 50


def test_a_set_is_its_members_held():
    """2 of 3 is 66, however near the third one is."""
    members = [entry(key, at_least("released", 10)) for key in ("a", "b", "c")]
    whole = entry("whole", all_of="music", requires=["a", "b", "c"])

    each = standing(whole, *members, metrics={"released": 9}, awards=[award("a"), award("b")])

    told = progress_of_all(each)[0]
    assert told.percent == 66
    assert {member.key: member.held for member in told.members} == {"a": True, "b": True, "c": False}


@pytest.mark.parametrize(
    ("present", "expected"), [(run(3), 42), (run(3, ago=1), 42), (run(3, ago=2), 0), (run(5, longest=6), 71)]
)
def test_a_streak_shows_the_present_run_until_it_is_earned(present, expected):
    """3 of 7 is 42.8; a day missed makes it 0, and an older longer run that is short of the target is no help."""
    week = entry("week", at_least("logins", 7))

    told = standing(week, metrics={"logins": present.longest}, streaks={"logins": present})

    assert percent(told) == expected


def test_a_streak_condition_once_reached_stays_met_in_a_compound():
    """(100 + 30) / 2: the longest run counts, though the present one is broken."""
    both = entry("both", All(of=[at_least("logins", 7), at_least("released", 10)]))

    told = only(standing(both, metrics={"logins": 9, "released": 3}, streaks={"logins": run(2, ago=40, longest=9)}))

    assert told.percent == 65
    assert told.conditions_status == {"logins": True, "released": False}
    assert [condition.value for condition in told.conditions] == [9, 3]


def test_grace_keeps_the_present_run_for_as_many_days_more():
    """The last day was the day before yesterday: without grace the run is over, with one day it is not."""
    entries = entry("plain", at_least("logins", 10)), entry("kind", at_least("practice", 10))
    runs = {"logins": run(4, ago=2), "practice": run(4, ago=2)}

    told = progress_of_all(standing(*entries, streaks=runs, metrics={"logins": 4, "practice": 4}))

    assert [each.percent for each in told] == [0, 40]


def test_today_is_the_users_own_day():
    """At 23:30 in Los Angeles it is the 12th there and the 13th in Paris: the run of the 11th still lives."""
    week = entry("week", at_least("logins", 7))
    late = NOW.replace(day=13, hour=6, minute=30)
    known = {"metrics": {"logins": 4}, "streaks": {"logins": run(4, ago=1)}}

    assert percent(standing(week, now=late, zone="America/Los_Angeles", **known)) == 57
    assert percent(standing(week, now=late, **known)) == 0


def test_levels_are_told_as_levels_and_weighed_by_what_they_are_of():
    """Level 3 starts at 300 XP; 150 are half of it, and level 2."""
    levels = LevelsSpec(of="xp", starts=[0, 100, 300], slot=0)
    program = catalog(entry("third", at_least("xp", 300, level=3)), levels=levels)

    told = only(standing(program=program, metrics={"xp": 150}))

    assert told.percent == 50
    (condition,) = told.conditions
    assert (condition.kind, condition.value, condition.target, condition.met) == ("level", 2, 3, False)


def test_decimals_are_told_in_the_authors_unit():
    told = only(standing(entry("rich", at_least("earned", 9950)), metrics={"earned": 1250}))

    assert (told.current, told.target, told.percent) == (Decimal("12.50"), Decimal("99.50"), 12)


def test_the_percentage_of_tiers_is_that_of_the_next_one():
    """Bronze at 10 is held; silver at 50: (20/50 + 3/6) / 2 = 45."""
    solver = [
        tier("solver", "bronze", 0, {"solved": ("released", 10), "seen": ("artists", 2)}, points=10, order=1),
        tier("solver", "silver", 1, {"solved": ("released", 50), "seen": ("artists", 6)}, points=25, order=1),
    ]
    known = {"metrics": {"released": 20, "artists": 3}}

    told = only(standing(*solver, awards=[award("solver", tier="bronze")], **known))

    assert (told.percent, told.earned, told.tier, told.next_tier) == (45, True, "bronze", "silver")
    assert told.conditions_status == {"solved": False, "seen": False}
    assert [(each.tier, each.earned, each.percent) for each in told.tiers] == [
        ("bronze", True, 100),
        ("silver", False, 45),
    ]


def test_all_tiers_held_is_100_and_nothing_comes_next():
    solver = [tier("solver", name, rank, {"n": ("released", 1)}) for rank, name in enumerate(["bronze", "silver"])]
    awards = [award("solver", tier="bronze"), award("solver", tier="silver")]

    told = only(standing(*solver, awards=awards, metrics={"released": 1}))

    assert (told.percent, told.tier, told.next_tier, told.times) == (100, "silver", None, 2)


def test_an_award_straight_from_an_event_is_all_or_nothing():
    module = entry("module_complete", scope="module_id", on=[])
    awards = [award("module_complete", scope="m2"), award("module_complete", scope="m1")]

    assert only(standing(module)).percent == 0
    told = only(standing(module, awards=awards))
    assert (told.percent, told.times, [each.scope for each in told.scopes]) == (100, 2, ["m2", "m1"])


def test_a_season_counts_only_what_it_saw():
    """5 of 10 in the season, 40 at all."""
    metric = "released@2026-06-01..2026-09-01"
    window = WindowSpec(first_day=TODAY - 11, end_day=TODAY + 81)
    summer = entry("summer", at_least(metric, 10), window=window)

    told = only(standing(summer, metrics={"released": 40, metric: 5}))

    assert told.percent == 50
    assert told.conditions_status == {"released": False}
    assert told.season is not None
    assert (told.season.state, f"{told.season.first}", f"{told.season.until}") == (
        "open",
        "2026-06-01",
        "2026-09-01",
    )


@pytest.mark.parametrize(("first", "end", "state"), [(1, 9, "upcoming"), (-9, 0, "over"), (0, 1, "open")])
def test_a_season_begins_with_its_first_day_and_is_over_on_the_day_it_names(first, end, state):
    window = WindowSpec(first_day=TODAY + first, end_day=TODAY + end)

    told = only(standing(entry("a", at_least("released", 1), window=window)))

    assert told.season is not None
    assert told.season.state == state


def test_what_comes_again_every_week_is_told_for_this_week():
    """Last week's award does not make this week's."""
    weekly = entry("busy_week", at_least("released@week", 4), window=WindowSpec(every="week"))
    metrics = {"released": 9, "released@week": {"2026-W23": 5, "2026-W24": 1}}

    told = only(standing(weekly, metrics=metrics, awards=[award("busy_week", scope="2026-W23")]))

    assert (told.percent, told.earned, told.current, told.target, told.times) == (25, False, 1, 4, 1)
    assert [(each.period, each.value, bool(each.earned_at)) for each in told.periods] == [
        ("2026-W24", 1, False),
        ("2026-W23", 5, True),
    ]
    assert told.season is not None
    assert (told.season.period, f"{told.season.first}", f"{told.season.until}") == (
        "2026-W24",
        "2026-06-08",
        "2026-06-15",
    )


def test_nothing_tells_of_a_secret_one_before_it_is_earned():
    """Neither itself nor as what another one requires."""
    ghost = entry("ghost", at_least("released", 13), secret=True)
    after = entry("after", at_least("released", 1), requires=["ghost"])

    told = progress_of_all(standing(ghost, after, metrics={"released": 1}))

    assert [each.key for each in told] == ["after"]
    assert "ghost" not in repr(told)
    assert told[0].percent == 50
    assert [each.key for each in progress_of_all(standing(ghost, awards=[award("ghost")]))] == ["ghost"]


def test_what_is_not_active_is_shown_to_those_who_have_it_only():
    old = entry("old", at_least("released", 1), is_active=False)

    assert progress_of_all(standing(old)) == []
    assert only(standing(old, awards=[award("old")])).percent == 100
