"""The demo's verdict: it says equal only when nothing differs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.reference import Result
from cli import comparison
from cli.awards import Award
from cli.comparison import TOLD_MAX, compare

AT = datetime(2026, 1, 2, tzinfo=UTC)
AWARD = ("ann", "songs", "first", "")


class Postgres:
    """Answers the comparison's queries."""

    def __init__(self, awards: list[Award], points: dict[tuple[str, str], int], metrics: dict[str, Any]) -> None:
        self.awards = awards
        self._rows = {
            comparison.POINTS: [(*who, points) for who, points in points.items()],
            comparison.METRICS: list(metrics.items()),
        }

    def execute(self, statement: bytes) -> list[tuple[Any, ...]]:
        return self._rows[statement]


@pytest.fixture
def differences(monkeypatch):
    monkeypatch.setattr(comparison, "read_awards", lambda postgres: iter(postgres.awards))
    metrics = {"ann": {"songs": {"released": 1, "stars": None}}}

    def between(reference: Result, awards: list[Award], points: int = 10, metrics: dict = metrics) -> list[str]:
        return compare(Postgres(awards, {("ann", "songs"): points}, metrics), reference)  # type: ignore[arg-type]

    return between


@pytest.fixture
def reference() -> Result:
    metrics = {"ann": {"songs": {"released": 1, "stars": None}}}
    return Result(awards={AWARD: AT}, points={"ann": {"songs": 10}, "bob": {"songs": 0}}, metrics=metrics)


def test_the_same_is_equal(reference, differences):
    assert differences(reference, [Award(*AWARD, AT)]) == []


def test_a_missing_award_is_told(reference, differences):
    assert differences(reference, []) == [f"award {AWARD} of the reference is missing"]


def test_an_award_that_is_there_twice_is_told(reference, differences):
    (told,) = differences(reference, [Award(*AWARD, AT), Award(*AWARD, AT)])

    assert "there twice" in told


def test_an_award_of_another_moment_is_told(reference, differences):
    (told,) = differences(reference, [Award(*AWARD, AT + timedelta(seconds=1))])

    assert "in the reference of 2026-01-02" in told


def test_the_moment_of_what_hangs_on_derived_events_may_differ(reference, differences):
    reference.undated.add(AWARD)

    assert differences(reference, [Award(*AWARD, AT + timedelta(seconds=1))]) == []


def test_other_points_are_told(reference, differences):
    (told,) = differences(reference, [Award(*AWARD, AT)], points=11)

    assert told == "points of ('ann', 'songs') are 11, in the reference 10"


def test_another_metric_is_told(reference, differences):
    (told,) = differences(reference, [Award(*AWARD, AT)], metrics={"ann": {"songs": {"released": 2}}})

    assert told.startswith("metrics of ann are")


def test_a_metric_that_nothing_moved_may_be_missing_and_one_that_moved_may_not(reference, differences):
    """A user who had no event since a metric came is not shown it."""
    reference.metrics["ann"]["songs"]["likes"] = 0

    assert differences(reference, [Award(*AWARD, AT)]) == []

    reference.metrics["ann"]["songs"]["likes"] = 1
    assert len(differences(reference, [Award(*AWARD, AT)])) == 1


def test_a_user_who_should_not_be_there_is_told(reference, differences):
    shown = {**reference.metrics, "eve": {}}

    assert len(differences(reference, [Award(*AWARD, AT)], metrics=shown)) == 1


def test_thousands_of_differences_are_not_all_told(reference, differences):
    reference.awards.update({(f"user-{number}", "songs", "first", ""): AT for number in range(5000)})

    assert len(differences(reference, [Award(*AWARD, AT)])) == TOLD_MAX
