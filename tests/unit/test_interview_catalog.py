"""The interview catalog: XP and levels by hand-computed numbers, First Steps, a streak, three challenges a day."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.reference import Result, fold
from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.program import AchievementSpec, All, AtLeast, CatalogProgram, Ledger

TEXT = (Path(__file__).parents[2] / "catalogs" / "interview.yaml").read_text(encoding="utf-8")

# key, name, and what it asks for: (metric, threshold) each
BADGES: list[tuple[str, str, list[tuple[str, int]]]] = [
    ("sharp_mind", "Sharp Mind", [("correct_answers", 100), ("topics", 5)]),
    ("every_format", "Every Format", [("kinds", 3)]),
    ("top_marks", "Top Marks", [("best_score", 9000)]),  # in hundredths of a per cent
    ("ten_hours", "Ten Hours", [("practice_seconds", 36_000)]),
    ("rising_talent", "Rising Talent", [("xp", 1000)]),  # where level 5 begins
    ("interview_expert", "Interview Expert", [("xp", 4500)]),  # where level 10 begins
    ("first_steps", "First Steps", [("sessions", 1)]),
    ("finding_your_voice", "Finding Your Voice", [("sessions", 5)]),
    ("seasoned_candidate", "Seasoned Candidate", [("sessions", 25)]),
    ("offer_magnet", "Offer Magnet", [("sessions", 100)]),
    ("warming_up", "Warming Up", [("practice_streak", 3)]),
    ("week_of_practice", "Week of Practice", [("practice_streak", 7)]),
    ("unshakeable", "Unshakeable", [("practice_streak", 30)]),
    ("curious", "Curious", [("questions", 25)]),
    ("question_taker", "Question Taker", [("questions", 250)]),
    ("walking_encyclopedia", "Walking Encyclopedia", [("questions", 1000)]),
]
# key, hidden metric, target, XP
CHALLENGES = [
    ("warm_up", "sessions@day", 1, 20),
    ("two_sessions", "sessions@day", 2, 30),
    ("half_an_hour", "practice_seconds@day", 1800, 30),
    ("change_of_scene", "kinds@day", 2, 40),
    ("ten_questions", "questions@day", 10, 20),
    ("twenty_questions", "questions@day", 20, 40),
    ("five_right", "correct_answers@day", 5, 20),
    ("fifteen_right", "correct_answers@day", 15, 40),
    ("three_topics", "topics@day", 3, 30),
    ("strong_showing", "strong_sessions@day", 1, 40),
]
PUBLISHED = """
session_completed question_answered user_registered user_updated user_deleted user_followed user_unfollowed
"""


@cache
def interview() -> CatalogProgram:
    return compile_catalog(read_catalog(TEXT, "interview.yaml"), Ledger())[0]


@cache
def entries() -> dict[str, AchievementSpec]:
    return {each.key: each for each in interview().achievements}


def asks(entry: AchievementSpec) -> list[tuple[str, int]]:
    parts = entry.when.of if isinstance(entry.when, All) else [entry.when]
    return [(part.metric, part.at) for part in parts if isinstance(part, AtLeast)]


# --- badges, levels, challenges as listed ---


@pytest.mark.parametrize(("key", "name", "asked"), BADGES, ids=[each[0] for each in BADGES])
def test_a_badge_asks_for_what_was_decided(key: str, name: str, asked: list[tuple[str, int]]):
    assert (entries()[key].name, asks(entries()[key])) == (name, asked)


def test_there_are_no_other_badges_and_each_is_described_and_celebrated():
    assert list(entries()) == [each[0] for each in BADGES]
    assert all(each.description and each.message and each.icon and each.category for each in entries().values())
    assert len({each.message for each in entries().values()}) == len(BADGES)


def test_levels_begin_at_the_triangular_numbers_times_a_hundred():
    levels = interview().levels

    assert levels is not None
    assert levels.of == "xp"
    assert levels.starts[:10] == [0, 100, 300, 600, 1000, 1500, 2100, 2800, 3600, 4500]


def test_three_of_ten_challenges_are_offered_a_day():
    challenges = interview().challenges

    assert challenges is not None
    assert challenges.per_day == 3
    assert [(each.key, each.when.metric, each.when.at, each.xp) for each in challenges.offered] == CHALLENGES
    assert all(each.description and each.message and each.icon and each.type for each in challenges.offered)


def test_the_practice_streak_is_the_headline():
    assert interview().headline_streak == "practice_streak"


def test_every_event_of_the_contract_is_declared_on_its_topic():
    events = [event for event in interview().events if event.topic is not None]

    assert {event.type for event in events} == set(PUBLISHED.split())
    assert {event.topic for event in events} == {"interview.activity"}


# --- what practice comes to, told by the reference ---


def practised(*times: str) -> Result:
    """A session at each of these times."""
    log: list[dict[str, Any]] = [
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "test",
            "type": "session_completed",
            "subject": "ann",
            "time": time,
            "data": {"session_id": str(number)},
        }
        for number, time in enumerate(times)
    ]
    return fold(log, [TEXT])


def days(*numbers: int) -> list[str]:
    return [f"2026-03-{number:02}T10:00:00Z" for number in numbers]


def test_a_finished_session_gives_fifty_xp_and_the_first_one_first_steps():
    result = practised(*days(1))

    assert result.metrics["ann"]["interview"]["xp"] == 50
    assert {award[2] for award in result.awards} == {"first_steps"}
    assert result.levels["ann"]["interview"] == 1


@pytest.mark.parametrize(("sessions", "level"), [(1, 1), (2, 2), (5, 2), (6, 3), (12, 4), (19, 4), (20, 5)])
def test_sessions_lead_to_levels(sessions: int, level: int):
    """50, 100, 250, 300, 600, 950 and 1,000 XP."""
    assert practised(*(days(1) * sessions)).levels["ann"]["interview"] == level


def test_each_level_is_told_once_and_the_first_never():
    told = [level for _, _, level in practised(*(days(1) * 12)).levels_reached]

    assert told == [2, 3, 4]


def test_the_streak_grows_on_consecutive_days_and_a_gap_begins_a_new_one():
    assert practised(*days(1, 2, 3)).metrics["ann"]["interview"]["practice_streak"] == 3
    assert practised(*days(1, 2, 4)).metrics["ann"]["interview"]["practice_streak"] == 2
    assert practised(*days(1, 1, 1)).metrics["ann"]["interview"]["practice_streak"] == 1
