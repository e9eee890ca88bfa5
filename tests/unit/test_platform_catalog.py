"""The platform catalog holds the 20 achievements of its checklist, and counts what was decided."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.reference import fold
from schemas.catalog import Achievement, AtLeast, Catalog, all_achievements, all_events, read_catalog

TEXT = (Path(__file__).parents[2] / "catalogs" / "platform.yaml").read_text(encoding="utf-8")

# key, name, category, metric, threshold, in the order of S1.23 to S1.42
ASKED = [
    ("first_project", "First Launch", "projects", "project_count", 1),
    ("5_projects", "Getting Started", "projects", "project_count", 5),
    ("10_projects", "Power User", "projects", "project_count", 10),
    ("25_projects", "Portfolio Master", "projects", "project_count", 25),
    ("50_projects", "Prolific Creator", "projects", "project_count", 50),
    ("first_published", "First Publish", "projects", "published_project_count", 1),
    ("first_battle", "Battle Ready", "battles", "battle_count", 1),
    ("5_battles", "Battle Tested", "battles", "battle_count", 5),
    ("5_wins", "Battle Champion", "battles", "battle_wins", 5),
    ("10_wins", "Battle Master", "battles", "battle_wins", 10),
    ("help_5", "Community Helper", "community", "helpful_actions", 5),
    ("help_25", "Supportive", "community", "helpful_actions", 25),
    ("help_100", "Community Leader", "community", "helpful_actions", 100),
    ("first_login", "Welcome", "engagement", "logins", 1),
    ("7_day_streak", "Week Streak", "engagement", "max_streak", 7),
    ("30_day_streak", "Month Streak", "engagement", "max_streak", 30),
    ("10_quizzes", "Quiz Master", "engagement", "quiz_count", 10),
    ("100_points", "Point Collector", "milestones", "total_points", 100),
    ("500_points", "Rising Star", "milestones", "total_points", 500),
    ("1000_points", "Platform Expert", "milestones", "total_points", 1000),
]
RARITIES_OF_THE_DOCUMENT = {"common", "rare", "epic", "legendary"}
TRACKING_FIELDS = {
    "project_count",
    "published_project_count",
    "battle_wins",
    "battle_count",
    "current_streak",
    "max_streak",
    "helpful_actions",
    "quiz_count",
    "total_points",
}
PUBLISHED = """
project_created project_published project_unpublished project_deleted battle_participated battle_won login
login_streak community_help quiz_completed points_earned stars_changed user_registered user_updated user_deleted
user_followed user_unfollowed
"""


@cache
def platform() -> Catalog:
    return read_catalog(TEXT, "platform.yaml")


@cache
def entries() -> dict[str, Achievement]:
    return {each.key: each for each in all_achievements(platform())}


# --- the 20 ---


@pytest.mark.parametrize(("key", "name", "category", "metric", "at"), ASKED, ids=[each[0] for each in ASKED])
def test_an_achievement_of_the_checklist_is_there(key: str, name: str, category: str, metric: str, at: int):
    entry = entries()[key]

    assert (entry.name, entry.category, entry.when) == (name, category, AtLeast(metric=metric, at=at))
    assert entry.points == 10
    assert entry.rarity in RARITIES_OF_THE_DOCUMENT


def test_there_are_20_and_no_other_in_the_order_of_the_document():
    assert list(entries()) == [each[0] for each in ASKED]
    assert [entry.order for entry in entries().values()] == list(range(1, 21))


def test_everyone_is_described_and_celebrated_and_shown_in_colours():
    listed = list(entries().values())

    assert all(each.description and each.message and each.color_from and each.color_to for each in listed)
    assert len({each.message for each in listed}) == 20
    assert entries()["5_projects"].description == "Create 5 projects"
    assert entries()["first_project"].description == "Create your first project"


def test_icons_are_names_of_fontawesome_each_once():
    icons = [each.icon for each in entries().values()]

    assert all(icon.startswith("fa") and icon[2:3].isupper() for icon in icons)
    assert len(set(icons)) == 20


def test_the_five_categories_of_the_document_are_legal_and_milestones_is_added():
    listed = [category.key for category in platform().categories or []]

    assert listed == ["projects", "battles", "community", "engagement", "streaks", "milestones"]


# --- the eight events and the nine tracking fields ---


def test_the_nine_tracking_fields_are_metrics():
    assert set(platform().metrics) >= TRACKING_FIELDS


def test_every_event_of_the_contract_is_declared_on_its_topic():
    events = all_events(platform())

    assert set(events) == set(PUBLISHED.split())
    assert {event.topic for event in events.values()} == {"platform.activity"}


def values(*events: tuple[str, dict[str, Any]]) -> dict[str, int | None]:
    """What the metrics come to, told by the reference; an event a minute, its own time with `at`."""
    log = [
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "test",
            "type": kind,
            "subject": "ann",
            "time": data.get("at", f"2026-03-01T10:{number:02}:00Z"),
            "data": {name: value for name, value in data.items() if name != "at"},
        }
        for number, (kind, data) in enumerate(events)
    ]
    return fold(log, [TEXT]).metrics["ann"]["platform"]


@pytest.mark.parametrize(
    ("event", "data", "fields"),
    [
        ("project_created", {"project_id": "p"}, {"project_count": 1}),
        ("project_published", {"project_id": "p"}, {"published_project_count": 1}),
        ("battle_won", {"battle_id": "b"}, {"battle_wins": 1}),
        ("battle_participated", {"battle_id": "b"}, {"battle_count": 1}),
        ("login_streak", {}, {"current_streak": 1, "max_streak": 1}),
        ("community_help", {"kind": "upvote"}, {"helpful_actions": 1}),
        ("quiz_completed", {"quiz_id": "q"}, {"quiz_count": 1}),
        ("points_earned", {"points": 30}, {"total_points": 30}),
    ],
)
def test_an_event_moves_its_tracking_fields_and_no_other(event: str, data: dict[str, Any], fields: dict[str, int]):
    found = values((event, data))

    assert {name: value for name, value in found.items() if value and name in TRACKING_FIELDS} == fields


def test_a_login_counts_under_both_its_names():
    found = values(
        ("login", {"at": "2026-03-01T23:00:00Z"}),
        ("login_streak", {"at": "2026-03-02T01:00:00Z"}),
        ("login", {"at": "2026-03-03T12:00:00Z"}),
    )

    assert (found["logins"], found["current_streak"], found["max_streak"]) == (3, 3, 3)


def test_unpublishing_and_deleting_lower_the_numbers():
    made = [(kind, {"project_id": key}) for key in "abc" for kind in ("project_created", "project_published")]
    found = values(
        *made,
        ("project_unpublished", {"project_id": "a"}),
        ("project_deleted", {"project_id": "a", "published": False}),
        ("project_deleted", {"project_id": "b", "published": True}),
    )

    assert (found["project_count"], found["published_project_count"]) == (1, 1)


def test_stars_are_as_many_as_were_told_last():
    found = values(
        ("stars_changed", {"stars": 120, "at": "2026-03-02T10:00:00Z"}),
        ("stars_changed", {"stars": 90, "at": "2026-03-03T10:00:00Z"}),
        ("stars_changed", {"stars": 100, "at": "2026-03-01T10:00:00Z"}),
    )

    assert found["stars"] == 90


def test_points_of_achievements_never_feed_the_points():
    assert values(("project_created", {"project_id": "p"}))["total_points"] == 0
