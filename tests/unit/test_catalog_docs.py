"""docs/catalog-language.md shows nothing that the check refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from schemas.catalog import RefusedCatalog, all_achievements, read_catalog
from schemas.catalog.source import Source
from schemas.catalog.spelling import ROUTES
from schemas.catalog.unfinished import NOT_WRITTEN

TEXT = (Path(__file__).parents[2] / "docs" / "catalog-language.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_whole_catalog_of_the_document_is_good():
    whole = next(block for block in BLOCKS if "\ncatalog: shop" in block)

    catalog = read_catalog(whole, "docs/catalog-language.md")

    texts = {each.key: each.description for each in all_achievements(catalog)}
    assert texts["spender"] == "Spend 99.5 euros"


def parts() -> list[dict[str, Any]]:
    blocks = [block for block in BLOCKS if "\ncatalog: shop" not in block and not block.startswith("examples:")]
    return [Source(block, "docs").data for block in blocks]


def test_every_metric_of_the_document_is_good_in_its_place():
    where, feedback, finished = (part for part in parts() if not part.keys() & SECTIONS)

    metrics = {"where_example": {"count": "e", **where}, **feedback, **finished}
    catalog = {"catalog": "c", "version": 1, "events": EVENTS, "metrics": metrics}

    assert len(read_catalog(yaml.safe_dump(catalog), "docs").metrics) == 3


def test_the_examples_of_all_sections_make_one_good_catalog():
    catalog = Source(SCHOOL, "docs").data
    for part in parts():
        for name, said in part.items():
            if name in SECTIONS:
                catalog[name] = catalog.get(name, []) + said if isinstance(said, list) else said

    read = read_catalog(yaml.safe_dump(catalog, allow_unicode=True, sort_keys=False), "docs")

    assert {each.reference for each in all_achievements(read)} >= {
        *(
            "problem_solver/silver",
            "module_complete",
            "summer",
            "busy_week",
            "completionist",
            "gallery",
            "first_steps",
        )
    }
    assert read.levels is not None
    assert read.challenges is not None


SECTIONS = {"achievements", "xp", "levels", "challenges", "categories", "default_language", "topics"}
SCHOOL = """
catalog: school
version: 1
categories: [{key: seasons, title: Seasons}, {key: sets, title: Sets}]
events:
  exercise_solved: {topic: school, data: {exercise_id: string, track: string?}}
  module_completed: {topic: school, data: {module_id: string, title: string?}}
  assessment_scored: {topic: school, data: {assessment_id: string, percent: integer}}
  work_made: {topic: school}
  work_gone: {topic: school}
metrics:
  exercises: {count: exercise_solved}
  days: {streak: exercise_solved, every: day, grace: 1}
  tracks: {distinct: exercise_solved, by: data.track}
  works: {count: work_made, minus: work_gone}
"""
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
    assert named == NOT_WRITTEN - {"any_of", "upcast"}
    assert all(f"`{word}`" in TEXT for word in ROUTES)


def test_what_the_document_calls_not_yet_is_refused_in_those_words():
    try:
        read_catalog("catalog: c\nversion: 1\nnotify: []\n", "c.yaml")
    except RefusedCatalog as refused:
        message = str(refused)

    assert "this version of Laurel does not know `notify` here yet" in message
    assert "this version of Laurel does not know `x` here yet" in TEXT
