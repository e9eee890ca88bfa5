# ruff: noqa: N802 - tests are named by the ids of the checklist
"""S1, the platform: 20 achievements at their thresholds, and one below; events, commands, success metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest

from projections.migrations.runner import migration_files
from tests.acceptance.scene import (
    EVENING,
    MONDAY,
    REPOSITORY,
    Scene,
    Step,
    assert_rung,
    days,
    logged,
    some,
    states_of,
    topic_of,
)

pytestmark = pytest.mark.server

CATALOG = "platform"


class Entry(NamedTuple):
    id: int
    key: str
    name: str
    at: int


class Group(NamedTuple):
    """Achievements for the same doing. `doing(n)` is what somebody does who has done it n times."""

    category: str
    doing: Callable[[int], list[Step]]
    entries: Sequence[Entry]


def points(count: int) -> list[Step]:
    """In two portions, the smaller one first."""
    return [Step("points_earned", {"points": part}) for part in (count // 3, count - count // 3)]


GROUPS = [
    Group("projects", lambda n: some(n, "project_created", "project_id"), [
        Entry(23, "first_project", "First Launch", 1),
        Entry(24, "5_projects", "Getting Started", 5),
        Entry(25, "10_projects", "Power User", 10),
        Entry(26, "25_projects", "Portfolio Master", 25),
        Entry(27, "50_projects", "Prolific Creator", 50),
    ]),
    Group("projects", lambda n: some(n, "project_published", "project_id"), [
        Entry(28, "first_published", "First Publish", 1),
    ]),
    Group("battles", lambda n: some(n, "battle_participated", "battle_id"), [
        Entry(29, "first_battle", "Battle Ready", 1),
        Entry(30, "5_battles", "Battle Tested", 5),
    ]),
    Group("battles", lambda n: some(n, "battle_won", "battle_id"), [
        Entry(31, "5_wins", "Battle Champion", 5),
        Entry(32, "10_wins", "Battle Master", 10),
    ]),
    Group("community", lambda n: some(n, "community_help", kind="comment"), [
        Entry(33, "help_5", "Community Helper", 5),
        Entry(34, "help_25", "Supportive", 25),
        Entry(35, "help_100", "Community Leader", 100),
    ]),
    Group("engagement", lambda n: some(n, "login"), [Entry(36, "first_login", "Welcome", 1)]),
    Group("engagement", lambda n: days(n, "login"), [
        Entry(37, "7_day_streak", "Week Streak", 7),
        Entry(38, "30_day_streak", "Month Streak", 30),
    ]),
    Group("engagement", lambda n: some(n, "quiz_completed", "quiz_id"), [
        Entry(39, "10_quizzes", "Quiz Master", 10),
    ]),
    Group("milestones", points, [
        Entry(40, "100_points", "Point Collector", 100),
        Entry(41, "500_points", "Rising Star", 500),
        Entry(42, "1000_points", "Platform Expert", 1000),
    ]),
]  # fmt: skip
GAUGE = """
catalog: gauge
version: 1
events:
  stars_changed: {topic: gauge.activity, data: {stars: integer}}
  seen: {topic: gauge.activity}
metrics: {stars: {latest: stars_changed, of: data.stars}, seen: {count: seen}}
achievements:
  - {key: starry, name: Starry, when: stars >= 100}
  - {key: after, name: After, when: seen >= 1, requires: [starry]}
  - {key: early, name: Early, when: seen >= 1, window: {until: 2025-03-03}}
"""
FEW = """
catalog: few
version: 1
events: {seen: {topic: few.activity}, played: {topic: few.activity}}
metrics: {plays: {count: played}, visits: {count: seen}}
achievements:
  - {key: once, name: Once, when: plays >= 1}
  - {key: twice, name: Twice, when: plays >= 2}
  - {key: often, name: Often, when: plays >= 4}
"""
CATALOGS = {"gauge": GAUGE, "few": FEW}
HOUR = timedelta(hours=1)
REGISTERED = Step("user_registered")
EIGHT = [
    Step("project_created", {"project_id": "p"}),
    Step("project_published", {"project_id": "p"}),
    Step("battle_participated", {"battle_id": "b"}),
    Step("battle_won", {"battle_id": "b"}),
    Step("login_streak"),
    Step("community_help", {"kind": "upvote"}),
    Step("quiz_completed", {"quiz_id": "q"}),
    Step("points_earned", {"points": 40}),
]


LAST_DAYS = [Step("login", at=MONDAY + timedelta(n)) for n in (4, 5, 6)]
EVERYTHING = [  # but for feedback
    *days(3, "login"),
    *some(10, "lesson_completed", "lesson_id", track="go"),
    *some(150, "exercise_solved", "exercise_id", difficulty="hard"),
    *days(14, "exercise_solved", exercise_id="1"),
    *some(5, "project_submitted", "project_id"),
]


def there(entry: Entry) -> str:
    return f"S1.{entry.id}/there"


def below(entry: Entry) -> str:
    return f"S1.{entry.id}/below"


STORIES = {
    CATALOG: {
        **{there(each): group.doing(each.at) for group in GROUPS for each in group.entries},
        **{below(each): [REGISTERED, *group.doing(each.at - 1)] for group in GROUPS for each in group.entries},
        "S1/nothing yet": [REGISTERED],
        "S1/eight": EIGHT,
        "S1/published": [
            Step("project_published", {"project_id": "p"}),
            Step("project_published", {"project_id": "q"}),
            Step("project_unpublished", {"project_id": "p"}),
        ],
        "S1/fought": [*some(2, "battle_participated", "battle_id"), *some(1, "battle_won", "battle_id")],
        "S1/days": [*days(5, "login"), Step("login", at=MONDAY + timedelta(8)), Step("login_streak")],
        "S1/help": [*some(2, "community_help", kind="upvote"), *some(3, "community_help", kind="comment")],
        "S1/points": [Step("points_earned", {"points": 30}), Step("points_earned", {"points": 45})],
        "S1/beyond": some(7, "project_created", "project_id"),
        "S1/bad": [
            Step("points_earned", {"reason": "quiz"}),
            Step("points_earned", {"points": "many"}),
            Step("points_earned", {"points": 100}),
        ],
        "S1/dated": [Step("quiz_completed", {"quiz_id": f"{n}"}, MONDAY + n * HOUR) for n in range(11)],
        "S1/late": [*some(9, "quiz_completed", "quiz_id"), *days(3, "login"), *LAST_DAYS],
        "S1/nowhere": [Step("login", zone="Europe/Atlantis"), Step("login", zone="Europe/Paris")],
        "S1/busy": [*some(60, "project_created", "project_id"), *some(60, "quiz_completed", "quiz_id")],
        "S1/history": [Step("login"), Step("project_created", {"project_id": "p"}, MONDAY + HOUR)],
    },
    "gauge": {
        "S1.4/there": [Step("stars_changed", {"stars": 99}), Step("stars_changed", {"stars": 100}, MONDAY + HOUR)],
        "S1.4/below": [Step("stars_changed", {"stars": 60}), Step("stars_changed", {"stars": 99}, MONDAY + HOUR)],
        "S1/prepared": [Step("stars_changed", {"stars": 100}, MONDAY + HOUR), Step("seen")],
        "S1/unprepared": [Step("stars_changed", {"stars": 99}), Step("seen")],
        "S1.79/there": [Step("seen", at=MONDAY - timedelta(hours=11))],
        "S1.79/late": [Step("seen", at=MONDAY - timedelta(hours=10))],
    },
    "badges": {
        "S1.78/there": some(50, "exercise_solved", "exercise_id", difficulty="hard"),
        "S1.78/below": some(49, "exercise_solved", "exercise_id", difficulty="hard"),
        "S1.80/there": [*EVERYTHING, *some(3, "feedback_given", "to_id")],
        "S1.80/below": [*EVERYTHING, *some(2, "feedback_given", "to_id")],
    },
    "few": {
        "S1/quick": [Step("seen")],
        "S1/slow": [Step("seen")],
        "S1/at once": [Step("played")],
        "S1/never": [Step("seen")],
    },
}
AFTERWARDS = {
    "few": {
        "S1/quick": [Step("played", at=MONDAY + n * HOUR) for n in (2, 50)],
        "S1/slow": [Step("played", at=MONDAY + 24 * HOUR)],
    },
    CATALOG: {
        "S1/late": [
            Step("quiz_completed", {"quiz_id": "10"}, MONDAY - timedelta(365)),
            Step("login", at=MONDAY + timedelta(3)),
        ],
    },
}


# --- the catalog: each at its threshold, and not one below ---


def award_test(entry: Entry, category: str, ladder: Sequence[Entry]) -> Callable[[Scene], None]:
    """With what comes before it on its ladder, and nothing that comes after it."""

    def test(scene: Scene) -> None:
        award = scene.awards(CATALOG, there(entry))[entry.key]
        assert (award["name"], award["category"], award["points"]) == (entry.name, category, 10)
        assert_rung(scene, CATALOG, (there(entry), below(entry)), entry.key, {each.key: each.at for each in ladder})

    return test


globals().update(
    {
        f"test_S1_{each.id}_{each.name.lower().replace(' ', '_')}": award_test(each, group.category, group.entries)
        for group in GROUPS
        for each in group.entries
    }
)


# --- the models ---


def test_S1_1_an_achievement_has_its_fields(scene):
    row = scene.row("select * from achievement where catalog = 'platform' and key = '5_projects'")
    assert (row["key"], row["name"], row["description"]) == ("5_projects", "Getting Started", "Create 5 projects")
    assert (row["icon"], row["color_from"], row["color_to"]) == ("faSeedling", "blue-500", "blue-700")
    assert (row["category"], row["points"], row["rarity"]) == ("projects", 10, "common")
    assert (row["criteria_type"], row["criteria_value"], row["tracking_field"]) == ("count", 5, "project_count")
    assert (row["requires"], row["is_secret"], row["is_active"]) == ([], False, True)
    assert isinstance(row["created_at"], datetime)
    orders = scene.rows("select key from achievement where catalog = 'platform' and ord <= %(it)s", it=row["ord"])
    assert {each["key"] for each in orders} == {"first_project", "5_projects"}


def test_S1_2_the_five_categories_are_there(scene):
    (row,) = scene.rows("select categories from catalog where catalog = 'platform'")
    assert {key for key, _ in row["categories"]} >= {"projects", "battles", "community", "engagement", "streaks"}


def criteria_type(scene: Scene, key: str, catalog: str = CATALOG) -> str:
    query = "select criteria_type from achievement where catalog = %(catalog)s and key = %(key)s"
    return str(scene.row(query, catalog=catalog, key=key)["criteria_type"])


def test_S1_3_count_counts_events(scene):
    assert criteria_type(scene, "10_quizzes") == "count"
    assert scene.metrics(CATALOG, "S1.39/below")["quiz_count"] == 9


def test_S1_4_a_threshold_looks_at_what_a_gauge_says_now(scene):
    assert criteria_type(scene, "starry", "gauge") == "threshold"
    assert scene.awards("gauge", "S1.4/there").keys() == {"starry"}
    assert scene.awards("gauge", "S1.4/below").keys() == set()
    assert scene.progress("gauge", "S1.4/below", "starry")["percent"] == 99


def test_S1_5_a_streak_counts_days_in_a_row(scene):
    assert criteria_type(scene, "7_day_streak") == "streak"
    assert scene.metrics(CATALOG, "S1/days")["max_streak"] == 5


def test_S1_6_first_time_is_the_first_event(scene):
    assert criteria_type(scene, "first_login") == "first_time"
    assert scene.awards(CATALOG, "S1/history")["first_login"]["earned_at"] == MONDAY


def test_S1_7_cumulative_adds_up_a_field(scene):
    assert criteria_type(scene, "1000_points") == "cumulative"
    assert scene.metrics(CATALOG, "S1/points")["total_points"] == 75


def test_S1_8_an_award_knows_when_and_at_which_progress_and_comes_newest_first(scene, laurel):
    award = scene.awards(CATALOG, "S1/dated")["10_quizzes"]
    assert (award["earned_at"], award["progress_at_unlock"]) == (MONDAY + 9 * HOUR, 10)
    told = laurel("history", "S1/history", "--catalog", CATALOG, "--json").json
    assert [each["key"] for each in told["history"][CATALOG]] == ["first_project", "first_login"]


def test_S1_9_progress_has_a_value_and_a_time(scene):
    short = scene.progress(CATALOG, "S1.24/below", "5_projects")
    assert short["current"] == 4
    assert datetime.fromisoformat(short["updated_at"]) > MONDAY
    assert scene.progress(CATALOG, "S1/nothing yet", "5_projects")["current"] == 0


# --- the service ---


def test_S1_10_an_event_is_tracked_with_its_value(scene):
    assert scene.metrics(CATALOG, "S1/eight")["total_points"] == 40


def test_S1_11_what_is_reached_is_unlocked_and_what_is_required_comes_first(scene):
    assert scene.awards("gauge", "S1/prepared").keys() == {"starry", "after"}
    assert scene.awards("gauge", "S1/prepared")["after"]["earned_at"] == MONDAY + HOUR
    assert scene.awards("gauge", "S1/unprepared").keys() == set()


def test_S1_12_progress_in_per_cent(scene):
    assert scene.progress(CATALOG, "S1/help", "help_25")["percent"] == 20
    assert scene.progress(CATALOG, "S1/help", "help_100")["percent"] == 5
    assert scene.progress(CATALOG, "S1/help", "help_5")["percent"] == 100


def test_S1_14_events_count_without_anybody_asking(scene):
    assert {"first_project", "first_battle"} <= scene.awards(CATALOG, "S1/eight").keys()
    assert scene.metrics(CATALOG, "S1/fought")["battle_wins"] == 1


# --- the events ---


def test_S1_15_project_created(scene):
    assert scene.metrics(CATALOG, "S1/beyond")["project_count"] == 7


def test_S1_16_project_published(scene):
    assert scene.metrics(CATALOG, "S1/published")["published_project_count"] == 1
    assert "project_count" not in positive(scene, "S1/published")


def positive(scene: Scene, user: str) -> dict[str, int]:
    return {name: value for name, value in scene.metrics(CATALOG, user).items() if value}


def test_S1_17_battle_won(scene):
    assert positive(scene, "S1.31/there") == {"battle_wins": 5}


def test_S1_18_battle_participated(scene):
    assert positive(scene, "S1/fought") == {"battle_count": 2, "battle_wins": 1}


def test_S1_19_login_streak(scene):
    """Five days in a row, and one after a gap: six days later the present run is one day long."""
    told = scene.told(CATALOG, "S1/days", EVENING + timedelta(8))
    runs = {streak.metric: (streak.current, streak.longest) for streak in told.streaks}
    assert runs == {"current_streak": (1, 5), "max_streak": (1, 5)}


def test_S1_20_community_help(scene):
    assert positive(scene, "S1/help") == {"helpful_actions": 5}


def test_S1_21_quiz_completed(scene):
    assert positive(scene, "S1/dated") == {"quiz_count": 11}


def test_S1_22_points_earned(scene):
    assert positive(scene, "S1/points") == {"total_points": 75}


# --- fixture and commands ---


def test_S1_54_the_twenty_come_as_a_file(scene):
    assert (REPOSITORY / "catalogs" / "platform.yaml").is_file()
    rows = scene.rows("select key from achievement where catalog = 'platform' order by ord")
    assert [row["key"] for row in rows] == [each.key for group in GROUPS for each in group.entries]
    assert len(rows) == 20


def test_S1_55_load_achievements_publishes_a_catalog(scene, laurel, tmp_path):
    """The one that is there already stays as it is."""
    file = tmp_path / "platform.yaml"
    text = (REPOSITORY / "catalogs" / "platform.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("platform.activity", topic_of(scene.settings.namespace, "platform")))

    said = laurel("load_achievements", f"{file}")

    assert (said.code, said.out) == (0, "catalog 'platform' version 1 was published before, with this content\n")


def test_S1_58_check_achievements_tells_what_is_unlocked(scene, laurel):
    told = laurel("check_achievements", "--user=S1/help", "--catalog", CATALOG, "--json").json
    listed = {each["key"]: (each["earned"], each["percent"]) for each in told["achievements"][CATALOG]}
    assert len(listed) == 20
    assert {key: each for key, each in listed.items() if each[1]} == {
        "help_5": (True, 100),
        "help_25": (False, 20),
        "help_100": (False, 5),
    }


def test_S1_59_debug_achievements_tells_all_that_decides(scene, laurel):
    told = laurel("debug_achievements", "--user=S1/help", "--achievement=help_25", "--json").json
    assert (told["explanation"]["state"], told["explanation"]["progress"]["percent"]) == ("not_yet", 20)
    assert told["metrics"]["helpful_actions"] == 5
    assert told["definition"][0]["key"] == "help_25"
    assert told["explanation"]["missing"][0]["missing"] == 20


# --- unlocking ---


def test_S1_60_unlocked_at_the_event_that_reaches_it(scene):
    award = scene.awards(CATALOG, "S1/dated")["10_quizzes"]
    assert award["evidence_event_id"] == "STORIES/S1/dated/9"
    assert award["awarded_at"] > award["earned_at"]


def test_S1_61_each_of_the_eight_events_moves_its_fields(scene):
    assert scene.metrics(CATALOG, "S1/eight") == {
        "project_count": 1,
        "published_project_count": 1,
        "battle_wins": 1,
        "battle_count": 1,
        "current_streak": 1,
        "max_streak": 1,
        "helpful_actions": 1,
        "quiz_count": 1,
        "total_points": 40,
        "logins": 1,
        "stars": None,
    }
    assert scene.awards(CATALOG, "S1/eight").keys() == {
        "first_project",
        "first_published",
        "first_battle",
        "first_login",
    }


def test_S1_64_what_is_earned_is_not_earned_again_and_bad_input_counts_for_nothing(scene):
    """A missing and a wrong value are dead letters; what follows them counts."""
    rows = scene.rows("select achievement, n from user_achievement where user_id = 'S1/beyond'")
    assert sorted((row["achievement"], row["n"]) for row in rows) == [("5_projects", 0), ("first_project", 0)]
    assert scene.metrics(CATALOG, "S1/bad")["total_points"] == 100
    letters = [each.value for each in asyncio.run(logged(scene.settings, scene.settings.names.dead_letters))]
    refused = [each["id"] for each in letters if each["subject"] == "S1/bad"]
    assert refused == ["STORIES/S1/bad/0", "STORIES/S1/bad/1"]


def test_S1_64_a_late_event_counts_on_its_own_day(scene):
    """The tenth quiz is told a year late; and the fourth day of the week after the seventh."""
    awards = scene.awards(CATALOG, "S1/late")
    assert awards.keys() == {"first_login", "10_quizzes", "7_day_streak"}
    assert awards["10_quizzes"]["earned_at"] == MONDAY
    assert f"{awards['7_day_streak']['earned_at']:%Y-%m-%d}" == "2025-03-09"


def test_S1_64_a_zone_that_does_not_exist_is_a_dead_letter(scene):
    assert scene.metrics(CATALOG, "S1/nowhere")["logins"] == 1
    letters = [each.value for each in asyncio.run(logged(scene.settings, scene.settings.names.dead_letters))]
    assert [each["id"] for each in letters if each["subject"] == "S1/nowhere"] == ["STORIES/S1/nowhere/0"]


def test_S1_65_definitions_are_kept_compiled_and_a_batch_of_events_is_one_write_of_a_users_progress(scene):
    """Of 120 events at most every tenth: the others came with those before them."""
    kept = scene.rows("select catalog, program ->> 'catalog' as compiled from catalog order by catalog")
    assert [row["compiled"] for row in kept] == [row["catalog"] for row in kept] == [*scene.programs]
    assert scene.metrics(CATALOG, "S1/busy")["project_count"] == 60
    assert len(states_of(scene)["S1/busy"]) <= 12


def test_S1_67_an_award_its_notification_and_its_delivery_are_there_together_once(scene):
    """What a replay gives is told otherwise: one message for all of it."""
    awards = [f"{row['id']}" for row in scene.rows("select id from user_achievement where origin = 'live'")]
    told = scene.rows(
        "select metadata ->> 'outcome_id' as id from notification where type = 'achievement_unlocked'"
    )
    sent = scene.rows(
        "select metadata ->> 'outcome_id' as id from notification_delivery as delivery "
        "join notification on notification.id = delivery.notification_id where type = 'achievement_unlocked'"
    )
    assert len(awards) > 80
    assert sorted(row["id"] for row in told) == sorted(row["id"] for row in sent) == sorted(awards)


def test_S1_68_every_unlock_stands_in_the_log_with_the_event_that_gave_it(scene):
    outcomes = [each.value for each in asyncio.run(logged(scene.settings, scene.settings.names.outcomes))]
    unlocked = [each["id"] for each in outcomes if each["type"] == "achievement_unlocked"]
    assert sorted(unlocked) == sorted(f"{row['id']}" for row in scene.rows("select id from user_achievement"))
    award = scene.awards(CATALOG, "S1/dated")["10_quizzes"]
    source = {each.place: each.value for each in asyncio.run(logged(scene.settings, award["evidence_topic"]))}
    place = (award["evidence_partition"], award["evidence_offset"])
    assert source[place]["id"] == "STORIES/S1/dated/9"


def test_S1_69_notifications_are_queued_and_handed_out_by_lease(scene, laurel):
    claimed = laurel("queue", "claim", "--count", "2", "--lease-seconds", "60").json
    assert len(claimed["deliveries"]) == 2
    ids = [each["notification_id"] for each in claimed["deliveries"]]
    assert laurel("queue", "ack", claimed["lease"], *ids).code == 0
    rows = scene.rows("select state from notification_delivery where notification_id::text = any(%(ids)s)", ids=ids)
    assert [row["state"] for row in rows] == ["done", "done"]


# --- secrets, seasons, sets ---


def test_S1_78_a_secret_one_is_told_to_nobody_before_it_is_earned(scene, laurel):
    hidden = laurel("explain", "S1.78/below", "hard_nut", "--catalog", "badges")
    unknown = laurel("explain", "S1.78/below", "hard_nuts", "--catalog", "badges")
    assert (hidden.code, unknown.code) == (1, 1)
    assert hidden.err.replace("hard_nut'", "hard_nuts'") == unknown.err
    assert laurel("explain", "S1.78/below", "hard_nut", "--operator", "--json").json["progress"]["percent"] == 98

    award = scene.awards("badges", "S1.78/there")["hard_nut"]
    assert (award["is_secret"], award["rarity"]) == (True, "epic")
    assert laurel("explain", "S1.78/there", "hard_nut", "--json").json["state"] == "earned"


def test_S1_79_what_is_limited_in_time_ends_with_its_last_day(scene):
    """It can be earned until the midnight that begins Monday."""
    assert scene.awards("gauge", "S1.79/there").keys() == {"early"}
    assert scene.awards("gauge", "S1.79/late").keys() == set()
    told = scene.progress("gauge", "S1.79/late", "early")
    assert (told["percent"], told["season"]["state"], told["season"]["until"]) == (0, "over", "2025-03-03")


def test_S1_80_a_collection_is_complete_with_its_last_member(scene):
    """Without the third person who is helped, two of ten are missing: the mentor and the golden hands."""
    assert "collector" in scene.awards("badges", "S1.80/there")
    told = scene.progress("badges", "S1.80/below", "collector")
    assert (told["earned"], told["percent"], len(told["members"])) == (False, 80, 10)
    assert {each["key"] for each in told["members"] if not each["held"]} == {"mentor", "golden_hands"}


# --- the five success metrics, of four people: one with two awards, two with one, one with none ---


def test_S1_70_users_with_an_award(scene):
    row = scene.row("select * from success_users_with_award where catalog = 'few'")
    assert (row["users"], row["holders"], row["percent"]) == (4, 3, 75)


def test_S1_71_awards_per_user(scene):
    row = scene.row("select * from success_awards_per_user where catalog = 'few'")
    assert (row["users"], row["awards"], row["average"]) == (4, 4, 1)


def test_S1_72_most_and_least_earned(scene, laurel):
    (row,) = laurel("stats", "--catalog", "few", "--json").json["catalogs"]
    told = row["success"]
    assert [(each["achievement"], each["holders"]) for each in told["most_earned"]] == [
        ("once", 3),
        ("twice", 1),
        ("often", 0),
    ]
    assert [each["achievement"] for each in told["least_earned"]] == ["often", "twice", "once"]


def test_S1_73_time_to_the_first_award(scene):
    """Two hours, a day, and none at all."""
    row = scene.row("select * from success_time_to_first_award where catalog = 'few'")
    assert (row["users"], row["mean"], row["median"]) == (3, timedelta(hours=8, minutes=40), timedelta(hours=2))


def test_S1_74_unlocks_by_day(scene):
    rows = scene.rows("select * from success_unlock_rate where catalog = 'few' order by day")
    assert [(f"{row['day']}", row["awards"], row["users"]) for row in rows] == [
        ("2025-03-03", 2, 2),
        ("2025-03-04", 1, 1),
        ("2025-03-05", 1, 1),
    ]


def test_S1_53_the_tables_are_made_by_migrations(scene, laurel):
    """Applied once each, and applying them again changes nothing."""
    before = scene.rows("select * from schema_migration order by name")
    assert laurel("db", "upgrade").code == 0
    assert scene.rows("select * from schema_migration order by name") == before
    assert [row["name"] for row in before] == [file.name for file in migration_files()]
