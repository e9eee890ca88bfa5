"""What comes next: suggestions and the roadmap."""

from __future__ import annotations

from datetime import date

from progress.roadmap import roadmap
from progress.standing import Standing
from progress.suggestions import suggest
from schemas.program import All, Texts, WindowSpec
from tests.unit.standings import TODAY, at_least, award, entry, pace, standing, tier

TWO_DAYS = 1 + 2 ** (-1 / 14)  # what 1 yesterday and 1 today weigh together
ONE_A_DAY = pace(TWO_DAYS, since=1)
KNOWN = {"metrics": {"released": 3, "artists": 3, "likes": 3}, "paces": {"released": ONE_A_DAY}}


def suggested(each: Standing) -> list[str]:
    return [suggestion.key for suggestion in suggest(each)]


def on_the_way(each: Standing) -> list[str]:
    return [step.achievement.key for step in roadmap(each)]


def test_the_fewest_days_come_first_whatever_the_percentages():
    """17 of 20 releases are missing, 17 days; 1 of 4 artists is missing, at one in ten days."""
    releases, artists = entry("releases", at_least("released", 20)), entry("artists", at_least("artists", 4))
    slow = pace(TWO_DAYS / 10, since=1)
    each = standing(releases, artists, **{**KNOWN, "paces": {"released": ONE_A_DAY, "artists": slow}})

    assert suggested(each) == ["artists", "releases"]
    assert [suggestion.days_left for suggestion in suggest(each)] == [10.0, 17.0]
    assert [suggestion.estimated_completion for suggestion in suggest(each)] == [
        date(2026, 6, 22),
        date(2026, 6, 29),
    ]


def test_days_are_rounded_up_as_the_date_is():
    """1 at 0.49 a day: 2.04 days, so on the third."""
    slow = {"metrics": {"likes": 3}, "paces": {"likes": pace(TWO_DAYS * 0.49, since=1)}}

    (suggestion,) = suggest(standing(entry("a", at_least("likes", 4)), **slow))

    assert (suggestion.days_left, suggestion.estimated_completion) == (2.1, date(2026, 6, 15))


def test_an_unknown_pace_comes_last_and_then_the_higher_percentage_first():
    entries = [
        entry("half", at_least("likes", 6)),
        entry("most", at_least("artists", 4)),
        entry("known", at_least("released", 100)),
    ]

    assert suggested(standing(*entries, **KNOWN)) == ["known", "most", "half"]


def test_equals_keep_the_order_of_the_catalog():
    entries = [entry("second", at_least("likes", 6), order=7), entry("first", at_least("artists", 6), order=2)]

    assert suggested(standing(*entries, **KNOWN)) == ["first", "second"]


def test_of_a_ladder_only_the_next_step_is_suggested():
    ladder = [entry(f"at_{at}", at_least("released", at)) for at in (1, 5, 10, 25)]

    assert suggested(standing(*ladder, **KNOWN, awards=[award("at_1")])) == ["at_5"]


def test_of_tiers_only_the_next_one_is_suggested():
    tiers = [
        tier("solver", name, rank, {"n": ("released", at)}, order=1)
        for rank, (name, at) in enumerate([("bronze", 2), ("silver", 10), ("gold", 20)])
    ]

    (suggestion,) = suggest(standing(*tiers, **KNOWN, awards=[award("solver", tier="bronze")]))

    assert (suggestion.key, suggestion.tier, suggestion.percent) == ("solver", "silver", 30)


def test_compounds_are_families_of_their_own():
    both = All(of=[at_least("released", 5), at_least("artists", 5)])

    assert suggested(standing(entry("a", at_least("released", 5)), entry("b", both), **KNOWN)) == ["a", "b"]


def test_what_requires_something_unearned_is_not_suggested_and_what_it_requires_says_so():
    first = entry("first", at_least("likes", 10))
    after = entry("after", at_least("released", 4), requires=["first"])

    (suggestion,) = suggest(standing(after, first, **KNOWN))
    assert (suggestion.key, suggestion.leads_to) == ("first", ["after"])

    (suggestion,) = suggest(standing(after, first, **KNOWN, awards=[award("first")]))
    assert (suggestion.key, suggestion.days_left) == ("after", 1.0)


def test_secret_inactive_earned_and_closed_ones_are_never_suggested():
    entries = [
        entry("secret", at_least("released", 4), secret=True),
        entry("inactive", at_least("released", 4), is_active=False),
        entry("earned", at_least("released", 3)),
        entry("over", at_least("released", 4), window=WindowSpec(end_day=TODAY)),
        entry("upcoming", at_least("released", 4), window=WindowSpec(first_day=TODAY + 1)),
    ]

    each = standing(*entries, **KNOWN, awards=[award("earned")])

    assert suggested(each) == []
    assert on_the_way(each) == []


def test_what_lacks_nothing_is_not_suggested_and_no_date_is_promised():
    """Nor does what requires it have one."""
    complete = entry("complete", at_least("released", 2))
    after = entry("after", at_least("released", 4), requires=["complete"])
    each = standing(complete, after, entry("next", at_least("released", 5)), **KNOWN)

    assert suggested(each) == ["next"]
    assert [(step.achievement.key, step.achievement.days_left) for step in roadmap(each)] == [
        ("next", 2.0),
        ("complete", None),
        ("after", None),
    ]


def test_a_suggestion_says_what_is_missing_in_the_readers_language():
    wanted = entry("a", at_least("released", 5), translations={"fr": Texts(name="Étoile")})

    (suggestion,) = suggest(standing(wanted, **KNOWN), language="fr-CA")

    assert suggestion.name == "Étoile"
    assert [(each.name, each.value, each.target) for each in suggestion.missing] == [("released", 3, 5)]


def test_so_many_are_suggested_and_no_more():
    entries = [entry(f"e{at}", All(of=[at_least("released", at), at_least("likes", 1)])) for at in range(4, 20)]

    assert [len(suggest(standing(*entries, **KNOWN), count=count)) for count in (1, 5, 100)] == [1, 5, 16]


def test_the_roadmap_holds_everything_unearned_the_closest_first():
    ladder = [entry(f"at_{at}", at_least("released", at)) for at in (25, 1, 10, 5)]

    assert on_the_way(standing(*ladder, **KNOWN, awards=[award("at_1")])) == ["at_5", "at_10", "at_25"]


def test_on_the_roadmap_nothing_comes_before_what_it_requires():
    """The last of the chain is the closest by its own condition."""
    entries = [
        entry("c", at_least("released", 4), requires=["b"]),
        entry("b", at_least("released", 5), requires=["a"]),
        entry("a", at_least("released", 30)),
        entry("d", at_least("released", 20)),
    ]

    steps = roadmap(standing(*entries, **KNOWN))

    assert [step.achievement.key for step in steps] == ["d", "a", "b", "c"]
    assert [step.after for step in steps] == [[], [], ["a"], ["b"]]
    assert [f"{step.achievement.estimated_completion}" for step in steps] == [
        "2026-06-29",
        "2026-07-09",
        "2026-07-09",
        "2026-07-09",
    ]


def test_a_set_comes_behind_all_of_its_members():
    members = [entry(key, at_least(metric, 5)) for key, metric in [("a", "released"), ("b", "likes")]]
    whole = entry("whole", all_of="music", requires=["a", "b"])

    assert on_the_way(standing(whole, *members, **KNOWN)) == ["a", "b", "whole"]


def test_tiers_come_low_before_high_even_where_nothing_is_known():
    tiers = [tier("solver", name, rank, {"n": ("likes", 90)}, order=1) for rank, name in enumerate("ab")]

    steps = roadmap(standing(*reversed(tiers), **KNOWN))

    assert [step.achievement.tier for step in steps] == ["a", "b"]


def test_what_waits_for_a_secret_one_is_on_the_way_without_naming_it():
    ghost = entry("ghost", at_least("likes", 90), secret=True)
    after = entry("after", at_least("released", 4), requires=["ghost"])

    (step,) = roadmap(standing(ghost, after, **KNOWN))

    assert (step.achievement.key, step.after) == ("after", [])
    assert "ghost" not in repr(step)
