"""Calendars, worked out by hand: days, streaks, seasons and periods, on clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from bench.reference import Result, fold
from tests.unit.cloud_events import event
from tests.unit.driving import evaluated

CATALOG = """
catalog: days
version: 1
events:
  login: {topic: t}
  freeze_bought: {topic: t, data: {kind: string?}}
  sold: {topic: t, data: {amount: integer?, to: string?}}
  returned: {topic: t, data: {amount: integer?}}
metrics:
  days: {streak: login, every: day}
  lenient: {streak: login, every: day, grace: 1}
  frozen: {streak: login, every: day, freezes: [{freeze_bought: {where: {data.kind: ice}}}]}
  both: {streak: login, every: day, grace: 1, freezes: freeze_bought}
  sales: {count: sold, minus: returned}
  income: {sum: sold, of: data.amount, minus: returned}
  buyers: {distinct: sold, by: data.to}
achievements:
  - {key: weekly, name: W, when: sales >= 2, window: {every: week}}
  - {key: monthly, name: M, when: income >= 10, window: {every: month}}
  - {key: daily, name: D, when: buyers >= 2, window: {every: day}}
  - {key: summer, name: S, window: {from: 2026-06-01, until: 2026-09-01}, when: {all: [sales >= 2, days >= 2]}}
  - {key: since, name: N, window: {from: 2026-06-01}, when: sales >= 1}
  - {key: before, name: B, window: {until: 2026-06-01}, when: sales >= 1}
ladders:
  - {metric: days, steps: [{key: two, name: D2, at: 2}, {key: three, name: D3, at: 3}]}
  - {metric: lenient, steps: [{key: lenient_three, name: D3, at: 3}]}
  - {metric: frozen, steps: [{key: frozen_three, name: D3, at: 3}]}
"""
PARIS, HONOLULU, KIRITIMATI = "Europe/Paris", "Pacific/Honolulu", "Pacific/Kiritimati"


@pytest.fixture(autouse=True, params=["reference", "evaluator"])
def who(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are held against these answers."""
    if request.param == "evaluator":
        monkeypatch.setattr(f"{__name__}.fold", evaluated)


def folded(*events: dict[str, Any]) -> Result:
    return fold(events, [CATALOG])


def streak(key: str, *events: dict[str, Any]) -> int | None:
    return folded(*events).metrics["ann"]["days"][key]


def earned_at(achievement: str, *events: dict[str, Any], scope: str = "") -> datetime | None:
    return folded(*events).awards.get(("ann", "days", achievement, scope))


def scopes(achievement: str, *events: dict[str, Any]) -> set[str]:
    return {scope for _, _, key, scope in folded(*events).awards if key == achievement}


def march(*days: int) -> list[dict[str, Any]]:
    return [event("login", f"2025-03-{day:02}") for day in days]


def freezes(*days: int) -> list[dict[str, Any]]:
    return [
        event("freeze_bought", f"2025-03-{day:02}", event_id=str(number), kind="ice")
        for number, day in enumerate(days)
    ]


def logins(zone: str, *times: str) -> list[dict[str, Any]]:
    return [event("login", each, timezone=zone) for each in times]


def sold(*times: str, **rest: Any) -> list[dict[str, Any]]:
    return [event("sold", each, event_id=each, **rest) for each in times]


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)  # type: ignore[arg-type, misc]


# --- clocks that change ---


def test_two_events_24_hours_apart_miss_a_day_of_23_hours():
    """In Paris 30 March 2025 had 23 hours: 23:30 on the 29th and 00:30 on the 31st are 24 hours apart."""
    apart = logins(PARIS, "2025-03-29T22:30:00Z", "2025-03-30T22:30:00Z")
    assert streak("days", *apart) == 1
    between = logins(PARIS, "2025-03-30T10:00:00Z")
    assert streak("days", *apart, *between) == 3
    assert earned_at("three", *apart, *between) == utc(2025, 3, 30, 22)


def test_two_events_24_hours_apart_lie_on_one_day_of_25_hours():
    """In Paris 26 October 2025 had 25 hours: 00:30 and 23:30 of it are 24 hours apart."""
    apart = logins(PARIS, "2025-10-25T22:30:00Z", "2025-10-26T22:30:00Z")
    assert streak("days", *apart) == 1
    next_day = logins(PARIS, "2025-10-26T23:10:00Z")
    assert earned_at("two", *apart, *next_day) == utc(2025, 10, 26, 23)


# --- travellers ---


def test_a_day_that_a_journey_west_over_the_date_line_skips_breaks_no_streak():
    """From 23:00 on 1 March in Honolulu to 01:00 on the 3rd on Kiritimati in two hours: there was no 2 March."""
    before, after = logins(HONOLULU, "2025-03-02T09:00:00Z"), logins(KIRITIMATI, "2025-03-02T11:00:00Z")
    assert streak("days", *before, *after) == 2
    assert streak("days", *after, *before) == 2
    assert earned_at("two", *before, *after) == utc(2025, 3, 2, 10)


def test_a_journey_east_over_the_date_line_lives_a_day_twice_and_counts_it_once():
    """20:00 on 2 March on Kiritimati; two hours later it is 22:00 on the 1st in Honolulu, then the 2nd again."""
    there, back = logins(KIRITIMATI, "2025-03-02T06:00:00Z"), logins(HONOLULU, "2025-03-02T08:00:00Z")
    again = logins(HONOLULU, "2025-03-02T22:00:00Z")
    assert streak("days", *there, *back) == 2
    assert streak("days", *there, *back, *again) == 2
    assert streak("days", *there, *back, *again, *logins(HONOLULU, "2025-03-03T22:00:00Z")) == 3


def test_a_missed_day_is_missed_where_no_clock_is_a_day_ahead_of_the_other():
    """Auckland's summer is 23 hours ahead of Honolulu: whoever flies has at least an hour of the day between."""
    before, after = logins(HONOLULU, "2025-03-02T09:00:00Z"), logins("Pacific/Auckland", "2025-03-02T12:00:00Z")
    assert streak("days", *before, *after) == 1
    assert streak("days", *logins(HONOLULU, "2025-03-02T09:00:00Z", "2025-03-03T20:00:00Z")) == 1


def test_the_date_line_skips_one_day_and_no_more():
    assert (
        streak("days", *logins(HONOLULU, "2025-03-02T09:00:00Z"), *logins(KIRITIMATI, "2025-03-03T11:00:00Z")) == 1
    )


def test_any_event_of_the_day_may_be_the_one_that_joins():
    """At noon in Honolulu, at noon on Kiritimati, but between them the two that were hours apart."""
    first = logins(HONOLULU, "2025-03-01T22:00:00Z")
    last = [*logins(HONOLULU, "2025-03-03T22:00:00Z"), *logins(KIRITIMATI, "2025-03-02T23:00:00Z")]
    assert streak("days", *first, *last[:1]) == 1
    assert streak("days", *first, *last) == 2


# --- late events ---


def test_a_day_that_arrives_a_year_late_is_put_where_it_belongs():
    late = event("login", "2024-03-02")
    around = [event("login", each) for each in ("2024-03-01", "2024-03-03", "2025-03-03")]
    assert streak("days", *around) == 1
    assert streak("days", *around, late) == 3
    assert earned_at("three", *around, late) == utc(2024, 3, 3)


# --- grace and freezes ---


def test_grace_bridges_one_missed_day_in_a_row_which_does_not_count():
    assert streak("lenient", *march(1, 2, 4, 5)) == 4
    assert streak("lenient", *march(1, 3, 5, 7)) == 4
    assert streak("lenient", *march(1, 2, 5)) == 2
    assert streak("days", *march(1, 2, 4, 5)) == 2


def test_a_lenient_streak_is_earned_on_the_active_day_that_completes_it():
    assert earned_at("lenient_three", *march(1, 2, 4)) == utc(2025, 3, 4)
    assert earned_at("lenient_three", *march(4, 1, 2)) == utc(2025, 3, 4)


def test_a_freeze_bridges_a_day_missed_on_its_day_or_later():
    assert streak("frozen", *march(1, 2, 4)) == 2
    assert streak("frozen", *march(1, 2, 4), *freezes(1)) == 3
    assert streak("frozen", *march(1, 2, 4), *freezes(3)) == 3
    assert streak("frozen", *march(1, 2, 4), *freezes(4)) == 2


def test_a_freeze_is_used_up_by_the_first_gap_that_needs_it():
    assert streak("frozen", *march(1, 3, 5), *freezes(1)) == 2
    assert streak("frozen", *march(1, 3, 5), *freezes(1, 1)) == 3


def test_a_gap_takes_as_many_freezes_as_days_or_none():
    assert streak("frozen", *march(1, 4), *freezes(1)) == 1
    assert streak("frozen", *march(1, 4), *freezes(1, 2)) == 2
    assert streak("frozen", *march(1, 4, 6), *freezes(1)) == 2


def test_freezes_are_for_the_days_that_grace_does_not_bridge():
    assert streak("both", *march(1, 4, 6), *freezes(1)) == 3
    assert streak("both", *march(1, 4, 7), *freezes(1)) == 2


def test_a_freeze_of_another_kind_is_none():
    assert streak("frozen", *march(1, 2, 4), event("freeze_bought", "2025-03-01", kind="fire")) == 2


def test_a_late_day_may_use_up_the_freeze_of_a_longer_streak_whose_award_stays():
    frozen = [*freezes(1), *march(10, 11, 13, 14)]
    assert streak("frozen", *frozen) == 4
    late = march(5, 7)
    assert streak("frozen", *frozen, *late) == 2
    assert earned_at("frozen_three", *frozen, *late) == utc(2025, 3, 13)
    assert earned_at("frozen_three", *late, *frozen) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_streak_is_a_function_of_the_sets_of_days_and_freezes(seed: int):
    events = [*march(1, 2, 4, 5, 8, 9, 11, 15, 16), *freezes(3, 3, 9, 12)]
    shuffled = Random(seed).sample(events, len(events))
    assert folded(*shuffled).metrics == folded(*events).metrics


# --- periods ---


def test_a_week_is_that_of_the_iso_calendar_at_the_year_s_end():
    """Monday 29 December 2025 begins 2026-W01; Friday 1 January 2027 still belongs to 2026-W53."""
    assert scopes("weekly", *sold("2025-12-29", "2026-01-04")) == {"2026-W01"}
    assert scopes("weekly", *sold("2026-01-04", "2026-01-05")) == set()
    assert scopes("weekly", *sold("2026-12-28", "2027-01-01", "2027-01-03")) == {"2026-W53"}
    assert scopes("weekly", *sold("2027-01-03", "2027-01-04")) == set()
    assert scopes("weekly", *sold("2024-12-30", "2025-01-01")) == {"2025-W01"}


@pytest.mark.parametrize(
    ("zone", "period"), [(PARIS, "2025-04"), ("America/New_York", "2025-03"), ("Asia/Tokyo", "2025-04")]
)
def test_a_month_begins_at_the_midnight_of_the_event_s_zone(zone: str, period: str):
    """22:30 in UTC on 31 March: half past midnight in Paris, where clocks had changed the day before."""
    assert scopes("monthly", *sold("2025-03-31T22:30:00Z", amount=10, timezone=zone)) == {period}


def test_an_event_without_a_zone_is_of_the_catalog_s():
    before = event("login", "2025-03-31T20:00:00Z", timezone="Asia/Tokyo")
    assert scopes("monthly", before, *sold("2025-03-31T22:30:00Z", amount=10)) == {"2025-03"}


def test_each_period_has_its_own_award_once_dated_by_its_own_events():
    days = ["2025-03-10T09:00:00Z", "2025-04-02T09:00:00Z", "2025-03-20T09:00:00Z", "2025-04-03T09:00:00Z"]
    events = sold(*days, amount=6)
    assert scopes("monthly", *events) == {"2025-03", "2025-04"}
    assert earned_at("monthly", *events, scope="2025-03") == utc(2025, 3, 20, 9)
    assert earned_at("monthly", *events, scope="2025-04") == utc(2025, 4, 3, 9)
    more = folded(*events, *sold("2025-03-25", amount=6))
    assert more.awards == folded(*events).awards
    assert more.points == {"ann": {"days": 4 * 10}}  # two months, the week of April, and before June 2026


def test_what_is_undone_in_a_month_is_undone_in_that_month_only():
    undone = event("returned", "2025-03-11", amount=5)
    assert scopes("monthly", *sold("2025-03-10", amount=9), undone, *sold("2025-03-12", amount=5)) == set()
    later = event("returned", "2025-04-01", amount=5)
    assert scopes("monthly", *sold("2025-03-10", amount=9), later, *sold("2025-03-12", amount=5)) == {"2025-03"}


def test_a_late_event_counts_in_its_own_period():
    events = [*sold("2025-03-10", "2025-04-10"), event("sold", "2025-03-11")]
    assert scopes("weekly", *events) == {"2025-W11"}


def test_different_values_are_counted_in_each_period_apart():
    events = [event("sold", day, to=name) for day, name in (("2025-03-01", "a"), ("2025-03-02", "b"))]
    assert scopes("daily", *events) == set()
    assert scopes("daily", *events, event("sold", "2025-03-02", to="a")) == {"2025-03-02"}


# --- seasons ---


def test_a_season_counts_the_events_of_its_local_days():
    """From the first of June on, and until September: the day named last is not in it."""
    first, last = "2026-05-31T22:30:00Z", "2026-08-31T22:30:00Z"
    assert earned_at("since", *sold(first)) is None
    assert earned_at("since", *sold(first, timezone=PARIS)) == utc(2026, 5, 31, 22, 30)
    assert earned_at("before", *sold(first, timezone=PARIS)) is None
    in_season = [*sold("2026-07-01"), *[event("login", day) for day in ("2026-07-01", "2026-07-02")]]
    assert earned_at("summer", *in_season) is None
    assert earned_at("summer", *in_season, *sold(last)) == utc(2026, 8, 31, 22, 30)
    assert earned_at("summer", *in_season, *sold(last, timezone=PARIS)) is None


def test_a_streak_in_a_season_has_days_of_the_season_only():
    around = [*sold("2026-06-01", "2026-06-02"), event("login", "2026-05-31"), event("login", "2026-06-01")]
    assert earned_at("summer", *around) is None
    assert earned_at("two", *around) == utc(2026, 6, 1)
    assert earned_at("summer", *around, event("login", "2026-06-02")) == utc(2026, 6, 2, 12)
