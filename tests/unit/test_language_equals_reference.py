"""The evaluator against the reference on the whole language: one construct at a time, then all of them together.

Where an award may be lost, or a freeze be used up, the order of arrival decides, and both see the same order. All
else is held against the reference under any order, as sets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from bench.reference import Result, fold
from cli.samples import sample_lines
from schemas.catalog import RefusedCatalog
from schemas.state import EDGES_MAX, FREEZES_MAX, PERIODS_MAX, SCOPES_MAX
from tests.unit.driving import Driver, compiled, driven, row_of
from tests.unit.random_languages import CONSTRUCTS, languages
from tests.unit.random_logs import BREAKS, SEEDS, Said, random_log, with_claims
from tests.unit.sample import CATALOGS

EXAMPLES = settings().max_examples  # of the profile: --hypothesis-profile says how long this may take
SAME_ORDER_ONLY = {"revocable", "challenged"}


def reference(texts: Sequence[str], log: Sequence[Said]) -> Result:
    return fold(json.loads(json.dumps(log)), texts)


def usable(text: str) -> None:
    """Leave out what the catalog check refuses, such as a set without members."""
    try:
        compiled([text])
    except RefusedCatalog as refused:
        event(f"refused: {refused.findings[0].what[:60]}")
        assume(False)


def claiming_log(seed: int, text: str) -> list[Said]:
    """A log with claims in it where there is something to claim: without, nobody reads commands."""
    return with_claims(seed, random_log(seed)) if "challenges" in json.loads(text) else random_log(seed)


def assert_equal(driver: Driver, expected: Result) -> None:
    changelog = driver.changelog
    assert changelog.unlocks == expected.unlocks
    assert changelog.revocations == expected.revocations
    assert changelog.awards == expected.awards
    assert changelog.told == expected.told
    assert changelog.levels_reached == expected.levels_reached
    assert changelog.challenges == expected.challenges
    assert changelog.answers == expected.answers
    assert driver.metrics() == expected.metrics
    assert driver.counts == [expected.applied, expected.duplicates, expected.skipped]


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_a_construct_comes_to_what_the_reference_says(construct: str):
    @settings(max_examples=max(1, EXAMPLES // 5))
    @given(SEEDS, languages([construct, "revocable"]), BREAKS)
    def check(seed: int, text: str, breaks: set[int]) -> None:
        usable(text)
        log = claiming_log(seed, text)
        assert_equal(driven([text], log, breaks, at_once=True), reference([text], log))

    check()


@settings(max_examples=EXAMPLES // 2)
@given(SEEDS, st.data(), BREAKS)
def test_all_constructs_together_come_to_what_the_reference_says(seed: int, data: st.DataObject, breaks: set[int]):
    constructs = data.draw(st.lists(st.sampled_from(sorted(CONSTRUCTS)), min_size=2, unique=True))
    text = data.draw(languages(sorted(constructs, key=list(CONSTRUCTS).index)))
    usable(text)
    log = claiming_log(seed, text)
    assert_equal(driven([text], log, breaks, at_once=True), reference([text], log))


@settings(max_examples=max(1, EXAMPLES // 10))
@given(SEEDS, languages(name="one"), languages(name="two"), BREAKS)
def test_two_whole_catalogs_on_the_same_topics_do_not_meet(seed: int, one: str, two: str, breaks: set[int]):
    usable(one)
    usable(two)
    log = claiming_log(seed, one)
    together = driven([one, two], log, breaks, at_once=True)
    assert_equal(together, reference([one, two], log))
    alone = {award: at for text in (one, two) for award, at in reference([text], log).awards.items()}
    assert together.changelog.awards == alone


@pytest.mark.parametrize("construct", [each for each in CONSTRUCTS if each not in SAME_ORDER_ONLY])
def test_a_construct_that_only_grows_ends_alike_in_any_order(construct: str):
    @settings(max_examples=max(1, EXAMPLES // 10))
    @given(SEEDS, languages([construct], only_grows=True), BREAKS)
    def check(seed: int, text: str, breaks: set[int]) -> None:
        usable(text)
        log = random_log(seed, unique=True)
        expected = reference([text], log)
        shuffled = driven([text], Random(seed).sample(log, len(log)), breaks, at_once=False)
        assert shuffled.changelog.awards.keys() == expected.awards.keys()
        assert shuffled.changelog.levels_reached.keys() == expected.levels_reached.keys()
        assert shuffled.metrics() == expected.metrics

    check()


BOUNDED = """
catalog: one
version: 1
events:
  alpha: {topic: t.one, data: {number: integer, text: string}}
  beta: {topic: t.one}
metrics:
  events: {count: alpha}
  values: {distinct: alpha, by: data.number}
  plain: {streak: alpha, every: day}
  frozen: {streak: alpha, every: day, freezes: beta}
achievements:
  - {key: scoped, name: S, description: S, on: alpha, scope: data.text}
  - {key: daily, name: D, description: D, when: values >= 512, window: {every: day}}
  - {key: twice, name: T, description: T, when: events >= 2, window: {every: day}}
  - {key: long, name: L, description: L, when: frozen >= 4}
ladders: [{metric: plain, description: "{at}", steps: [{key: p2, name: P, at: 2}]}]
"""
FIRST_DAY = datetime(2000, 1, 1, 12, tzinfo=UTC)
HONOLULU, KIRITIMATI = "Pacific/Honolulu", "Pacific/Kiritimati"


def on_day(day: int, kind: str = "alpha", *, hour: int = 0, zone: str | None = None, number: int = 0) -> Said:
    at = FIRST_DAY + timedelta(days=day, hours=hour)
    said = {"specversion": "1.0", "source": "/web", "type": kind, "subject": "ann", "time": at.isoformat()}
    data = {"number": number, "text": f"s{number}"} if kind == "alpha" else {}
    return said | {"data": data} | ({"timezone": zone} if zone else {})


def many_values() -> list[Said]:
    """More scopes, and more values of a day, than are kept; some come again."""
    return [on_day(0, number=number) for number in [*range(SCOPES_MAX + 10), 0, SCOPES_MAX + 5]]


def many_periods() -> list[Said]:
    """More days than are kept, then late events on the oldest kept, on one before it, and on one between."""
    days = [2 * number for number in range(PERIODS_MAX + 3)]
    return [on_day(day) for day in [*days, 6, 4, 7, 6, 8, 100]]


def many_freezes() -> list[Said]:
    """As many missed days as freezes are kept are bridged, one more is not."""
    freezes = [on_day(0, "beta") for _ in range(FREEZES_MAX + 4)]
    return [*freezes, on_day(0), on_day(FREEZES_MAX + 1), on_day(FREEZES_MAX + 2), on_day(FREEZES_MAX + 3)]


def too_few_freezes() -> list[Said]:
    freezes = [on_day(0, "beta") for _ in range(FREEZES_MAX + 4)]
    return [*freezes, on_day(0), on_day(FREEZES_MAX + 2), on_day(FREEZES_MAX + 3), on_day(FREEZES_MAX + 4)]


def many_journeys() -> list[Said]:
    """A day is skipped on the way to Kiritimati; then more far days than are remembered, and the journey anew."""
    journey = [on_day(1, hour=-3, zone=HONOLULU), on_day(1, hour=-1, zone=KIRITIMATI)]
    later = [on_day(10 + 3 * number, hour=10, zone=HONOLULU) for number in range(EDGES_MAX + 3)]
    return [*journey, *later, *journey, on_day(500)]


@pytest.mark.parametrize("product", ["platform", "learning", "interview", "badges"])
def test_the_bundled_samples_end_alike(product: str):
    """As the simulated users of each product lived, with states restored on the way."""
    text = (CATALOGS / f"{product}.yaml").read_text(encoding="utf-8")
    log = [json.loads(each) for each in sample_lines([product])]
    driver = Driver([text])
    for start in range(0, len(log), 500):
        driver.feed(f"{product}.activity", [row_of(each) for each in log[start : start + 500]])
        driver.restart()
    assert_equal(driver, reference([text], log))


@pytest.mark.parametrize(
    ("log_of", "awards"),
    [
        (many_values, SCOPES_MAX + 2),  # and two of the day
        (many_periods, 3 + 2),  # twice on 6, 8 and 100; one scope, and 6 to 8 are days in a row
        (many_freezes, 3),
        (too_few_freezes, 2),
        (many_journeys, 2),  # one scope, and the skipped day; when it comes anew its days are too old for periods
    ],
)
def test_both_stop_at_the_same_bounds(log_of: Callable[[], list[Said]], awards: int):
    log = [said | {"id": str(place)} for place, said in enumerate(log_of())]
    breaks = {1, len(log) // 2, len(log) - 2}
    expected = reference([BOUNDED], log)
    assert len(expected.awards) == awards
    assert_equal(driven([BOUNDED], log, breaks, at_once=False), expected)
