"""The fold of what catalogs have beyond thresholds. All answers are worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from processor.evaluator.metrics.bounds import KEPT_OUT
from processor.evaluator.ready import ReadyProgram
from schemas.outcomes import Unlocked, decode_any_outcome, outcome_id, unlocked_id
from schemas.program import Feed, MetricSpec, Test, WindowSpec
from schemas.state import SCOPES_MAX, period_values
from tests.unit.written_program import Fold, metric, told, written, xp

DONE = metric("done", minus="undone")
SEEN = metric("seen", plus="seen")


def unlock(outcomes: list[Any]) -> Unlocked:
    (outcome,) = outcomes
    data = outcome.data
    assert isinstance(data, Unlocked)
    return data


# --- tiers ---

TIERS = [
    {"key": "solver", "tier": "bronze", "rank": 0, "when": {"all": ["done >= 1", "seen >= 1"]}, "points": 5},
    {"key": "solver", "tier": "silver", "rank": 1, "when": {"all": ["done >= 2", "seen >= 2"]}, "points": 7},
]


def test_every_tier_is_an_award_of_its_own() -> None:
    fold = Fold(written([DONE, SEEN], TIERS))
    fold.take("seen")
    assert told(fold.take("done")) == ["+solver/bronze"]
    fold.take("seen")

    (silver,) = fold.take("done")

    assert told([silver]) == ["+solver/silver"]
    assert silver.id == unlocked_id("toy", "solver", "ann", tier="silver")
    assert unlock([silver]).points == 7


def test_one_event_may_give_several_tiers_the_lower_first() -> None:
    tiers = [{"key": "far", "tier": tier, "when": f"sum >= {at}"} for tier, at in (("bronze", 5), ("silver", 9))]
    fold = Fold(written([metric("sum", "sum", of="amount")], tiers))

    assert told(fold.take("done", amount=10)) == ["+far/bronze", "+far/silver"]


def test_context_is_taken_from_the_crossing_event_where_it_has_it() -> None:
    entry = {"key": "a", "when": "done >= 1", "context": {"track": "title", "cost": "price", "gone": "item"}}
    data = unlock(Fold(written([DONE], [entry])).take("done", title="jazz", price=9.25))

    assert data.context == {"track": "jazz", "cost": 9.25, "gone": None}


def test_a_field_that_only_another_catalog_declares_is_none_of_this_ones_context() -> None:
    """Two catalogs may read one event; each knows of it what it declares itself."""
    program = written([DONE], [{"key": "a", "when": "done >= 1", "context": {"track": "title"}}])
    (whole,) = program.catalogs
    fewer = [
        replace(event, fields=[each for each in event.fields if each.name != "title"]) for event in whole.events
    ]
    other = replace(whole, catalog="other", achievements=[], metrics=[])
    fold = Fold(replace(program, catalogs=[replace(whole, events=fewer), other]))

    assert unlock(fold.take("done", title="jazz")).context == {"track": None}


# --- on, scope, metadata ---

SCOPED = {
    "key": "module",
    "on": [Feed(type="done", where=[Test(field="amount", op="gte", value=90)])],
    "scope": "item",
    "scoped": True,
    "metadata": {"title": "title", "score": "amount"},
    "message": "You finished {title} with {score} of {100}!",
}


def test_an_award_is_given_once_for_every_scope() -> None:
    fold = Fold(written([], [SCOPED]))

    assert told(fold.take("done", item="m1", amount=90)) == ["+module m1"]
    assert told(fold.take("done", item="m1", amount=100)) == []
    assert told(fold.take("done", item="m2", amount=89)) == []
    (second,) = fold.take("done", item="m2", amount=95, at="2026-05-02T10:00:00Z")
    assert second.id == unlocked_id("toy", "module", "ann", scope="m2")
    assert f"{unlock([second]).earned_at:%d %H:%M}" == "02 10:00"


def test_texts_are_filled_with_metadata_and_braces_in_values_stay() -> None:
    data = unlock(Fold(written([], [SCOPED])).take("done", item="m1", amount=97, title="{score} & more"))

    assert data.message == "You finished {score} & more with 97 of {100}!"
    assert data.metadata == {"title": "{score} & more", "score": 97}


def test_without_metadata_texts_stay_as_they_are_written() -> None:
    entry = {"key": "a", "when": "done >= 1", "message": "{title}!", "context": {"title": "title"}}
    (outcome,) = Fold(written([DONE], [entry])).take("done", title="jazz")

    assert unlock([outcome]).message == "{title}!"
    assert (unlock([outcome]).metadata, unlock([outcome]).context) == ({}, {"title": "jazz"})
    assert outcome.id == unlocked_id("toy", "a", "ann")


def test_what_one_version_told_is_read_the_same_under_the_next_and_a_second_time() -> None:
    """Most outcomes are written only when they are read."""
    fold = Fold(written([], [SCOPED]))
    fold.apply("done", item="m1", title="jazz", amount=97)
    fold.evaluator.change(ReadyProgram(written([], [SCOPED | {"message": "Other words"}])))
    outcomes = fold.evaluator.cut().outcomes

    ((_, value),) = first = list(outcomes)

    assert unlock([decode_any_outcome(value)]).message == "You finished jazz with 97 of {100}!"
    assert list(outcomes) == first


@pytest.mark.parametrize("scope", [None, "", "  ", "x" * 201])
def test_a_scope_that_is_absent_blank_or_too_long_gives_no_award(scope: str | None) -> None:
    fold = Fold(written([], [SCOPED]))

    assert told(fold.take("done", item=scope, amount=100)) == []


def test_without_a_scope_there_is_one_award_at_all() -> None:
    fold = Fold(written([], [{"key": "first", "on": [Feed(type="done"), Feed(type="seen")]}]))

    assert told(fold.take("seen")) == ["+first"]
    assert told(fold.take("done")) == []


def test_at_their_bound_no_more_scopes_are_won() -> None:
    fold = Fold(written([], [{"key": "module", "on": [Feed(type="done")], "scope": "item", "scoped": True}]))
    for number in range(SCOPES_MAX):
        fold.take("done", item=f"m{number}")

    kept_out = KEPT_OUT["scopes"]
    assert told(fold.take("done", item="m0")) == []
    assert KEPT_OUT["scopes"] == kept_out, "it is won already"

    assert told(fold.take("done", item="one more")) == []
    assert KEPT_OUT["scopes"] == kept_out + 1


# --- windows ---


def seasonal(first_day: int | None, end_day: int | None) -> MetricSpec:
    return metric("done@summer", origin="done", first_day=first_day, end_day=end_day)


def test_only_events_whose_local_day_is_in_the_window_count() -> None:
    """1 June 2026 is day 20605. In Auckland it begins at noon of 31 May in UTC; in Honolulu it ends at 10:00."""
    fold = Fold(written([seasonal(20605, 20606)], [{"key": "summer", "when": "done@summer >= 1"}]))

    assert told(fold.take("done", at="2026-05-31T11:59:59Z", timezone="Pacific/Auckland")) == []
    assert told(fold.take("done", at="2026-06-02T10:00:00Z", timezone="Pacific/Honolulu")) == []
    assert told(fold.take("done", at="2026-05-31T12:00:00Z", timezone="Pacific/Auckland")) == ["+summer"]


def test_a_window_may_be_open_on_either_side() -> None:
    entries = [{"key": "a", "when": "done@summer >= 1"}]
    until, since = Fold(written([seasonal(None, 20605)], entries)), Fold(written([seasonal(20605, None)], entries))

    assert told(until.take("done", at="2026-06-01T00:00:00Z")) == []
    assert told(until.take("done", at="1999-06-01T00:00:00Z")) == ["+a"]
    assert told(since.take("done", at="2026-05-31T23:59:59Z")) == []
    assert told(since.take("done", at="2026-06-01T00:00:00Z")) == ["+a"]


WEEKLY = {"key": "weekly", "when": "done@week >= 2", "window": WindowSpec(every="week"), "scoped": True}


def test_there_is_an_award_for_every_week_in_which_enough_happened() -> None:
    """4 January 2027 is a Monday; 3 January ends week 53 of 2026."""
    fold = Fold(written([metric("done@week", origin="done", every="week")], [WEEKLY]))

    assert told(fold.take("done", at="2026-12-28T10:00:00Z")) == []
    assert told(fold.take("done", at="2027-01-04T00:00:00Z")) == []
    (first,) = fold.take("done", at="2027-01-03T23:59:59Z")
    assert (unlock([first]).scope, unlock([first]).progress_at_unlock) == ("2026-W53", 2)
    assert told(fold.take("done", at="2027-01-05T10:00:00Z")) == ["+weekly 2027-W01"]
    assert told(fold.take("done", at="2027-01-05T10:00:00Z")) == []
    spec = fold.program.catalogs[0].metrics[0]
    assert period_values(fold.state(), spec) == {"2026-W53": 2, "2027-W01": 3}


def test_a_period_won_and_undone_is_not_won_again() -> None:
    fold = Fold(written([metric("done@week", minus="undone", every="week")], [WEEKLY]))

    assert [told(fold.take(kind)) for kind in ("done", "done", "undone", "done")] == [
        [],
        ["+weekly 2026-W18"],
        [],
        [],
    ]


def test_an_award_of_a_period_is_dated_by_the_latest_event_of_that_period() -> None:
    fold = Fold(written([metric("done@month", every="month")], [WEEKLY | {
        "when": "done@month >= 2", "window": WindowSpec(every="month")}]))  # fmt: skip
    fold.take("done", at="2026-06-09T10:00:00Z")
    fold.take("done", at="2026-05-07T10:00:00Z")

    data = unlock(fold.take("done", at="2026-05-03T10:00:00Z"))

    assert (data.scope, f"{data.earned_at:%m-%d}") == ("2026-05", "05-07")


# --- sets ---

SET = {"key": "all", "all_of": "*", "requires": ["a", "b", "module"], "points": 100}


def test_a_set_is_won_with_its_last_member_and_dated_by_the_latest_of_them() -> None:
    entries = [{"key": "a", "when": "done >= 1"}, {"key": "b", "when": "seen >= 1"}, SCOPED, SET]
    fold = Fold(written([DONE, SEEN], entries))
    fold.take("seen", at="2026-05-09T10:00:00Z")
    fold.take("done", item="m1", amount=90, at="2026-05-03T10:00:00Z")

    assert told(fold.take("done", item="m2", amount=90)) == ["+module m2"]

    fold = Fold(written([DONE, SEEN], entries))
    fold.take("seen", at="2026-05-09T10:00:00Z")
    (*_, last) = fold.take("done", item="m1", amount=90, at="2026-05-03T10:00:00Z")
    assert told([last]) == ["+all"]
    assert f"{unlock([last]).earned_at:%d}" == "09"


# --- xp and levels ---

GIFTS = xp(Feed(type="done", amount=50), Feed(type="seen", of="amount"))
LEVELS = {"of": "xp", "starts": [0, 100, 300, 600]}


def test_events_and_awards_give_xp_and_levels_are_told_once_in_order() -> None:
    fold = Fold(written([DONE, GIFTS], [{"key": "a", "when": "done >= 2", "xp": 220}], LEVELS))

    assert told(fold.take("done")) == []
    outcomes = fold.take("done")

    assert told(outcomes) == ["+a", "level 2", "level 3"]  # 100 for two events, 220 for the award
    level: Any = outcomes[2].data
    assert (level.name, level.value, level.start, level.next_start) == ("Level 3", 320, 300, 600)
    assert outcomes[2].id == outcome_id("level_reached", "toy", "level", "ann", scope="3")
    assert unlock(outcomes[:1]).xp == 220


def test_a_level_is_told_behind_the_award_that_reached_it_and_is_no_unlock() -> None:
    fold = Fold(written([DONE, GIFTS], [{"key": "a", "when": "done >= 1", "xp": 60}], LEVELS))

    assert fold.apply("done").unlocked == 1
    assert told(fold.told()) == ["+a", "level 2"]
    assert fold.apply("seen", amount=200).unlocked == 0
    assert told(fold.told()) == ["level 3"]


def test_an_award_of_a_scope_gives_xp_that_may_reach_a_level() -> None:
    fold = Fold(written([GIFTS], [SCOPED | {"xp": 60}], LEVELS))

    assert fold.apply("done", item="m1", amount=90).unlocked == 1
    assert told(fold.told()) == ["+module m1", "level 2"]


def test_what_a_threshold_gives_at_once_and_what_it_is_a_part_of_have_their_own_dates() -> None:
    both = {"key": "b", "when": {"all": ["done >= 2", "seen >= 1"]}}
    entries = [{"key": "a", "when": "done >= 2", "xp": 1}, both]
    fold = Fold(written([DONE, SEEN, xp(Feed(type="seen", of="amount"))], entries, LEVELS))
    fold.take("done")

    assert told(fold.take("done", at="2026-05-02T10:00:00Z")) == ["+a"]
    fold.take("done", at="2026-05-03T10:00:00Z")
    (late,) = fold.take("seen")
    assert told([late]) == ["+b"]
    assert f"{unlock([late]).earned_at:%d}" == "02"


def test_an_award_for_a_level_gives_xp_that_may_reach_the_next() -> None:
    entries = [
        {"key": "b", "when": "xp >= 300", "xp": 10},
        {"key": "a", "when": "xp >= 100", "xp": 250},
    ]
    fold = Fold(written([GIFTS], entries, LEVELS))

    assert told(fold.take("seen", amount=100)) == ["+a", "+b", "level 2", "level 3"]


def test_amounts_that_are_null_or_below_one_give_nothing() -> None:
    fold = Fold(written([GIFTS], [{"key": "a", "when": "xp >= 1"}], LEVELS))

    assert [told(fold.take("seen", amount=amount)) for amount in (None, 0, -5, 1)] == [[], [], [], ["+a"]]


def test_xp_is_dated_by_the_latest_that_gave_it() -> None:
    fold = Fold(written([GIFTS], [{"key": "a", "when": "xp >= 100"}], LEVELS))
    fold.take("done", at="2026-05-09T10:00:00Z")

    outcomes = fold.take("done", at="2026-05-03T10:00:00Z")

    assert [f"{outcome.time:%d}" for outcome in outcomes] == ["09", "09"]


def test_levels_may_be_those_of_any_metric() -> None:
    fold = Fold(written([metric("sum", "sum", of="amount")], [], {"of": "sum", "starts": [0, 10, 20]}))

    assert told(fold.take("done", amount=25)) == ["level 2", "level 3"]


# --- revocation ---

FIRST = {"key": "first", "when": "done >= 1", "revocable": "silent", "points": 5}


def test_an_award_is_lost_when_its_metric_goes_back_and_comes_again_with_a_new_id() -> None:
    fold = Fold(written([DONE], [FIRST]))

    (won,), (lost,), (again,) = fold.take("done"), fold.take("undone", at="2026-05-05T10:00:00Z"), fold.take("done")

    assert told([won, lost, again]) == ["+first", "-first", "+first #1"]
    assert len({won.id, lost.id, again.id}) == 3
    revoked: Any = lost.data
    assert (revoked.award_id, revoked.points, f"{revoked.revoked_at:%d}", revoked.announce) == (
        won.id,
        5,
        "05",
        False,
    )
    assert [(r.metric, r.value, r.needed) for r in revoked.reasons] == [("done", 0, 1)]
    assert told(fold.take("undone")) == ["-first #1"]


def test_what_is_not_revocable_stays() -> None:
    fold = Fold(written([DONE], [FIRST | {"revocable": "no"}, FIRST | {"key": "other"}]))
    fold.take("done")

    assert told(fold.take("undone")) == ["-other"]


def test_a_gauge_that_goes_down_ends_what_needed_it() -> None:
    fold = Fold(written([metric("stars", "latest", of="amount")], [FIRST | {"when": "stars >= 5"}]))
    fold.take("done", amount=7)

    assert told(fold.take("done", amount=6, at="2026-05-01T11:00:00Z")) == []
    assert told(fold.take("done", amount=1, at="2026-05-01T12:00:00Z")) == ["-first"]


CHAIN = [
    FIRST,
    {"key": "second", "when": "seen >= 1", "requires": ["first"]},
    {"key": "third", "requires": ["second"], "all_of": "*"},
    {"key": "apart", "when": {"any": ["done >= 1", "seen >= 1"]}, "revocable": "silent"},
]


def test_what_hung_on_a_lost_award_falls_with_it_and_says_through_whom() -> None:
    fold = Fold(written([DONE, SEEN], CHAIN))
    fold.take("seen")
    fold.take("done")

    outcomes = fold.take("undone")

    assert told(outcomes) == ["-first", "-second", "-third"]  # `apart` still has its other branch
    reasons: Any = outcomes[2].data
    assert [getattr(r, "metric", None) or r.achievement for r in reasons.reasons] == ["done", "first", "second"]


def test_what_was_lost_comes_back_with_what_it_hung_on() -> None:
    fold = Fold(written([DONE, SEEN], CHAIN))
    for kind in ("seen", "done", "undone"):
        fold.take(kind)

    assert told(fold.take("done")) == ["+first #1", "+second #1", "+third #1"]


def test_xp_of_a_lost_award_goes_back_and_with_it_what_needed_the_level() -> None:
    entries = [
        FIRST | {"xp": 120},
        {"key": "pro", "when": {"all": ["xp >= 100", "seen >= 1"]}, "xp": 10},
        {"key": "rich", "when": "xp >= 130"},
    ]
    fold = Fold(written([DONE, SEEN, GIFTS], entries, LEVELS))
    fold.take("seen")
    assert told(fold.take("done")) == ["+first", "+pro", "+rich", "level 2"]

    outcomes = fold.take("undone")

    # 50 + 120 + 10 = 180; without the award 60, without `pro` 50
    assert told(outcomes) == ["-first", "-pro", "-rich"]
    pro: Any = outcomes[1].data
    assert [getattr(r, "metric", None) or r.achievement for r in pro.reasons] == ["done", "first", "xp"]
    assert (pro.reasons[2].value, pro.reasons[2].needed, pro.xp) == (60, 100, 10)


def test_a_level_that_was_lost_and_reached_again_is_not_told_again() -> None:
    fold = Fold(written([DONE, GIFTS], [FIRST | {"xp": 120}], LEVELS))
    fold.take("done")
    fold.take("undone")

    assert told(fold.take("done")) == ["+first #1"]  # 50 + 50 + 120


def test_an_award_that_is_lost_is_not_held_by_a_program_that_takes_nothing_back() -> None:
    """A later version without `revocable`: what was lost stays lost, rather than coming twice under one id."""
    fold, plain = Fold(written([DONE], [FIRST])), Fold(written([DONE], [FIRST | {"revocable": "no"}]))
    fold.take("done")
    fold.take("undone")

    plain.evaluator.load([(b"ann", fold.evaluator.get(b"ann"))])
    plain.offset = fold.offset

    assert told(plain.take("done")) == []


def test_what_a_later_version_requires_too_is_no_reason_to_lose_what_is_held() -> None:
    """Version 2 wants `other` as well; the condition still holds by its second branch."""
    either = {"key": "a", "when": {"all": [{"any": ["done >= 1", "seen >= 1"]}]}, "revocable": "silent"}
    others = [{"key": "other", "when": "done >= 100"}]
    before, later = (
        Fold(written([DONE, SEEN], [either | said, *others])) for said in ({}, {"requires": ["other"]})
    )
    assert told(before.take("seen")) == ["+a"]
    before.take("done")

    later.evaluator.load([(b"ann", before.evaluator.get(b"ann"))])
    later.offset = before.offset

    assert told(later.take("undone")) == []


def test_many_things_at_once_leave_the_state_as_one_after_the_other_would() -> None:
    """A state goes through the changelog between any two records and nothing is different."""
    program = written([DONE, SEEN, GIFTS], CHAIN, LEVELS)
    kinds = ["seen", "done", "done", "undone", "undone", "done", "seen", "undone"] * 3
    straight, interrupted, said = Fold(program), Fold(program), []
    for kind in kinds:
        expected = straight.take(kind)
        fresh = Fold(program)
        fresh.offset = interrupted.offset
        if (row := interrupted.evaluator.get(b"ann")) is not None:
            fresh.evaluator.load([(b"ann", row)])
        interrupted = fresh
        said.append(interrupted.take(kind) == expected)

    assert all(said)
    assert interrupted.state() == straight.state()


def test_a_sum_goes_back_by_an_amount_below_zero_too() -> None:
    fold = Fold(written([metric("sum", "sum", of="amount")], [FIRST | {"when": "sum >= 5"}]))
    fold.take("done", amount=7)

    assert told(fold.take("done", amount=-3)) == ["-first"]
