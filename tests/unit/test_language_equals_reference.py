"""The evaluator against the reference on the whole language: one construct at a time, then all of them together.

Where an award may be lost, or a freeze be used up, the order of arrival decides, and both see the same order. All
else is held against the reference under any order, as sets.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from bench.reference import Result, fold
from schemas.catalog import RefusedCatalog
from tests.unit.driving import Driver, compiled, driven
from tests.unit.random_languages import CONSTRUCTS, languages
from tests.unit.random_logs import BREAKS, SEEDS, Said, random_log, with_claims

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
