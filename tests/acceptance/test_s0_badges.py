# ruff: noqa: N802 - tests are named by the ids of the checklist
"""S0, badges: what is recorded of an earned one, how far the others are, tiers, categories, combinations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from cli.settings import Settings
from cli.visibility import wait_until_visible
from progress.queries import AWARDS, CHALLENGES, LEVELS, PROGRESS
from tests.acceptance.pipeline import Projector, silent
from tests.acceptance.scene import EVENING, MONDAY, Scene, Step, days, logged, some, states_of, topic_of

pytestmark = pytest.mark.server

CATALOG = "badges"
HOUR = timedelta(hours=1)


def solved(count: int, **data: str) -> list[Step]:
    return some(count, "exercise_solved", "exercise_id", **data)


def learnt(count: int) -> list[Step]:
    """One exercise again and again, a day apart: days of learning, and no other exercise."""
    return days(count, "exercise_solved", exercise_id="1")


FIRST_OF_EACH = [
    Step("login"),
    Step("lesson_completed", {"lesson_id": "l1", "track": "python"}, MONDAY + HOUR),
    Step("exercise_solved", {"exercise_id": "e1", "track": "python"}, MONDAY + 2 * HOUR),
    Step("project_submitted", {"project_id": "p1"}, MONDAY + 3 * HOUR),
]
LONG_AGO = datetime.fromisoformat("2019-05-06T09:00:00+00:00")
BROUGHT = [  # out of another system, years later
    Step("lesson_completed", {"lesson_id": "l1"}, LONG_AGO),
    Step("exercise_solved", {"exercise_id": "e1"}, LONG_AGO + HOUR),
    Step("project_submitted", {"project_id": "p1"}, LONG_AGO + timedelta(40)),
]
STORIES = {
    CATALOG: {
        "S0/start": FIRST_OF_EACH,
        "S0/almost": FIRST_OF_EACH[:3],
        "S0/bronze": [*solved(9, track="go"), *learnt(2), Step(
            "exercise_solved", {"exercise_id": "10", "track": "go"}, MONDAY + timedelta(2)
        )],
        "S0/short of days": [*solved(10), *learnt(2)],
        "S0/short of exercises": [*solved(9), *learnt(3)],
        "S0/silver": [*solved(50), *learnt(7)],
        "S0/below silver": [*solved(49), *learnt(7)],
        "S0/half": [*solved(5), *learnt(3)],
        "S0/platinum": [*solved(400), *learnt(30)],
        "S0/combined": [
            *solved(150, difficulty="hard"),
            *learnt(14),
            *some(5, "project_submitted", "project_id"),
            *some(3, "feedback_given", "to_id"),
        ],
        "S0/uncombined": [
            *solved(150, difficulty="hard"),
            *learnt(14),
            *some(5, "project_submitted", "project_id"),
            *some(2, "feedback_given", "to_id"),
        ],
        "S0/all round": [
            *solved(10, difficulty="hard"),
            *learnt(3),
            *some(10, "lesson_completed", "lesson_id", track="sql"),
            *some(2, "project_submitted", "project_id"),
        ],
        "S0/steady": days(4, "lesson_completed", lesson_id="l1"),
        "S0/visitor": days(2, "login"),
        "S0/brought": BROUGHT,
        "S0/both": FIRST_OF_EACH,
    },
    "platform": {
        "S0/pace": some(6, "community_help", kind="comment"),
        "S0/both": [*some(5, "project_created", "project_id"), Step("quiz_completed", {"quiz_id": "q"})],
    },
}  # fmt: skip
AFTERWARDS = {
    "platform": {"S0/pace": [Step("community_help", {"kind": "upvote"}, MONDAY + timedelta(1))] * 6},
}


def test_S0_1_what_is_recorded_of_an_earned_badge(scene):
    badge = scene.told(CATALOG, "S0/bronze").badges["problem_solver"]
    assert msgspec.to_builtins(badge) == {
        "earned": True,
        "earned_date": "2025-03-05T10:00:00Z",
        "xp_earned": 50,
        "tier": "bronze",
        "conditions_met": ["solved", "streak"],
        "progress_when_earned": 100,
        "context": {"last_exercise": "10", "last_track": "go"},
    }


def test_S0_2_what_is_recorded_of_progress(scene):
    """Half of the exercises, and all of the days."""
    record = scene.told(CATALOG, "S0/half", EVENING + timedelta(2)).badge_progress["problem_solver"]
    assert (record.progress, record.conditions_status) == (75, {"solved": False, "streak": True})
    assert record.last_updated is not None
    assert record.estimated_completion is None
    visitor = scene.told(CATALOG, "S0/visitor", EVENING + timedelta(1)).badge_progress["daily_visitor"]
    assert (visitor.progress, f"{visitor.estimated_completion}") == (66, "2025-03-05")


def test_S0_3_a_users_badges_in_numbers(scene):
    told = scene.told(CATALOG, "S0/start", EVENING).badge_stats
    assert msgspec.to_builtins(told) == {
        "total_earned": 5,
        "categories_completed": ["getting_started"],
        "current_streak": 1,
        "highest_tier_earned": None,
        "total_badge_xp": 155,
    }


def percent(scene: Scene, user: str, key: str, day: int = 0) -> int:
    told: int = scene.progress(CATALOG, user, key, EVENING + timedelta(day))["percent"]
    return told


def test_S0_4_a_badge_that_is_partly_complete_shows_how_far(scene):
    assert percent(scene, "S0/almost", "first_project") == 66
    assert "first_project" not in scene.awards(CATALOG, "S0/almost")
    assert percent(scene, "S0/start", "first_project") == 100


def test_S0_5_tiers_rise(scene):
    """The highest is shown, each gives its XP, and the next one is what progress is about."""
    assert held(scene, "S0/silver") == {"first_solution", "problem_solver/bronze", "problem_solver/silver"}
    assert held(scene, "S0/below silver") == {"first_solution", "problem_solver/bronze"}
    assert {f"problem_solver/{tier}" for tier in ("bronze", "silver", "gold", "platinum")} <= held(
        scene, "S0/platinum"
    )
    told = scene.progress(CATALOG, "S0/silver", "problem_solver", EVENING + timedelta(6))
    assert (told["tier"], told["next_tier"], told["percent"]) == ("silver", "gold", 41)  # 50 of 150, 7 of 14
    row = scene.row("select tier from user_badge where user_id = 'S0/silver' and achievement = 'problem_solver'")
    assert row["tier"] == "silver"
    assert scene.told(CATALOG, "S0/silver").badges["problem_solver"].xp_earned == 200


def held(scene: Scene, user: str) -> set[str]:
    return {*scene.awards(CATALOG, user)}


def test_S0_6_a_category_is_complete_when_all_of_it_is_held(scene):
    assert categories(scene, "S0/start")["getting_started"] == (4, 4, True)
    assert categories(scene, "S0/almost")["getting_started"] == (3, 4, False)
    assert categories(scene, "S0/all round")["learning_progress"] == (3, 3, True)


def categories(scene: Scene, user: str) -> dict[str, tuple[int, int, bool]]:
    rows = scene.rows("select * from user_category where catalog = 'badges' and user_id = %(user)s", user=user)
    return {row["category"]: (row["earned"], row["total"], row["is_complete"]) for row in rows}


def test_S0_7_progress_is_there_for_all_badges(scene):
    """Thirteen that everybody may know of; the secret one is not told."""
    told = {each.key: each.percent for each in scene.told(CATALOG, "S0/almost").achievements}
    assert len(told) == 13
    assert told["hello"] == told["first_lesson"] == told["first_solution"] == 100
    assert (told["off_the_ground"], told["mentor"]) == (75, 0)
    assert "hard_nut" not in told


def test_S0_8_several_conditions_count_alike(scene):
    """Nine of ten exercises and three of three days; a tenth of the lessons and the only track."""
    assert percent(scene, "S0/short of exercises", "problem_solver", 2) == 95
    assert percent(scene, "S0/short of days", "problem_solver", 1) == 83
    assert percent(scene, "S0/start", "scholar") == 55
    assert held(scene, "S0/short of days") == held(scene, "S0/short of exercises") == {"first_solution"}


def test_S0_9_the_closest_badges_are_suggested(scene, laurel):
    told = laurel("suggest", "S0/short of exercises", "--catalog", CATALOG, "--json").json
    listed = told["suggestions"][CATALOG]
    keys = [each["key"] for each in listed]
    assert "problem_solver" in keys
    assert not {"first_solution", "hard_nut", "first_project"} & {*keys}  # held, secret, not to be had yet


def test_S0_10_a_roadmap_puts_nothing_before_what_it_requires(scene, laurel):
    told = laurel("roadmap", "S0/almost", "--catalog", CATALOG, "--json").json["roadmap"][CATALOG]
    steps = ["/".join(filter(None, (each["achievement"]["key"], each["achievement"]["tier"]))) for each in told]
    assert steps.index("first_project") < steps.index("off_the_ground") < steps.index("collector")
    assert steps.index("problem_solver/gold") < steps.index("golden_hands")
    assert not {"hello", "first_lesson", "hard_nut"} & {*steps}


def test_S0_11_history_and_timeline(scene, laurel):
    told = laurel("history", "S0/start", "--catalog", CATALOG, "--json").json
    assert [each["key"] for each in told["history"][CATALOG] if each["what"] == "award"] == [
        "first_project",
        "off_the_ground",
        "first_solution",
        "first_lesson",
        "hello",
    ]
    (month,) = told["timeline"][CATALOG]
    assert (month["month"], month["total_awards"]) == ("2025-03", 5)


def test_S0_12_statistics(scene, laurel):
    told = laurel("stats", "S0/start", "--catalog", CATALOG, "--json").json["statistics"][CATALOG]
    assert (told["total_earned"], told["total_badge_xp"], told["by_rarity"]) == (
        5,
        155,
        {"common": 3, "uncommon": 2},
    )
    by_key = {each["category"]: (each["earned"], each["total"]) for each in told["categories"]}
    assert by_key["getting_started"] == (4, 4)
    assert by_key["community"] == (0, 1)


def test_S0_13_streaks_and_milestones(scene, laurel):
    streaks = {each.metric: each for each in scene.told(CATALOG, "S0/steady", EVENING + timedelta(3)).streaks}
    assert (streaks["learning_days"].current, streaks["learning_days"].headline) == (4, True)
    told = laurel("stats", "S0/start", "--catalog", CATALOG, "--json").json["statistics"][CATALOG]["milestones"]
    assert ("awards", "1", "hello") in [(each["kind"], each["reached"], each["key"]) for each in told]
    assert ("category", "getting_started") in [(each["kind"], each["reached"]) for each in told]


def test_S0_14_badges_are_combined(scene):
    """By sets, and by a condition with the badges that it requires."""
    assert "golden_hands" in held(scene, "S0/combined")
    assert "golden_hands" not in held(scene, "S0/uncombined")
    assert percent(scene, "S0/uncombined", "golden_hands") == 88  # two of three people, both badges
    assert "all_rounder" in held(scene, "S0/all round")
    assert "off_the_ground" in held(scene, "S0/start")
    assert "off_the_ground" not in held(scene, "S0/almost")


def test_S0_15_a_user_is_one_short_record_and_one_row_however_many_badges_there_are(scene):
    """What nobody has begun is stored nowhere, so all of it is a few bytes for each that can be earned."""
    achievements = len(scene.rows("select 1 from achievement"))
    assert achievements > 130
    assert len(states_of(scene)["S0/start"][-1]) < 8 * achievements
    assert len(scene.rows("select 1 from user_progress where user_id = 'S0/start'")) == 1
    assert len(scene.rows("select 1 from user_achievement where user_id = 'S0/start'")) == 5


def test_S0_16_progress_is_read_from_what_is_kept_ready(scene, laurel, monkeypatch):
    """Without the log: nothing is folded for somebody who looks."""
    monkeypatch.setenv("LAUREL_KAFKA", "127.0.0.1:1")
    (told,) = laurel("progress", "S0/start", "--catalog", CATALOG, "--json").json["catalogs"]
    assert told["badge_stats"]["total_earned"] == 5


def test_S0_17_what_another_system_knew_comes_in_with_its_own_dates(scene, laurel, tmp_path):
    """As a file of events, which can be checked before it is published."""
    file = tmp_path / "brought.jsonl"
    events = asyncio.run(logged(scene.settings, topic_of(scene.settings.namespace, CATALOG)))
    lines = [json.dumps(each.value) for each in events if each.value["subject"] == "S0/brought"]
    file.write_text("\n".join(lines))
    checked = laurel("events", "check", f"{file}", "--catalog", CATALOG, "--json").json
    assert (checked["applied"], checked["refused"]) == (3, 0)

    dates = {key: award["earned_at"] for key, award in scene.awards(CATALOG, "S0/brought").items()}
    assert dates == {
        "first_lesson": LONG_AGO,
        "first_solution": LONG_AGO + HOUR,
        "first_project": LONG_AGO + timedelta(40),
    }


def test_S0_18_the_read_models_are_recovered_from_the_log(scene, laurel, monkeypatch, tmp_path):
    """Into a database with nothing in it, by a projector: awards, progress, levels, challenges and messages."""
    with empty_database(scene.settings) as settings:
        monkeypatch.setenv("LAUREL_POSTGRES", settings.postgres.get_secret_value())
        assert laurel("db", "upgrade").code == 0
        projector = Projector(settings, settings.postgres.get_secret_value(), tmp_path / "projector.log")
        try:
            asyncio.run(wait_until_visible(settings, {}, silent))
        finally:
            projector.stop()
        recovered = Scene(settings)
        try:
            for table, query in KEPT.items():
                assert recovered.rows(query) == scene.rows(query), table
        finally:
            recovered.connection.close()


# Who has had no event since the catalog `past` got another metric is shown it, as 0, only when it is built anew.
KEPT = {
    "user_achievement": "select * from user_achievement order by id",
    "user_progress": """
        select user_id, zone, metrics - 'past' as metrics, streaks, windows, (
            select jsonb_object_agg(key, value) from jsonb_each(metrics -> 'past') where value <> '0'
        ) as past
        from user_progress order by user_id
    """,
    "user_level_reached": "select * from user_level_reached order by id",
    "user_challenge": "select * from user_challenge order by id",
    "notification": "select * from notification order by id",
}


@contextmanager
def empty_database(settings: Settings) -> Iterator[Settings]:
    """On the same server, for the same namespace."""
    there, name = settings.postgres.get_secret_value(), f"{settings.namespace}_recovered"
    with psycopg.connect(there, autocommit=True) as connection:
        connection.execute(SQL("create database {}").format(Identifier(name)))
        try:
            postgres = urlsplit(there)._replace(path=f"/{name}").geturl()
            yield settings.model_copy(update={"postgres": SecretStr(postgres)})
        finally:
            connection.execute(SQL("drop database {} with (force)").format(Identifier(name)))


def test_S0_19_badges_stand_beside_the_achievements_of_another_catalog(scene, laurel):
    """The same person, each catalog with its own awards and points, told together."""
    told = laurel("progress", "S0/both", "--json").json["catalogs"]
    earned = {
        each["catalog"]: [one["key"] for one in each["achievements"] if one["earned"]]
        for each in told
        if each["catalog"] in (CATALOG, "platform")
    }
    assert earned == {
        CATALOG: ["hello", "first_lesson", "first_solution", "first_project", "off_the_ground"],
        "platform": ["first_project", "5_projects"],
    }
    profile = scene.rows("select catalog, points from user_profile where user_id = 'S0/both' and points > 0")
    assert {row["catalog"]: row["points"] for row in profile} == {"platform": 2 * 10, CATALOG: 3 * 10 + 2 * 25}


def test_S0_20_progress_is_told_in_the_context_of_the_moment(scene):
    """A run of days is worth nothing once it is over. At six times of help a day, 13 more take three days."""
    assert percent(scene, "S0/short of days", "problem_solver", 1) == 83
    assert percent(scene, "S0/short of days", "problem_solver", 9) == 50
    tuesday = EVENING + timedelta(1)
    told = scene.progress("platform", "S0/pace", "help_25", tuesday)
    assert (told["current"], told["changed_on"], told["estimated_completion"]) == (12, "2025-03-04", "2025-03-07")
    assert scene.progress("platform", "S0/pace", "10_quizzes", tuesday)["estimated_completion"] is None


def test_S0_21_progress_follows_the_events_and_nobody_has_to_ask_for_it(scene):
    """All that was done is publishing: of twelve times of help the row has every one."""
    row = scene.row("select metrics, updated_at from user_progress where user_id = 'S0/pace'")
    assert row["metrics"]["platform"]["helpful_actions"] == 12
    assert row["updated_at"] >= MONDAY


@pytest.mark.parametrize(
    "query", [PROGRESS, AWARDS, LEVELS, CHALLENGES], ids=["progress", "awards", "levels", "days"]
)
def test_S0_22_a_user_is_found_by_index_among_any_number(scene, query):
    named = {"user": "S0/start", "catalog": CATALOG}
    with scene.connection.transaction():
        scene.connection.execute("set local enable_seqscan = off")  # of a small table, reading all is quicker
        plan = "\n".join(row["QUERY PLAN"] for row in scene.rows(f"explain {query.decode()}", **named))
    assert "Index" in plan
    assert "Seq Scan on user_" not in plan


def test_S0_23_what_was_to_be_delivered_is_there(scene, laurel):
    """The tracking, a catalog of badges, a way to migrate, and a test of everything asked for before it."""
    assert laurel("progress", "S0/start", "--catalog", CATALOG, "--json").code == 0
    assert len(scene.rows("select distinct key from achievement where catalog = 'badges'")) > 10
    assert {each["state"] for each in laurel("db", "status", "--json").json["migrations"]} == {"applied"}
    tested = {name.split("_")[2] for name in globals() if name.startswith("test_S0_")}
    assert {str(number) for number in range(1, 23)} <= tested


def test_S0_24_each_badge_is_either_earned_or_on_its_way_and_told_whole(scene):
    told = scene.told(CATALOG, "S0/start")
    assert told.badges.keys() == {"hello", "first_lesson", "first_solution", "first_project", "off_the_ground"}
    assert {each.key for each in told.achievements} == told.badges.keys() | told.badge_progress.keys()
    assert told.badge_stats.total_earned == len(told.badges)


def test_S0_26_every_condition_is_checked_by_itself(scene):
    told = scene.progress(CATALOG, "S0/short of days", "problem_solver", MONDAY + timedelta(1))
    assert told["conditions_status"] == {"solved": True, "streak": False}
    told = scene.progress(CATALOG, "S0/short of exercises", "problem_solver", MONDAY + timedelta(2))
    assert told["conditions_status"] == {"solved": False, "streak": True}
