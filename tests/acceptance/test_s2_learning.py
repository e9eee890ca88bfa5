# ruff: noqa: N802 - tests are named by the ids of the checklist
"""S2, learners' milestones: an award for each module, unit, course and high score, and days in a row."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from psycopg.sql import SQL, Identifier

from cli.settings import Settings
from projections.database import connect
from tests.acceptance.scene import MONDAY, Step, days

pytestmark = pytest.mark.server

CATALOG = "learning"
HOUR = timedelta(hours=1)


def scored(assessment: str, percent: float, attempt: int = 1) -> Step:
    data = {"assessment_id": assessment, "percent": percent, "attempt": attempt, "title": "Finals"}
    return Step("assessment_scored", data, MONDAY + attempt * HOUR)


STORIES = {
    CATALOG: {
        "S2/modules": [
            Step("module_completed", {"module_id": "m1", "title": "Variables"}),
            Step("module_completed", {"module_id": "m2"}, MONDAY + HOUR),
            Step("module_completed", {"module_id": "m1", "title": "Variables"}, MONDAY + 2 * HOUR),
            Step("module_completed", {"module_id": " "}, MONDAY + 3 * HOUR),
        ],
        "S2/lessons only": [Step("lesson_completed", {"lesson_id": "l1"})],
        "S2/unit": [Step("unit_completed", {"unit_id": "u1", "title": "Basics"})],
        "S2/course": [Step("course_completed", {"course_id": "c1", "title": "Python"})],
        "S2/scores": [scored("a1", 89.99), scored("a1", 90, 2), scored("a1", 97.5, 3), scored("a2", 60)],
        "S2/short": [scored("a1", 89.99)],
        "S2/three days": days(3, "lesson_completed", lesson_id="l1"),
        "S2/two days": days(2, "lesson_completed", lesson_id="l1"),
        "S2/all": [
            Step("module_completed", {"module_id": "m1"}),
            Step("unit_completed", {"unit_id": "u1"}, MONDAY + HOUR),
            Step("course_completed", {"course_id": "c1"}, MONDAY + 2 * HOUR),
            scored("a1", 100, 3),
        ],
        "S2/bare": [
            Step("module_completed", {"module_id": "m1"}),
            Step("unit_completed", {"unit_id": "u1"}),
            Step("course_completed", {"course_id": "c1"}),
            Step("assessment_scored", {"assessment_id": "a1", "percent": 95}),
        ],
    }
}


def test_S2_1_milestones_are_counted(scene):
    """Each module once, whatever is completed again."""
    metrics = scene.metrics(CATALOG, "S2/modules")
    assert (metrics["modules"], metrics["units"], metrics["courses"]) == (2, 0, 0)
    assert scene.metrics(CATALOG, "S2/scores")["high_scores"] == 1


def test_S2_3_modules_units_courses_and_scores_are_awarded(scene):
    assert scene.awards(CATALOG, "S2/all").keys() == {
        "module_complete:m1",
        "unit_complete:u1",
        "course_complete:c1",
        "high_score:a1",
    }


def test_S2_4_awards_are_rows_of_postgres(scene):
    rows = scene.rows("select achievement, scope from user_achievement where user_id = 'S2/modules' order by scope")
    assert [(row["achievement"], row["scope"]) for row in rows] == [
        ("module_complete", "m1"),
        ("module_complete", "m2"),
    ]


def test_S2_5_the_history_can_be_looked_at_newest_first(scene, laurel):
    told = laurel("history", "S2/all", "--catalog", CATALOG, "--json").json["history"][CATALOG]
    assert [each["key"] for each in told] == ["high_score", "course_complete", "unit_complete", "module_complete"]


def test_S2_6_an_award_has_user_type_time_and_metadata(scene):
    award = scene.awards(CATALOG, "S2/scores")["high_score:a1"]
    assert (award["user_id"], award["type"], award["earned_at"]) == ("S2/scores", "high_score", MONDAY + 2 * HOUR)
    assert award["metadata"] == {"assessment_id": "a1", "title": "Finals", "score": 90, "attempt": 2}


def test_S2_7_the_type_codes(scene):
    rows = scene.rows("select distinct type from achievement where catalog = 'learning' order by type")
    assert [row["type"] for row in rows] == [
        "course_complete",
        "high_score",
        "module_complete",
        "streak",
        "unit_complete",
    ]


def test_S2_8_a_migration_makes_the_tables(laurel, monkeypatch):
    """In a schema that has nothing; what `db status` says follows."""
    monkeypatch.setenv("LAUREL_NAMESPACE", f"migrated-{secrets.token_hex(4)}")
    assert laurel("db", "status").code == 4
    assert laurel("db", "upgrade").code == 0
    assert laurel("db", "status").code == 0
    names = Settings().names
    with connect(Settings().database) as connection:
        columns = connection.execute(COLUMNS, [names.postgres_schema]).fetchall()
        connection.execute(SQL("drop schema {} cascade").format(Identifier(names.postgres_schema)))
    assert {"user_id", "achievement", "earned_at", "metadata"} <= {name for (name,) in columns}


COLUMNS = b"""
select column_name from information_schema.columns where table_schema = %s and table_name = 'user_achievement'
"""


def test_S2_9_a_module_is_awarded_once_and_a_blank_one_never(scene):
    awards = scene.awards(CATALOG, "S2/modules")
    assert awards.keys() == {"module_complete:m1", "module_complete:m2"}
    assert awards["module_complete:m1"]["earned_at"] == MONDAY
    assert scene.awards(CATALOG, "S2/lessons only").keys() == set()


def test_S2_10_a_unit(scene):
    award = scene.awards(CATALOG, "S2/unit")["unit_complete:u1"]
    assert award["metadata"] == {"unit_id": "u1", "title": "Basics"}


def test_S2_11_a_course(scene):
    award = scene.awards(CATALOG, "S2/course")["course_complete:c1"]
    assert award["metadata"] == {"course_id": "c1", "title": "Python"}


def test_S2_12_a_score_from_ninety_per_cent_on_and_a_retake_never_twice(scene):
    assert scene.awards(CATALOG, "S2/short").keys() == set()
    assert scene.awards(CATALOG, "S2/scores").keys() == {"high_score:a1"}


def test_S2_13_awards_come_from_the_event_itself(scene):
    award = scene.awards(CATALOG, "S2/unit")["unit_complete:u1"]
    assert award["evidence_event_id"] == "STORIES/S2/unit/0"


def test_S2_20_every_award_is_notified_once(scene):
    rows = scene.rows("select title, link from notification where user_id = 'S2/modules' order by created_at, id")
    assert [row["title"] for row in rows] == ["Module Complete", "Module Complete"]
    assert all(row["link"] for row in rows)


def test_S2_21_with_a_message_that_celebrates(scene):
    row = scene.row("select message from notification where user_id = 'S2/course'")
    assert row["message"] == "Course complete, throw your hat in the air! Python"


def test_S2_24_from_the_event_to_all_that_is_told_of_it(scene, laurel):
    """What each part shows of a course, together: award, message, delivery, progress, history, explanation."""
    award = scene.awards(CATALOG, "S2/course")["course_complete:c1"]
    told = scene.row("select id, metadata from notification where user_id = 'S2/course'")
    assert told["metadata"]["outcome_id"] == f"{award['id']}"
    assert scene.row("select 1 as it from notification_delivery where notification_id = %(id)s", id=told["id"])
    assert scene.progress(CATALOG, "S2/course", "course_complete")["times"] == 1
    (line,) = laurel("history", "S2/course", "--catalog", CATALOG, "--json").json["history"][CATALOG]
    assert line["key"] == "course_complete"
    explained = laurel("explain", "S2/course", "course_complete", "--catalog", CATALOG, "--json").json
    assert explained["awards"][0]["evidence"]["event_id"] == award["evidence_event_id"] == "STORIES/S2/course/0"


def test_S2_26_all_that_is_needed_of_others_is_that_they_tell_what_was_completed(scene):
    """By its id alone, without a title and without an attempt."""
    assert scene.awards(CATALOG, "S2/bare").keys() == scene.awards(CATALOG, "S2/all").keys()


def test_S2_23_detection_of_days_in_a_row(scene):
    assert scene.awards(CATALOG, "S2/three days").keys() == {"streak_3"}
    assert scene.awards(CATALOG, "S2/two days").keys() == set()
    assert scene.progress(CATALOG, "S2/two days", "streak_3", MONDAY + timedelta(2))["percent"] == 66
