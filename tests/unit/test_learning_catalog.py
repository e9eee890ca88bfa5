"""The learning catalog awards what a learner completes, once for each thing, and celebrates it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.reference import fold
from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.program import AchievementSpec, AtLeast, CatalogProgram, Ledger

TEXT = (Path(__file__).parents[2] / "catalogs" / "learning.yaml").read_text(encoding="utf-8")

# the type codes of S2.7: what each is awarded for, and once for each of what
SCOPED = [
    ("module_complete", "Module Complete", "completion", "module_completed", "module_id"),
    ("unit_complete", "Unit Complete", "completion", "unit_completed", "unit_id"),
    ("course_complete", "Course Complete", "completion", "course_completed", "course_id"),
    ("high_score", "High Score", "mastery", "assessment_scored", "assessment_id"),
]
STREAKS = [("streak_3", 3), ("streak_7", 7), ("streak_30", 30)]
PUBLISHED = """
lesson_completed module_completed unit_completed course_completed assessment_scored user_registered user_updated
user_deleted user_followed user_unfollowed
"""


@cache
def learning() -> CatalogProgram:
    return compile_catalog(read_catalog(TEXT, "learning.yaml"), Ledger())[0]


@cache
def entries() -> dict[str, AchievementSpec]:
    return {each.key: each for each in learning().achievements}


@pytest.mark.parametrize(("key", "name", "category", "event", "scope"), SCOPED, ids=[each[0] for each in SCOPED])
def test_a_completion_is_awarded_once_for_each_thing(key: str, name: str, category: str, event: str, scope: str):
    entry = entries()[key]

    assert (entry.name, entry.type, entry.category) == (name, key, category)
    assert ([feed.type for feed in entry.on], entry.scope) == ([event], scope)
    assert entry.metadata[scope] == scope
    assert entry.metadata["title"] == "title"


@pytest.mark.parametrize(("key", "days"), STREAKS)
def test_days_in_a_row_are_awarded_too(key: str, days: int):
    entry = entries()[key]

    assert (entry.type, entry.category) == ("streak", "habit")
    assert isinstance(entry.when, AtLeast)
    assert (entry.when.metric, entry.when.at) == ("learning_streak", days)


def test_there_is_nothing_else():
    assert list(entries()) == [each[0] for each in SCOPED] + [each[0] for each in STREAKS]
    assert learning().headline_streak == "learning_streak"


def test_everyone_is_described_and_celebrated_with_what_it_is_about():
    listed = list(entries().values())

    assert all(each.description and each.message and each.icon for each in listed)
    assert all(entries()[key].message.endswith(" {title}") for key, *_ in SCOPED)  # reads well without a title too
    assert "{score}" in entries()["high_score"].message


def test_everything_is_said_in_french_too():
    french = [entry.translations["fr"] for entry in entries().values()]

    assert all(texts.name and texts.description and texts.message for texts in french)
    assert entries()["streak_7"].translations["fr"].description == "Apprendre 7 jours de suite"
    assert {key: titles["fr"] for key, titles in learning().category_titles.items()} == {
        "completion": "Terminé",
        "mastery": "Maîtrisé",
        "habit": "Habitudes",
    }


def test_the_attempt_and_the_score_of_a_high_score_are_recorded():
    metadata = entries()["high_score"].metadata

    assert metadata["score"] == "percent"
    assert metadata["attempt"] == "attempt"


def test_every_event_of_the_contract_is_declared_on_its_topic():
    assert {event.type for event in learning().events} == set(PUBLISHED.split())
    assert {event.topic for event in learning().events} == {"learning.activity"}


# --- what is earned, told by the reference ---


def earned(*events: tuple[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Achievements with their scopes; an event a minute."""
    log = [
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "test",
            "type": kind,
            "subject": "ann",
            "time": f"2026-03-01T10:{number:02}:00Z",
            "data": data,
        }
        for number, (kind, data) in enumerate(events)
    ]
    return {(achievement, scope) for _, _, achievement, scope in fold(log, [TEXT]).awards}


def scored(assessment: str, percent: float) -> tuple[str, dict[str, Any]]:
    return "assessment_scored", {"assessment_id": assessment, "percent": percent}


def test_each_module_is_an_award_and_the_same_one_again_is_none():
    found = earned(*(("module_completed", {"module_id": key}) for key in ("m1", "m2", "m1")))

    assert found == {("module_complete", "m1"), ("module_complete", "m2")}


def test_a_high_score_begins_at_ninety_per_cent():
    assert earned(scored("a", 89.99)) == set()
    assert earned(scored("a", 90)) == {("high_score", "a")}


def test_a_retake_may_win_what_the_first_attempt_did_not_and_never_wins_twice():
    assert earned(scored("a", 40), scored("a", 93), scored("a", 99), scored("b", 91)) == {
        ("high_score", "a"),
        ("high_score", "b"),
    }


def test_what_has_no_id_to_speak_of_is_no_award():
    assert earned(("unit_completed", {"unit_id": "  "})) == set()
