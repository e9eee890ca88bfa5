"""The evaluator against the reference: random catalogs, random logs, cut and restored anywhere, one answer.

The log goes to the evaluator as records of its topics, in chunks, with states going through their wire form in
between; the reference reads the same events in one go. What they share is the text of the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import assume, event, given, settings

from bench.reference import Result, fold
from schemas.catalog import RefusedCatalog
from schemas.state import DISTINCT_MAX, STREAK_RUNS_MAX
from tests.unit.driving import Driver, compiled, driven, row_of
from tests.unit.random_catalogs import catalogs
from tests.unit.random_logs import BREAKS, SEEDS, Said, random_log
from tests.unit.sample import TRACKFLOW, result, sample


def reference(texts: Sequence[str], log: Sequence[Said]) -> Result:
    return fold(json.loads(json.dumps(log)), texts)


def usable(texts: Sequence[str]) -> None:
    """Leave out what the catalog check refuses, such as tests that exclude each other."""
    try:
        compiled(texts)
    except RefusedCatalog as refused:
        event(f"refused: {refused.findings[0].what[:40]}")
        assume(False)


EXAMPLES = settings().max_examples  # of the profile: --hypothesis-profile says how long this may take


def assert_equal(driver: Driver, expected: Result) -> None:
    assert driver.changelog.awards == expected.awards
    assert driver.metrics() == expected.metrics
    assert driver.counts == [expected.applied, expected.duplicates, expected.skipped]


@settings(max_examples=EXAMPLES // 2)
@given(SEEDS, catalogs(), BREAKS)
def test_awards_dates_metrics_and_counts_are_those_of_the_reference(seed: int, text: str, breaks: set[int]):
    usable([text])
    for log in (random_log(seed), random_log(seed + 1), random_log(seed + 2)):
        assert_equal(driven([text], log, breaks, at_once=True), reference([text], log))


@settings(max_examples=EXAMPLES // 4)
@given(SEEDS, catalogs("one"), catalogs("two"), BREAKS)
def test_two_catalogs_on_the_same_topics_do_not_meet(seed: int, one: str, two: str, breaks: set[int]):
    usable([one, two])
    log = random_log(seed)
    together = driven([one, two], log, breaks, at_once=True)
    assert_equal(together, reference([one, two], log))
    alone = {award: at for text in (one, two) for award, at in reference([text], log).awards.items()}
    assert together.changelog.awards == alone


@settings(max_examples=EXAMPLES // 4)
@given(SEEDS, catalogs(only_grows=True), BREAKS)
def test_what_only_grows_ends_alike_in_any_order(seed: int, text: str, breaks: set[int]):
    """Derived events arrive when they do: that alone moves no date of an award that does not hang on them."""
    usable([text])
    log = random_log(seed, unique=True)
    expected = reference([text], log)
    later = driven([text], log, breaks, at_once=False)
    dated = {award: at for award, at in expected.awards.items() if award not in expected.undated}
    assert dated.items() <= later.changelog.awards.items()
    shuffled = driven([text], Random(seed).sample(log, len(log)), breaks, at_once=False)
    for driver in (later, shuffled):
        assert driver.changelog.awards.keys() == expected.awards.keys()
        assert driver.metrics() == expected.metrics


BOUNDED = """
catalog: bounded
version: 1
events:
  alpha: {topic: t.one, data: {number: integer}}
  beta: {topic: t.one, data: {number: integer}}
metrics:
  values: {distinct: alpha, by: data.number}
  present: {distinct: alpha, by: data.number, minus: beta}
  days: {streak: [alpha, beta], every: day}
achievements:
  - {key: many, name: Many, description: Many, when: values >= %d}
  - {key: three, name: Three, description: Three, when: {all: [days >= 3, present >= 2]}}
"""


def test_both_stop_at_the_same_bounds():
    """More values than a distinct takes in, more isolated days than a streak has runs; then some go, some join."""
    distinct = [("alpha", number, 2 * number) for number in range(DISTINCT_MAX + 20)]
    gone = [("beta", number, 1) for number in range(5, 15)]
    again = [("alpha", number, 3) for number in range(DISTINCT_MAX, DISTINCT_MAX + 30)]
    beyond = [("beta", 99, 2 * STREAK_RUNS_MAX + 4), ("beta", 99, 2 * STREAK_RUNS_MAX - 1)]
    log = [
        {
            "specversion": "1.0",
            "id": str(place),
            "source": "/web",
            "type": kind,
            "subject": "ann",
            "time": (datetime(1990, 1, 1, tzinfo=UTC) + timedelta(days=days)).isoformat(),
            "data": {"number": number},
        }
        for place, (kind, number, days) in enumerate([*distinct, *gone, *again, *beyond])
    ]
    text = BOUNDED % DISTINCT_MAX
    driver, expected = driven([text], log, {100, 4200}, at_once=False), reference([text], log)
    assert_equal(driver, expected)
    assert expected.metrics["ann"]["bounded"]["values"] == DISTINCT_MAX
    assert expected.metrics["ann"]["bounded"]["present"] == DISTINCT_MAX - 1
    assert len(expected.awards) == 2


def test_the_bundled_sample_ends_alike():
    """A year of TrackFlow, with undo, derived events that come later, and states restored on the way."""
    log, expected = sample(), result()
    driver = Driver([TRACKFLOW])
    for start in range(0, len(log), 500):
        driver.feed("trackflow.activity", [row_of(each) for each in log[start : start + 500]])
        driver.derive()
        if start % 5000 == 0:
            driver.restart()
    driver.cut()
    dated = {award: at for award, at in expected.awards.items() if award not in expected.undated}
    assert dated.items() <= driver.changelog.awards.items()
    assert driver.changelog.awards.keys() == expected.awards.keys()
    assert driver.metrics() == expected.metrics
    assert driver.counts == [expected.applied, expected.duplicates, expected.skipped]
