"""Progress over the bundled samples agrees with what the reference fold says was earned."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import pytest

from bench import reference
from processor.evaluator.compile import compile_catalog
from progress.achievements import progress_of_all
from progress.conditions import is_complete
from progress.levels import level_of
from progress.rows import Person
from progress.standing import Standing
from progress.statistics import statistics
from schemas.catalog import read_catalog
from schemas.program import CatalogProgram, Ledger
from tests.unit.sample import CATALOGS
from tests.unit.standings import award

SAMPLES = ["badges", "interview"]
LATER = datetime(2026, 6, 12, tzinfo=UTC)


def text_of(name: str) -> str:
    return (CATALOGS / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def folded(name: str) -> reference.Result:
    lines = gzip.decompress((CATALOGS / "samples" / f"{name}.jsonl.gz").read_bytes()).splitlines()
    return reference.fold([json.loads(line) for line in lines], [text_of(name)])


@cache
def program_of(name: str) -> CatalogProgram:
    return compile_catalog(read_catalog(text_of(name), f"{name}.yaml"), Ledger())[0]


def standings(name: str) -> Iterator[Standing]:
    """Every user of the sample, as the read models would have them."""
    result = folded(name)
    for user, metrics in result.metrics.items():
        held = [
            award(key.partition("/")[0], tier=key.partition("/")[2] or None, scope=scope, earned_at=earned_at)
            for (owner, _, key, scope), earned_at in result.awards.items()
            if owner == user
        ]
        yield Standing(program_of(name), Person(user=user, metrics={**metrics[name]}, awards=held), LATER)


@pytest.mark.parametrize("name", SAMPLES)
def test_whoever_lacks_nothing_has_it(name):
    """Over a whole history nobody is past a threshold without having reached it."""
    looked_at = 0
    for each in standings(name):
        for entry in each.program.achievements:
            looked_at += 1
            assert not is_complete(each, entry) or each.holds(entry), (each.person.user, entry.reference)
    assert looked_at > 100


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_told_as_earned_is_what_the_reference_awarded(name):
    for each in standings(name):
        earned = {progress.key for progress in progress_of_all(each) if progress.percent == 100 or progress.tier}
        assert earned == {award.achievement for award in each.person.awards}
        assert statistics(each).awards == len(each.person.awards)


def test_levels_are_those_of_the_reference():
    result = folded("interview")
    for each in standings("interview"):
        told = level_of(each)
        assert told is not None
        assert told.level == result.levels[each.person.user]["interview"]
