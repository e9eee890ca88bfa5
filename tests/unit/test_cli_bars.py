"""Percentages, conditions and days as people read them."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from cli.bars import bar, conditions_told, day, moment
from cli.progress import challenge_state, detail
from cli.suggest import days_told
from progress.achievements import progress_of_all
from progress.challenges import challenges_of
from progress.conditions import statuses_of
from progress.suggestions import suggest
from schemas.program import All, ChallengeSpec, ChallengesSpec, WindowSpec
from schemas.program import Any as AnyOf
from tests.unit.standings import TODAY, at_least, catalog, entry, pace, standing


@pytest.mark.parametrize(("percent", "told"), [(0, "░░░░"), (25, "█░░░"), (99, "███░"), (100, "████")])
def test_a_bar_is_full_at_100_only(percent, told):
    assert bar(percent, width=4) == told


def test_conditions_are_told_with_what_is_met_and_how_far_the_rest_is():
    either = AnyOf(of=[at_least("artists", 5), All(of=[at_least("likes", 1), at_least("earned", 9950)])])
    wanted = entry("a", All(of=[at_least("released", 2000), at_least("logins", 1), either]), requires=["b"])
    each = standing(wanted, entry("b"), metrics={"released": 1500, "logins": 3, "likes": 1, "earned": 1250})

    told = conditions_told(statuses_of(each, wanted))

    assert told == ("released 1,500 of 2,000, logins ✓, (artists 0 of 5 or (likes ✓ and earned 12.50 of 99.50)), b")


def test_days_and_moments_read_as_such():
    at = datetime(2026, 6, 12, 1, 30, tzinfo=timezone(timedelta(hours=2)))

    assert (day(date(2026, 6, 12)), day(None)) == ("2026-06-12", "")
    assert moment(at) == "2026-06-11 23:30:00 UTC"


@pytest.mark.parametrize(("missing", "told"), [(1, "1 day, 2026-06-13"), (3, "3 days, 2026-06-15")])
def test_the_days_that_are_left_are_counted_and_dated(missing, told):
    known = {"metrics": {"released": 1}, "paces": {"released": pace(1 + 2 ** (-1 / 14), since=1)}}

    (suggestion,) = suggest(standing(entry("a", at_least("released", 1 + missing)), **known))

    assert days_told(suggestion) == told


@pytest.mark.parametrize(
    ("first", "end", "told"),
    [(1, 9, "from 2026-06-13 on"), (-9, 0, "over since 2026-06-12"), (-9, 9, "released 0 of 2")],
)
def test_a_season_says_when_it_can_be_earned(first, end, told):
    window = WindowSpec(first_day=TODAY + first, end_day=TODAY + end)

    (progress,) = progress_of_all(standing(entry("a", at_least("released", 2), window=window)))

    assert detail(progress) == told


def test_a_pace_that_is_not_known_promises_no_day():
    (suggestion,) = suggest(standing(entry("a", at_least("released", 2))))

    assert days_told(suggestion) == ""


@pytest.mark.parametrize(("done", "told"), [(1, "1 of 2"), (2, "2 of 2, can be claimed")])
def test_a_challenge_says_when_it_can_be_claimed(done, told):
    spec = ChallengeSpec(key="two", number=0, name="Two", type="x", when=at_least("released@day", 2), xp=1)
    program = catalog(challenges=ChallengesSpec(per_day=1, slot=0, offered=[spec]))

    (challenge,) = challenges_of(standing(program=program, metrics={"released@day": {"2026-06-12": done}}))

    assert challenge_state(challenge) == told
