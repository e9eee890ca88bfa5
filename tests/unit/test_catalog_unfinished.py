"""What is read and cannot be done yet is refused in so many words, and never ignored."""

from __future__ import annotations

import pytest

from schemas.catalog import RefusedCatalog, read_catalog
from schemas.catalog.unfinished import NOT_WRITTEN, NOT_YET

SHOP = """\
catalog: shop
version: 1
events:
  order: {topic: shop, data: {country: string, items: integer}}
metrics:
  orders: {count: order}
achievements:
  - {key: first, name: First, when: orders >= 1 ENTRY}
"""
SECTIONS = {
    "xp": "xp: [{on: order, amount: 5}]\n",
    "levels": "levels: {of: orders, curve: {triangular: 5}}\n",
    "challenges": (
        "challenges: {per_day: 1, list: [{key: c, description: D, when: orders >= 2, every: day, xp: 3}]}\n"
    ),
    "repartition": "topics: {shop: {repartition: true}}\n",
    "on": "ladders: []\n",
}
ENTRIES = {
    "context": ", context: {country: data.country}",
    "revocable": ", revocable: announced",
    "is_public": ", is_public: false",
    "xp": ", xp: 5",
    "every": ", window: {every: month}",
}
WORDS = sorted({word for words in NOT_YET.values() for word in words})


def using(word: str) -> str:
    text = SHOP.replace(" ENTRY", ENTRIES.get(word, ""))
    if word == "on":
        text = text.replace("when: orders >= 1", "on: order")
    return text + ("xp: [{on: awards}]\n" if word == "xp" else SECTIONS.get(word, ""))


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_this_version_cannot_do_is_refused_in_its_line(word: str):
    text = using(word)

    with pytest.raises(RefusedCatalog) as refused:
        read_catalog(text, "shop.yaml")

    whats = {each.what for each in refused.value.findings}
    assert whats == {f"this version of Laurel does not know `{word}` here yet"}
    assert all(word in text.splitlines()[each.line - 1] for each in refused.value.findings)


@pytest.mark.parametrize("word", WORDS)
def test_there_is_one_door_for_those_who_make_it_possible(word: str):
    assert read_catalog(using(word), "shop.yaml", whole=True).catalog == "shop"


@pytest.mark.parametrize("word", sorted(NOT_WRITTEN))
def test_a_word_of_the_design_without_a_shape_is_told_from_a_misspelt_one(word: str):
    for text in (SHOP.replace(" ENTRY", f", {word}: x"), SHOP.replace(" ENTRY", "") + f"{word}: []\n"):
        with pytest.raises(RefusedCatalog, match=f"does not know `{word}` here yet"):
            read_catalog(text, "shop.yaml", whole=True)
