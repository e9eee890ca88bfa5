"""Why somebody has an achievement, or why not yet."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from progress.explanation import Explanation, explain, known_keys
from progress.standing import Standing
from schemas.errors import LaurelError
from schemas.program import All, Any, Feed, Test, WindowSpec
from tests.unit.standings import (
    EARNED_AT,
    METRICS,
    TODAY,
    Reason,
    at_least,
    award,
    catalog,
    entry,
    metric,
    pace,
    revoked,
    standing,
    tier,
)


def explained(each: Standing, key: str, **asked: object) -> Explanation:
    told = explain(each, key, **asked)
    assert told is not None
    return told


def test_an_award_is_explained_by_the_record_that_gave_it():
    rising = entry("rising", at_least("released", 5))
    given = award("rising", progress_at_unlock=5, catalog_version=2, catalog_sha256="cd" * 32, points=25)

    told = explained(standing(rising, awards=[given], metrics={"released": 8}), "rising")

    assert (told.state, told.missing) == ("earned", [])
    (proof,) = told.awards
    assert (proof.evidence.topic, proof.evidence.partition, proof.evidence.offset) == ("music", 1, 42)
    assert proof.evidence.event_id == "event-1"
    assert (proof.metric, proof.before, proof.after) == ("released", 4, 5)
    assert (proof.catalog_version, proof.catalog_sha256, proof.earned_at) == (2, "cd" * 32, EARNED_AT)


def test_the_value_before_is_told_only_where_an_event_moves_the_metric_by_one():
    rich = entry("rich", at_least("earned", 5000))
    given = award("rich", progress_at_unlock=5125)

    (proof,) = explained(standing(rich, awards=[given]), "rich").awards

    assert (proof.metric, proof.before, proof.after) == ("earned", None, Decimal("51.25"))


def test_where_the_date_is_approximate_nothing_is_said_of_the_value_before():
    five = entry("five", at_least("released", 5))
    given = award("five", progress_at_unlock=31, dates="approximate")

    (proof,) = explained(standing(five, awards=[given]), "five").awards

    assert (proof.before, proof.after) == (None, 31)


def test_where_something_is_required_the_metric_may_have_stood_there_before():
    """What came last may have been the prerequisite."""
    after = entry("after", at_least("released", 2), requires=["first"])

    (proof,) = explained(
        standing(after, entry("first"), awards=[award("after", progress_at_unlock=7)]), "after"
    ).awards

    assert (proof.before, proof.after) == (None, 7)


def test_of_a_compound_no_single_metric_decided():
    both = entry("both", All(of=[at_least("released", 1), at_least("artists", 1)]))

    (proof,) = explained(standing(both, awards=[award("both")]), "both").awards

    assert (proof.metric, proof.before, proof.after) == (None, None, None)


def test_what_is_missing_is_told_with_the_events_that_would_count():
    where = [
        Test(field="kind", op="in", value=["album", "single"]),
        Test(field="price", op="gte", value=950),
    ]
    sold = metric("sold", feeds=[Feed(type="song_released", where=where), Feed(type="login", sign=-1)])
    when = All(of=[at_least("sold", 10), at_least("likes", 3)])
    program = catalog(entry("seller", when), metrics=[*METRICS, sold])

    told = explained(standing(program=program, metrics={"sold": 4, "likes": 3}), "seller")

    assert told.state == "not_yet"
    (missing,) = told.missing
    assert (missing.name, missing.value, missing.target, missing.missing) == ("sold", 4, 10, 6)
    (counting,) = missing.counts
    assert (counting.type, counting.topic) == ("song_released", "music")
    assert counting.where == ["data.kind in [album, single]", "data.price >= 9.5"]


def test_of_an_any_that_is_met_its_other_branches_are_not_missing():
    heard = Any(of=[at_least("artists", 1), at_least("likes", 100)])
    both = entry("both", All(of=[at_least("released", 5), heard]))

    half = explained(standing(both, metrics={"released": 3, "artists": 2}), "both")
    nothing = explained(standing(both), "both")

    assert [missing.name for missing in half.missing] == ["released"]
    assert [missing.name for missing in nothing.missing] == ["released", "artists", "likes"]


def test_a_derived_event_has_no_topic_to_publish_on():
    told = explained(standing(entry("liked", at_least("likes", 3))), "liked")

    assert [(each.type, each.topic) for each in told.missing[0].counts] == [("liked", None)]


def test_of_xp_awards_count_too():
    xp = metric("xp", "xp", feeds=[Feed(type="login", amount=50)])
    program = catalog(
        entry("a", at_least("xp", 100)), entry("b", at_least("likes", 1), xp=5), metrics=[*METRICS, xp]
    )

    (missing,) = explained(standing(program=program), "a").missing

    assert [each.type for each in missing.counts] == ["login", "achievement_unlocked"]


def test_a_season_and_an_award_from_an_event_say_what_counts_too():
    summer = "released@2026-06-01..2026-09-01"
    entries = [
        entry("summer", at_least(summer, 3), window=WindowSpec(first_day=TODAY, end_day=TODAY + 9)),
        entry("module", on=[Feed(type="module_completed")], scope="module_id"),
    ]
    each = standing(*entries, metrics={summer: 1})

    (season,) = explained(each, "summer").missing
    (module,) = explained(each, "module").missing

    assert (season.name, season.missing, season.counts[0].type) == ("released", 2, "song_released")
    assert module.counts[0].type == "module_completed"


def test_prerequisites_and_members_that_are_missing_are_named():
    entries = [
        entry("after", at_least("released", 1), requires=["first"]),
        entry("first", at_least("likes", 1)),
        entry("whole", all_of="music", requires=["first", "after"]),
    ]
    each = standing(*entries, metrics={"released": 1}, awards=[award("after")])

    assert [(one.achievement, one.counts) for one in explained(each, "whole").missing] == [("first", [])]
    assert [member.key for member in explained(each, "whole").missing_members] == ["first"]


def test_a_revoked_award_is_told_with_the_chain_of_reasons():
    reasons = [
        Reason(kind="metric", metric="earned", value=4900, needed=5000),
        Reason(kind="award", achievement="rich", tier="gold"),
    ]
    proud = entry("proud", at_least("released", 1), requires=["rich"])

    told = explained(standing(proud, awards=[revoked("proud", *reasons)]), "proud")

    assert told.state == "revoked"
    (proof,) = told.awards
    assert proof.revoked is not None
    assert proof.revoked.reasons == ["earned was 49.00, needed 50.00", "rich/gold was revoked"]
    assert proof.revoked.evidence.offset == 99


def test_an_award_that_a_newer_catalog_ended_is_told_so():
    proud = entry("proud", at_least("released", 1))

    told = explained(standing(proud, awards=[revoked("proud", Reason(kind="catalog", catalog_version=3))]), "proud")

    assert told.awards[0].revoked is not None
    assert told.awards[0].revoked.reasons == ["version 3 of the catalog ended it"]


def test_earned_again_is_earned_and_the_lost_one_stays_in_the_story():
    rising = entry("rising", at_least("released", 5))
    awards = [award("rising", n=1), revoked("rising", Reason(kind="metric", metric="released", value=4, needed=5))]

    told = explained(standing(rising, awards=awards), "rising")

    assert told.state == "earned"
    assert [(proof.n, proof.revoked is None) for proof in told.awards] == [(1, True), (0, False)]


def test_what_it_asks_for_is_said_in_words():
    tiers = [
        tier("solver", name, rank, {"n": ("released", at)}) for rank, (name, at) in enumerate([("a", 2), ("b", 9)])
    ]

    told = explained(standing(*tiers, awards=[award("solver", tier="a")]), "solver")

    assert told.asks == "song released 9 times"


def test_a_tier_can_be_asked_for_and_the_next_one_is_explained_otherwise():
    tiers = [
        tier("solver", name, rank, {"n": ("released", at)}, order=1)
        for rank, (name, at) in enumerate([("bronze", 2), ("silver", 10), ("gold", 20)])
    ]
    each = standing(*tiers, metrics={"released": 3}, awards=[award("solver", tier="bronze")])

    assert [one.target for one in explained(each, "solver").missing] == [10]
    assert [one.target for one in explained(each, "solver", tier="gold").missing] == [20]
    assert explained(each, "solver", tier="gold").state == "not_yet"
    assert explained(each, "solver", tier="bronze").state == "earned"
    assert explain(each, "solver", tier="wooden") is None


def test_a_scope_can_be_asked_for():
    module = entry("module", on=[Feed(type="module_completed")], scope="module_id")
    each = standing(module, awards=[award("module", scope="m1"), award("module", scope="m2")])

    assert [proof.scope for proof in explained(each, "module", scope="m2").awards] == ["m2"]


def test_an_instance_that_is_not_earned_is_as_far_as_nothing_and_says_what_would_count():
    module = entry("module", on=[Feed(type="module_completed")], scope="module_id")

    told = explained(standing(module, awards=[award("module", scope="m1")]), "module", scope="m3")

    assert (told.state, told.awards) == ("not_yet", [])
    assert (told.progress.percent, told.progress.earned) == (0, False)
    assert [each.where for missing in told.missing for each in missing.counts] == [["data.module_id = m3"]]


@pytest.mark.parametrize(
    ("scope", "state", "value", "percent"),
    [("2026-W22", "over", 3, 75), ("2026-W24", "not_yet", 1, 25), ("2026-W30", "upcoming", 0, 0)],
)
def test_of_another_period_its_own_value_is_told(scope, state, value, percent):
    """4 a week are asked for; week 23 is earned, and it is week 24."""
    weekly = entry("weekly", at_least("released@week", 4), window=WindowSpec(every="week"))
    kept = {"released@week": {"2026-W22": 3, "2026-W23": 4, "2026-W24": 1}}
    each = standing(weekly, awards=[award("weekly", scope="2026-W23")], metrics=kept, paces={"released": pace(20)})

    told = explained(each, "weekly", scope=scope)

    assert (told.state, told.awards) == (state, [])
    assert (told.progress.current, told.progress.percent, told.progress.season.period) == (value, percent, scope)
    assert (told.progress.estimated_completion is None) == (state != "not_yet")


@pytest.mark.parametrize(
    ("key", "scope", "what"),
    [
        ("rising", "x", "'rising' is given once, for no instance or period: ask without 'x'"),
        ("weekly", "2026-6", "'2026-6' is no week: write it as 2026-W24"),
        ("weekly", "2026-W54", "'2026-W54' is no week: write it as 2026-W24"),
    ],
)
def test_a_scope_that_there_cannot_be_is_refused(key, scope, what):
    weekly = entry("weekly", at_least("released@week", 4), window=WindowSpec(every="week"))

    with pytest.raises(LaurelError, match=re.escape(what)):
        explain(standing(weekly, entry("rising", at_least("released", 5))), key, scope=scope)


def test_last_weeks_award_is_found_by_its_scope():
    weekly = entry("weekly", at_least("released@week", 4), window=WindowSpec(every="week"))
    each = standing(weekly, awards=[award("weekly", scope="2026-W23")])

    assert explained(each, "weekly").state == "not_yet"
    assert explained(each, "weekly", scope="2026-W23").state == "earned"


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({"is_active": False}, "inactive"),
        ({"window": WindowSpec(first_day=TODAY + 1)}, "upcoming"),
        ({"window": WindowSpec(end_day=TODAY)}, "over"),
    ],
)
def test_why_it_cannot_be_earned_now_is_said(more, state):
    assert explained(standing(entry("a", at_least("released", 1), **more)), "a").state == state


def test_what_is_complete_and_was_never_awarded_is_said_to_be_so():
    """Somebody with 8 releases when the achievement for 5 came never reached it since."""
    told = explained(standing(entry("rising", at_least("released", 5)), metrics={"released": 8}), "rising")

    assert (told.state, told.missing) == ("complete", [])
    assert told.progress is not None
    assert (told.progress.percent, told.progress.estimated_completion) == (99, None)


def test_a_secret_one_is_as_unknown_as_a_key_that_does_not_exist():
    each = standing(entry("ghost", at_least("released", 1), secret=True), entry("rising", at_least("likes", 1)))

    assert explain(each, "ghost") is None
    assert explain(each, "nonsense") is None
    assert known_keys(each) == ["rising"]
    assert explained(each, "ghost", operator=True).missing[0].missing == 1
    assert known_keys(each, operator=True) == ["ghost", "rising"]


def test_a_secret_one_that_is_required_is_not_named():
    ghost = entry("ghost", at_least("released", 1), secret=True)
    after = entry("after", at_least("likes", 2), requires=["ghost"])

    told = explained(standing(ghost, after), "after")

    assert told.asks == "liked 2 times and having something secret"
    assert "ghost" not in repr(told).lower()


def test_who_earned_a_secret_one_may_ask_why():
    each = standing(entry("ghost", at_least("released", 1), secret=True), awards=[award("ghost")])

    assert explained(each, "ghost").state == "earned"


def test_an_award_that_the_catalog_has_dropped_is_still_explained():
    told = explained(standing(awards=[award("dropped")]), "dropped")

    assert (told.state, told.progress, len(told.awards)) == ("earned", None, 1)
