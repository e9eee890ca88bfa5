"""Every catalog that comes with Laurel shows by examples what it does, and does it."""

from __future__ import annotations

from functools import cache

import pytest

from cli.catalog.examples import Example, read_examples
from cli.catalog.trying import verdicts_of
from cli.catalog_files import bundled_catalogs, catalog_file
from cli.simulation.products import PRODUCTS
from processor.evaluator.compile import compile_catalog
from schemas.catalog import Catalog, read_catalog
from schemas.program import Ledger

of_every_catalog = pytest.mark.parametrize("name", bundled_catalogs())
UNDONE = {"trackflow": "song_unreleased", "platform": "project_deleted"}


@cache
def catalog(name: str) -> Catalog:
    return read_catalog(*catalog_file(name))


@cache
def examples(name: str) -> list[Example]:
    return read_examples(*catalog_file(name), compile_catalog(catalog(name), Ledger())[0])


def awarded(name: str) -> set[str]:
    """The keys of all awards that some example expects."""
    wanted = (wanted for example in examples(name) for each in example.expected for wanted in each.awards)
    only = (wanted for example in examples(name) for each in example.expected for wanted in each.only or [])
    return {each.reference.partition("/")[0] for each in [*wanted, *only]}


@of_every_catalog
def test_a_catalog_does_what_its_examples_say(name: str):
    assert [(each.example.name, each.differences) for each in verdicts_of(name) if not each.passed] == []


@of_every_catalog
def test_every_family_of_achievements_has_an_example(name: str):
    alone = {entry.key for entry in catalog(name).achievements}
    families = [{step.key for step in ladder.steps} for ladder in catalog(name).ladders]

    assert alone - awarded(name) == set()
    assert [family for family in families if not family & awarded(name)] == []


@of_every_catalog
def test_an_example_shows_what_comes_late(name: str):
    arrivals = [[given.at for given in example.given] for example in examples(name)]

    assert any(times != sorted(times) for times in arrivals)


@pytest.mark.parametrize("name", sorted(set(PRODUCTS) & set(bundled_catalogs())))
def test_an_example_shows_whose_day_it_is(name: str):
    assert any(given.timezone for example in examples(name) for given in example.given)


@pytest.mark.parametrize(("name", "event"), UNDONE.items())
def test_an_example_shows_what_is_undone(name: str, event: str):
    assert any(given.type == event for example in examples(name) for given in example.given)
