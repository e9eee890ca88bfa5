"""The bounds of the reference, made small: what lies beyond them is not taken in."""

from __future__ import annotations

import pytest

from bench.reference import bounds
from tests.unit.cloud_events import event
from tests.unit.test_awards_by_hand import folded, on
from tests.unit.test_days_by_hand import HONOLULU, KIRITIMATI, freezes, logins, march, scopes, sold, streak


def test_of_far_days_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "EDGE_DAYS_MAX", 2)
    journey = [*logins(HONOLULU, "2025-03-02T09:00:00Z"), *logins(KIRITIMATI, "2025-03-02T11:00:00Z")]
    later = logins(HONOLULU, "2025-06-01T20:00:00Z", "2025-06-03T20:00:00Z")
    assert streak("days", *journey, *later) == 1
    assert streak("days", *later, *journey) == 1


def test_at_its_bound_a_streak_takes_no_more_freezes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "FREEZES_MAX", 1)
    assert streak("frozen", *march(1, 4), *freezes(1, 1)) == 1


def test_of_the_periods_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "PERIODS_MAX", 2)
    two, three = sold("2025-03-10", "2025-04-10", amount=6), sold("2025-05-10", amount=6)
    assert scopes("monthly", *two, event("sold", "2025-03-11", amount=6)) == {"2025-03"}
    assert scopes("monthly", *two, *three, event("sold", "2025-03-11", amount=6)) == set()
    assert scopes("monthly", *two, *three, event("sold", "2025-04-11", amount=6)) == {"2025-04"}


def test_at_its_bound_no_more_scopes_are_won(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bounds, "SCOPES_MAX", 2)
    events = [on(1, "module_completed", module_id=name) for name in "abca"]
    assert len(folded(*events).awards) == 2
