# ruff: noqa: N802 - tests are named by the ids of the checklist
"""S3, the interview trainer: XP, levels, a practice streak, badges, and challenges of the day that are claimed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from progress.overview import Overview
from tests.acceptance.scene import CLAIM, MONDAY, Step, days, some

pytestmark = pytest.mark.server

CATALOG = "interview"
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
CHALLENGES = {
    "warm_up": 20,
    "two_sessions": 30,
    "half_an_hour": 30,
    "change_of_scene": 40,
    "ten_questions": 20,
    "twenty_questions": 40,
    "five_right": 20,
    "fifteen_right": 40,
    "three_topics": 30,
    "strong_showing": 40,
}


def zone_at_noon() -> str:
    """So that no midnight comes in between. Etc/GMT+3 lies three hours west of Greenwich."""
    west = NOW.hour - 12
    return f"Etc/GMT{west:+d}" if west else "Etc/GMT"


def today(kind: str, /, **data: object) -> Step:
    return Step(kind, data, NOW, zone_at_noon())


def sessions(count: int) -> list[Step]:
    return some(count, "session_completed", "session_id")


def claims(challenges: list[str]) -> list[Step]:
    return [today(CLAIM, catalog=CATALOG, challenge=key) for key in challenges]


BUSY = [
    *(
        today("session_completed", session_id=kind, kind=kind, score=90, duration_s=900)
        for kind in ("mock", "drill", "panel")
    ),
    *(
        today("question_answered", question_id=f"{n}", topic=("sql", "go", "math")[n % 3], correct=True)
        for n in range(20)
    ),
]
STORIES = {
    CATALOG: {
        "S3/new": [Step("user_registered")],
        "S3/one": [Step("session_completed", {"session_id": "s"})],
        "S3/two": sessions(2),
        "S3/five": sessions(5),
        "S3/six": sessions(6),
        "S3/days": days(3, "session_completed", session_id="s"),
        "S3/gap": [
            *days(2, "session_completed", session_id="s"),
            Step("session_completed", {"session_id": "s"}, MONDAY + timedelta(3)),
        ],
        "S3/busy": BUSY,
        "S3/idle": [today("user_registered")],
    }
}
AFTERWARDS = {
    CATALOG: {
        "S3/busy": [*claims([*CHALLENGES]), *claims([*CHALLENGES])],
        "S3/idle": claims([*CHALLENGES]),
    }
}


def level(scene, user, now=MONDAY):
    told = scene.told(CATALOG, user, now).level
    return (told.level, told.total, told.into_level, told.to_next)


def test_S3_1_level_xp_streak_and_last_day(scene):
    assert level(scene, "S3/days") == (2, 150, 50, 150)
    (streak,) = scene.told(CATALOG, "S3/days", MONDAY + timedelta(3)).streaks
    assert (streak.current, f"{streak.last_day}", streak.headline) == (3, "2025-03-05", True)


def test_S3_2_a_badge_has_user_code_and_time(scene):
    row = scene.row("select * from user_achievement where user_id = 'S3/one'")
    assert (row["user_id"], row["achievement"], row["earned_at"]) == ("S3/one", "first_steps", MONDAY)
    assert row["id"]


def test_S3_3_three_challenges_a_day_with_type_description_and_reward(scene):
    offered = scene.told(CATALOG, "S3/busy", NOW).challenges
    assert len(offered) == len({each.key for each in offered}) == 3
    assert all(each.xp == CHALLENGES[each.key] for each in offered)
    assert all((each.type, each.description) for each in offered)
    assert all(each.day == NOW.date() and each.completed and each.claimed for each in offered)
    assert not any(each.completed or each.claimed for each in scene.told(CATALOG, "S3/idle", NOW).challenges)


def test_S3_4_profile_badges_and_challenges_have_a_schema(laurel):
    """What is told of somebody fits it to the letter."""
    (told,) = laurel("progress", "S3/busy", "--catalog", CATALOG, "--json").json["catalogs"]
    assert msgspec.convert(told, Overview).level.total == told["level"]["total"]
    schema = msgspec.json.schema(Overview, schema_hook=lambda kind: {"title": "any value"})["$defs"]
    assert {"level", "total", "into_level", "to_next"} <= schema["Level"]["properties"].keys()
    assert {"earned", "earned_date", "xp_earned"} <= schema["EarnedRecord"]["properties"].keys()
    assert {"type", "description", "xp", "completed", "claimed"} <= schema["Challenge"]["properties"].keys()


def test_S3_5_a_database_is_made_anew_by_the_migrations_that_made_this_one(scene, laurel, monkeypatch):
    """Level, streak and challenges are in it."""
    here = [each["name"] for each in laurel("db", "status", "--json").json["migrations"]]
    monkeypatch.setenv("LAUREL_NAMESPACE", "anew")
    assert laurel("db", "upgrade", "--dry-run", "--json").json["pending"] == here
    for table in ("user_level_reached", "user_progress", "user_challenge"):
        assert scene.rows(f"select count(*) from {table}") != [{"count": 0}]


def test_S3_7_a_claim_is_verified_and_gives_its_xp_once(scene):
    """All ten are claimed twice, three of them are offered."""
    answers = scene.rows("select status, reason from command_answer where user_id = 'S3/busy'")
    told = sorted((row["status"], row["reason"] or "") for row in answers)
    assert told == [("accepted", "")] * 3 + [("refused", "not_offered")] * 14 + [("repeated", "")] * 3
    done = scene.rows("select challenge, xp from user_challenge where user_id = 'S3/busy'")
    reward = sum(CHALLENGES[row["challenge"]] for row in done)
    assert len(done) == 3
    assert level(scene, "S3/busy", NOW)[1] == 150 + reward

    idle = scene.rows("select reason, missing from command_answer where user_id = 'S3/idle'")
    assert sorted(row["reason"] for row in idle) == ["incomplete"] * 3 + ["not_offered"] * 7
    assert all(row["missing"] for row in idle if row["reason"] == "incomplete")
    assert scene.rows("select 1 from user_challenge where user_id = 'S3/idle'") == []


def test_S3_8_after_a_session_streak_and_badges_are_as_they_should_be(laurel):
    """Nobody has to ask for it: all that was done is publishing, and who looks is told."""
    told = laurel("check_achievements", "--user=S3/days", "--catalog", CATALOG, "--json").json
    earned = {each["key"] for each in told["achievements"][CATALOG] if each["earned"]}
    assert earned == {"first_steps", "warming_up"}
    (standing,) = laurel("progress", "S3/days", "--catalog", CATALOG, "--json").json["catalogs"]
    (streak,) = standing["streaks"]
    assert (streak["longest"], streak["last_day"]) == (3, "2025-03-05")


def test_S3_15_xp_and_levels(scene):
    """Level 2 begins at 100 XP, level 3 at 300: with the second and the sixth session."""
    assert level(scene, "S3/one") == (1, 50, 50, 50)
    assert level(scene, "S3/two") == (2, 100, 0, 200)
    assert level(scene, "S3/five") == (2, 250, 150, 50)
    assert level(scene, "S3/six") == (3, 300, 0, 300)
    rows = scene.rows("select level, value from user_level_reached where user_id = 'S3/six' order by level")
    assert [(row["level"], row["value"]) for row in rows] == [(2, 100), (3, 300)]


def test_S3_16_first_steps_after_one_session(scene):
    assert scene.awards(CATALOG, "S3/one").keys() == {"first_steps"}
    assert scene.awards(CATALOG, "S3/new").keys() == set()


def test_S3_17_the_streak_grows_on_consecutive_days(scene):
    assert scene.metrics(CATALOG, "S3/days")["practice_streak"] == 3
    assert scene.metrics(CATALOG, "S3/gap")["practice_streak"] == 2
    assert "warming_up" in scene.awards(CATALOG, "S3/days")
    assert "warming_up" not in scene.awards(CATALOG, "S3/gap")


def test_S3_18_a_new_user_is_level_1_with_0_xp(scene):
    assert level(scene, "S3/new") == (1, 0, 0, 100)


def test_S3_19_a_finished_interview_gives_xp(scene):
    assert scene.metrics(CATALOG, "S3/one")["xp"] == 50


def test_S3_20_a_finished_interview_gives_first_steps(scene, laurel):
    told = laurel("explain", "S3/one", "first_steps", "--catalog", CATALOG, "--json").json
    assert (told["state"], told["awards"][0]["before"], told["awards"][0]["after"]) == ("earned", 0, 1)


def test_S3_21_a_streak_is_told_for_any_moment(scene):
    """On the last day and the one after it is alive, then it is 0; the longest stays."""
    runs = [scene.told(CATALOG, "S3/days", MONDAY + timedelta(n)).streaks[0] for n in (2, 3, 4)]
    assert [(run.current, run.longest) for run in runs] == [(3, 3), (3, 3), (0, 3)]


def test_S3_22_what_keeps_people_coming_is_told(scene):
    """Level, streak, challenges and the next badge, together."""
    told = scene.told(CATALOG, "S3/days", MONDAY + timedelta(3))
    assert told.level.percent == 25
    assert told.streaks[0].current == 3
    assert len(told.challenges) == 3
    assert scene.progress(CATALOG, "S3/days", "finding_your_voice")["percent"] == 60
