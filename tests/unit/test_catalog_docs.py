"""docs/catalog-language.md shows nothing that the check refuses."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from schemas.catalog import RefusedCatalog, all_achievements, read_catalog
from schemas.catalog.spelling import ROUTES
from schemas.catalog.unfinished import NOT_WRITTEN, NOT_YET

TEXT = (Path(__file__).parents[2] / "docs" / "catalog-language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_whole_catalog_of_the_document_is_good():
    whole = next(block for block in BLOCKS if "\ncatalog: shop" in block)

    catalog = read_catalog(whole, "docs/catalog-language.md")

    texts = {each.key: each.description for each in all_achievements(catalog)}
    assert texts["spender"] == "Spend 99.5 euros"


def test_every_shorter_example_is_good_in_its_place():
    blocks = [block for block in BLOCKS if "\ncatalog: shop" not in block and not block.startswith("examples:")]
    parts = [yaml.safe_load(block) for block in blocks]
    where, feedback, finished = parts

    metrics = {"where_example": {"count": "e", **where}, **feedback, **finished}
    catalog = {"catalog": "c", "version": 1, "events": EVENTS, "metrics": metrics}

    assert len(read_catalog(yaml.safe_dump(catalog), "docs").metrics) == 3


SONG = {"from_status": "string"}
EVENTS = {
    "e": {
        "topic": "t",
        "data": {"kind": "string", "hour": "integer", "percent": "integer", "helped_id": "string?"},
    },
    "comment": {"topic": "t"},
    "vote": {"topic": "t", "data": {"kind": "string"}},
    "song_released": {"topic": "t", "data": SONG},
    "song_unreleased": {"topic": "t", "data": SONG},
    "song_deleted": {"topic": "t", "data": {**SONG, "released": "boolean"}},
}


def test_the_document_names_the_words_that_are_not_there_yet_and_those_that_are_reserved():
    tail = TEXT[TEXT.index("## Not yet") :]

    named = set(re.findall(r"`([a-z_]+)`", tail))
    assert named == {word for words in NOT_YET.values() for word in words} | NOT_WRITTEN - {"any_of", "upcast"}
    assert all(f"`{word}`" in TEXT for word in ROUTES)


def test_what_the_document_calls_not_yet_is_refused_in_those_words():
    try:
        read_catalog("catalog: c\nversion: 1\nnotify: []\n", "c.yaml")
    except RefusedCatalog as refused:
        message = str(refused)

    assert "this version of Laurel does not know `notify` here yet" in message
    assert "this version of Laurel does not know `x` here yet" in TEXT
