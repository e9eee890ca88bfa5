"""The streak on a user's card: what tomorrow adds to."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from cli.users import EPOCH, local_date, streak

TODAY = date(2026, 3, 10)


def run(first: date, last: date, longest: int) -> dict[str, int | None]:
    return {"first_day": (first - EPOCH).days, "last_day": (last - EPOCH).days, "longest": longest}


@pytest.mark.parametrize(("days_ago", "current"), [(0, 5), (1, 5), (2, 0), (30, 0)])
def test_a_run_counts_while_its_last_day_is_today_or_yesterday(days_ago, current):
    last = TODAY - timedelta(days_ago)

    assert streak(run(last - timedelta(4), last, 9), TODAY) == {"current": current, "longest": 9}


def test_somebody_without_an_active_day_has_no_streak():
    assert streak({"first_day": None, "last_day": None, "longest": 0}, TODAY) == {"current": 0, "longest": 0}


def test_today_is_the_users_today():
    late = datetime(2026, 3, 10, 20, 0, tzinfo=UTC)

    assert local_date(late, "Asia/Tokyo") == date(2026, 3, 11)
    assert local_date(late, None) == date(2026, 3, 10)
