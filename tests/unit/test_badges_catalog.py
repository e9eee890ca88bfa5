"""The badges catalog: tiers with several conditions, categories, and combinations, as listed by hand."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.reference import Result, fold
from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.program import AchievementSpec, CatalogProgram, Ledger

TEXT = (Path(__file__).parents[2] / "catalogs" / "badges.yaml").read_text(encoding="utf-8")
LADDER = ["bronze", "silver", "gold", "platinum"]

# key -> category, the names of its conditions and their metrics, and the thresholds of each tier with its XP
TIERED: dict[str, tuple[str, dict[str, str], list[tuple[list[int], int]]]] = {
    "problem_solver": (
        "learning_progress",
        {"solved": "solved", "streak": "learning_days"},
        [([10, 3], 50), ([50, 7], 150), ([150, 14], 300), ([400, 30], 600)],
    ),
    "scholar": (
        "learning_progress",
        {"lessons": "lessons", "tracks": "tracks"},
        [([10, 1], 50), ([40, 2], 150), ([100, 3], 300), ([250, 4], 600)],
    ),
    "builder": (
        "learning_progress",
        {"projects": "projects", "hard_solved": "hard_solved"},
        [([2, 2], 75), ([5, 10], 200), ([12, 30], 400), ([25, 80], 800)],
    ),
    "daily_visitor": (
        "dedication",
        {"streak": "login_streak"},
        [([3], 30), ([7], 70), ([30], 300), ([100], 1000)],
    ),
    "mentor": (
        "community",
        {"feedback": "feedback", "people": "people_helped"},
        [([3, 2], 50), ([15, 5], 150), ([50, 10], 300), ([150, 20], 600)],
    ),
}
SINGLE = {
    "hello": ("getting_started", 10),
    "first_lesson": ("getting_started", 10),
    "first_solution": ("getting_started", 10),
    "first_project": ("getting_started", 25),
    "hard_nut": ("dedication", 100),
    "off_the_ground": ("combinations", 100),
    "all_rounder": ("combinations", 250),
    "golden_hands": ("combinations", 500),
    "collector": ("combinations", 1000),
}
PUBLISHED = """
lesson_completed exercise_solved project_submitted feedback_given login user_registered user_updated user_deleted
user_followed user_unfollowed
"""


@cache
def badges() -> CatalogProgram:
    return compile_catalog(read_catalog(TEXT, "badges.yaml"), Ledger())[0]


@cache
def entries() -> dict[str, AchievementSpec]:
    return {each.reference: each for each in badges().achievements}


# --- as listed ---


@pytest.mark.parametrize("key", TIERED)
def test_a_tiered_badge_has_its_four_tiers_with_their_conditions(key: str):
    category, conditions, tiers = TIERED[key]
    found = [entries()[f"{key}/{tier}"] for tier in LADDER]

    assert [each.rank for each in found] == [0, 1, 2, 3]
    assert {each.category for each in found} == {category}
    assert [{name: part.metric for name, part in each.conditions.items()} for each in found] == [conditions] * 4
    assert [([part.at for part in each.conditions.values()], each.xp) for each in found] == tiers


@pytest.mark.parametrize("key", SINGLE)
def test_a_badge_without_tiers_has_its_category_and_xp(key: str):
    assert (entries()[key].category, entries()[key].xp) == SINGLE[key]


def test_there_are_no_other_badges_and_each_is_described_and_celebrated():
    assert {each.key for each in badges().achievements} == {*TIERED, *SINGLE}
    assert all(each.description and each.message and each.icon for each in badges().achievements)
    assert len({each.message for each in badges().achievements}) == len(badges().achievements)
    assert entries()["scholar/gold"].description == "Complete 100 lessons, on 3 different tracks"


def test_the_ladder_and_the_categories_of_the_document_are_there():
    assert badges().tiers == LADDER
    assert [key for key, _ in badges().categories][:2] == ["getting_started", "learning_progress"]


def test_combinations_are_sets_of_badges_a_tiered_one_counting_in_bronze():
    assert set(entries()["off_the_ground"].requires) == {"hello", "first_lesson", "first_solution", "first_project"}
    assert set(entries()["all_rounder"].requires) == {"problem_solver/bronze", "scholar/bronze", "builder/bronze"}
    assert set(entries()["golden_hands"].requires) == {"problem_solver/gold", "builder/silver"}


def test_the_whole_collection_leaves_out_sets_and_secrets():
    wanted = {f"{key}/bronze" for key in TIERED} | {
        "hello",
        "first_lesson",
        "first_solution",
        "first_project",
        "golden_hands",
    }

    assert set(entries()["collector"].requires) == wanted
    assert entries()["hard_nut"].secret


def test_tiers_remember_where_they_were_earned():
    assert entries()["problem_solver/bronze"].context == {"last_exercise": "exercise_id", "last_track": "track"}
    assert entries()["mentor/gold"].context == {"last_helped": "to_id"}


def test_every_event_of_the_contract_is_declared_on_its_topic():
    assert {event.type for event in badges().events} == set(PUBLISHED.split())
    assert {event.topic for event in badges().events} == {"badges.activity"}


# --- what is earned, told by the reference ---


def folded(*events: tuple[str, int, dict[str, Any]]) -> Result:
    """Type, day of March 2026 and data of each event."""
    log = [
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "test",
            "type": kind,
            "subject": "ann",
            "time": f"2026-03-{day:02}T10:{number % 60:02}:00Z",
            "data": data,
        }
        for number, (kind, day, data) in enumerate(events)
    ]
    return fold(log, [TEXT])


def earned(*events: tuple[str, int, dict[str, Any]]) -> set[str]:
    return {award[2] for award in folded(*events).awards}


def solved(count: int, day: int, difficulty: str = "easy") -> list[tuple[str, int, dict[str, Any]]]:
    exercises = ({"exercise_id": f"{difficulty}-{number}", "difficulty": difficulty} for number in range(count))
    return [("exercise_solved", day, exercise) for exercise in exercises]


def test_a_tier_asks_for_all_its_conditions():
    two_days = [*solved(10, 1), *solved(1, 2)]

    assert "problem_solver/bronze" not in earned(*two_days)
    assert "problem_solver/bronze" in earned(*two_days, *solved(1, 3))


def test_an_exercise_counts_once_however_often_it_is_solved():
    assert folded(*solved(5, 1), *solved(5, 2)).metrics["ann"]["badges"]["solved"] == 5


def test_tracks_are_seen_in_lessons_and_exercises_however_they_are_written():
    found = folded(
        ("lesson_completed", 1, {"lesson_id": "l", "track": "SQL"}),
        ("exercise_solved", 1, {"exercise_id": "e", "track": "sql "}),
        ("exercise_solved", 1, {"exercise_id": "f", "track": "web"}),
        ("exercise_solved", 1, {"exercise_id": "g"}),
    )

    assert found.metrics["ann"]["badges"]["tracks"] == 2


def test_feedback_to_oneself_does_not_count():
    found = folded(("feedback_given", 1, {"to_id": "ann"}), ("feedback_given", 1, {"to_id": "ben"}))

    assert found.metrics["ann"]["badges"]["feedback"] == 1


def test_badges_give_the_xp():
    """Hello 10, first lesson 10."""
    found = folded(("login", 1, {}), ("lesson_completed", 1, {"lesson_id": "l"}))

    assert found.metrics["ann"]["badges"]["xp"] == 20


def test_the_secret_badge_is_won_in_either_of_two_ways():
    fifty = solved(50, 1, "hard")
    three_weeks = [*solved(20, 1, "hard"), *(("lesson_completed", day, {"lesson_id": "l"}) for day in range(1, 22))]

    assert "hard_nut" in earned(*fifty)
    assert "hard_nut" in earned(*three_weeks)
    assert "hard_nut" not in earned(*fifty[:49])
