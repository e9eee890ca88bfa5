"""The commands that tell progress, on rows that the projections wrote into a real Postgres."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from broker.reading import Batch, read_to_end
from broker.topics import create_topics, places_of
from cli import claim
from progress.standing import day_date
from projections.achievement import AchievementProjection
from projections.database import connect, connect_async
from projections.migrations.runner import migration_files, upgrade
from projections.projection import Projection
from projections.settings import ProjectorSettings
from projections.user_achievement import UserAchievementProjection
from schemas.outcomes import AnyOutcome, AwardReason, MetricReason, encode_outcome
from schemas.program import (
    ChallengeSpec,
    ChallengesSpec,
    Ledger,
    LevelsSpec,
    Texts,
    encode_catalog_record,
    record_of,
)
from schemas.records import PlainRecord
from schemas.topics import TopicSpec, partition_of
from schemas.zones import local_day
from tests.commands import Laurel, commands_in
from tests.integration.projections import (
    answer,
    challenge_completed,
    level_reached,
    outcome,
    revocation,
    settings_of,
)
from tests.unit.standings import at_least, catalog, entry, tier

pytestmark = pytest.mark.server

NAMESPACE = "telling"
ACCEPTED, REFUSED = "3f0c1a52-8d55-4a1c-9a53-5f6a0b1f0001", "3f0c1a52-8d55-4a1c-9a53-5f6a0b1f0002"
EARNED_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

INSERT_PROGRESS = b"""
insert into user_progress (user_id, metrics, streaks, windows, pace, known_since, zone, updated_at)
values (%(user)s, %(metrics)s, %(streaks)s, %(windows)s, %(pace)s, %(known_since)s, 'Europe/Paris', now())
"""

REPLAY = b"""
insert into replay (
    id, status, kind, catalog, version, sha256, notify, policy, dates, from_versions, muted, filling, plan,
    partitions, who, decided_at
)
values (
    'r', 'done', 'sweep', 'music', 4, '', 'none', 'legacy', 'exact', '{}', '[]', '[]', '{}', 1, 'me', now()
)
"""
POLICY = b"insert into award_policy values ('music', %s, null, 4, 'legacy', 'r')"

MUSIC = catalog(
    entry("first", at_least("released", 1), category="start", icon="✨"),
    entry("rising_star", at_least("released", 5), category="start", translations={"fr": Texts(name="Étoile")}),
    entry("pro", at_least("released", 25), category="start"),
    entry("loyal", at_least("logins", 7), category="habit"),
    tier("solver", "bronze", 0, {"solved": ("artists", 2)}, order=5, category="habit"),
    tier("solver", "silver", 1, {"solved": ("artists", 4)}, order=5, category="habit"),
    entry("after", at_least("artists", 4), requires=["rising_star"], category="habit"),
    entry("ghost", at_least("likes", 13), secret=True, category="start"),
    categories=[("start", "Getting Started"), ("habit", "Habits")],
    levels=LevelsSpec(of="xp", starts=[0, 100, 300], slot=0),
    challenges=ChallengesSpec(
        per_day=1,
        slot=0,
        offered=[
            ChallengeSpec(
                key="two", number=0, name="Two Songs", type="practice", when=at_least("released@day", 2), xp=30
            )
        ],
    ),
)
CHESS = catalog(
    entry("first", at_least("released", 1)), entry("mate", at_least("released", 2)), catalog="chess", tiers=[]
)


@pytest.fixture(scope="module")
def settings(request: pytest.FixtureRequest) -> Iterator[ProjectorSettings]:
    """A namespace with two catalogs and two users, written as the projector writes it."""
    settings = settings_of(request.getfixturevalue("_shared_servers"), NAMESPACE)
    with connect(settings) as connection:
        upgrade(connection, settings.names.postgres_schema, migration_files())
    asyncio.run(fill(settings))
    yield settings
    with connect(settings) as connection:
        connection.execute(f"drop schema {settings.names.postgres_schema} cascade".encode())


@pytest.fixture
def laurel(
    settings: ProjectorSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Laurel:
    environment = {
        "LAUREL_POSTGRES": settings.postgres.get_secret_value(),
        "LAUREL_KAFKA": settings.kafka,
        "LAUREL_NAMESPACE": settings.namespace,
    }
    return commands_in(environment, monkeypatch, capsys)


@pytest.fixture(scope="module")
def commands(settings: ProjectorSettings) -> None:
    """The topic that claims are published to."""
    asyncio.run(create_topics(settings.kafka, [TopicSpec(settings.names.commands, 2, {})]))


async def published(settings: ProjectorSettings) -> list[Any]:
    """All commands; a record stands in the partition of its user."""
    topic = settings.names.commands
    places = await places_of(settings.kafka, [topic])
    batches = [batch async for batch in read_to_end(settings.kafka, places)]
    assert {batch.partition for batch in batches if batch.records} == {partition_of(b"ada", 2)}
    return [json.loads(record.value or b"") for batch in batches for record in batch.records]


async def fill(settings: ProjectorSettings) -> None:
    records = [record_of(each, Ledger(), "", "music.yaml") for each in (MUSIC, CHESS)]
    await write(settings, AchievementProjection(settings.names), [encode_catalog_record(each) for each in records])
    awards = UserAchievementProjection(settings.names)
    await write(settings, awards, [encode_outcome(each) for each in outcomes()])
    async with await connect_async(settings, "test") as connection:
        for user, row in progress_rows().items():
            await connection.execute(INSERT_PROGRESS, {"user": user, **{name: Jsonb(row[name]) for name in row}})


async def write(settings: ProjectorSettings, projection: Projection, values: Sequence[bytes]) -> None:
    append_ms = int(datetime(2026, 3, 6, tzinfo=UTC).timestamp() * 1000)
    records = [PlainRecord(offset, append_ms, b"key", value) for offset, value in enumerate(values)]
    async with await connect_async(settings, "test") as connection:
        await projection.prepare(connection)
        rows = await projection.decode([Batch(projection.topic, 0, 0, len(records), records)])
        async with connection.transaction():
            await projection.write(connection, rows)


def outcomes() -> list[AnyOutcome]:
    def given(achievement: str, user: str = "ada", **told: Any) -> Any:
        return outcome(user, achievement, **{"catalog": "music", "earned_at": EARNED_AT, **told})

    lost = given("pro", points=50)
    reasons = [MetricReason(metric="released", value=24, needed=25), AwardReason(achievement="first", tier=None)]
    return [
        given("first", points=10, progress_at_unlock=1),
        given("solver", tier="bronze", points=10, xp=40, context={"last": "jazz"}),
        lost,
        revocation(lost, reasons=reasons, catalog="music"),
        level_reached("ada", 2, catalog="music", value=100),
        challenge_completed("ada", "two", catalog="music", day=date(2026, 3, 4), xp=30),
        answer("ada", ACCEPTED, message="'two' of 2026-03-04 is completed"),
        answer("ada", REFUSED, status="refused", reason="expired", message="2026-03-04 is over"),
        given("first", user="ben", points=10),
    ]


def progress_rows() -> dict[str, Any]:
    """Ada released 3 songs, one a day at last, and has logged in for 4 days; Ben 1."""
    today, utc_today = (local_day(datetime.now(UTC), zone) for zone in ("Europe/Paris", "UTC"))
    yesterday = 2 ** (-1 / 14)  # what 1 gained yesterday counts today; 2 there were when today began
    steady = [2, yesterday, utc_today, utc_today - 1, 2]
    run = {"first_day": today - 3, "last_day": today, "length": 4, "longest": 5, "freezes": 0}
    ada = {
        "metrics": {"music": {"released": 3, "artists": 3, "xp": 150, "logins": 5}, "chess": {"released": 0}},
        "streaks": {"music": {"logins": run}},
        "windows": {"music": {"released@day": {day_date(today).isoformat(): 1}}},
        "pace": {"music": {"released": steady}},
        "known_since": {"music": "2026-03-01T00:00:00Z"},
    }
    ben = {"metrics": {"music": {"released": 1}}, "streaks": {}, "windows": {}, "pace": {}}
    return {"ada": ada, "ben": {**ben, "known_since": {"music": "2026-03-02T00:00:00Z"}}}


def test_progress_tells_everything_a_user_can_earn_of_the_catalogs_they_take_part_in(laurel):
    (told,) = laurel("progress", "ada", "--json").json["catalogs"]

    percents = {each["key"]: each["percent"] for each in told["achievements"]}
    assert percents == {"first": 100, "rising_star": 60, "pro": 12, "loyal": 57, "solver": 75, "after": 37}
    assert (told["catalog"], told["zone"]) == ("music", "Europe/Paris")
    assert (told["level"]["level"], told["level"]["to_next"]) == (2, 150)
    assert [(each["metric"], each["current"], each["longest"]) for each in told["streaks"]] == [
        ("logins", 4, 5),
        ("practice", 0, 0),
    ]


def test_progress_holds_the_records_of_a_badge_system(laurel):
    (told,) = laurel("progress", "ada", "--json").json["catalogs"]

    assert told["badges"]["solver"]["tier"] == "bronze"
    assert told["badges"]["solver"]["context"] == {"last": "jazz"}
    assert told["badges"]["solver"]["xp_earned"] == 40
    assert told["badge_progress"]["rising_star"]["progress"] == 60
    assert told["badge_progress"]["rising_star"]["conditions_status"] == {"released": False}
    assert told["badge_stats"]["total_earned"] == 2
    assert told["badge_stats"]["highest_tier_earned"] == "bronze"
    assert told["badge_stats"]["current_streak"] == 4


def test_estimates_come_from_the_pace_in_the_read_model(laurel):
    """2 releases are missing at one a day: the day after tomorrow, in Paris."""
    (told,) = laurel("progress", "ada", "--json").json["catalogs"]

    expected = date.fromisoformat(told["today"]) + timedelta(2)
    (rising,) = [each for each in told["achievements"] if each["key"] == "rising_star"]
    assert rising["estimated_completion"] == expected.isoformat()


def test_progress_is_a_table_for_people(laurel):
    said = laurel("progress", "ada", "--language", "fr-CA")

    assert said.code == 0
    assert "level 2" in said.out
    assert "Getting Started" in said.out
    assert "Étoile" in said.out
    assert "█████████░░░░░░░" in said.out
    assert "released 3 of 5" in said.out
    assert "(bronze → silver)" in said.out
    assert "2 of 6 earned" in said.out
    assert "ghost" not in said.out.lower()


def test_the_challenges_of_today_are_told_with_how_far_they_are(laurel):
    (told,) = laurel("progress", "ada", "--json").json["catalogs"]

    (challenge,) = told["challenges"]
    assert (challenge["key"], challenge["value"], challenge["target"], challenge["claimed"]) == ("two", 1, 2, False)
    assert "today: Two Songs, 1 of 2, 30 XP" in laurel("progress", "ada").out


def test_another_catalog_can_be_asked_for(laurel):
    (told,) = laurel("progress", "ada", "--catalog", "chess", "--json").json["catalogs"]

    assert [(each["key"], each["percent"]) for each in told["achievements"]] == [("first", 0), ("mate", 0)]


@pytest.mark.parametrize("command", ["progress", "suggest", "roadmap", "history", "stats"])
def test_whom_nobody_has_heard_of_is_said_to_be_unknown(laurel, command):
    said = laurel(command, "eve")

    assert said.code == 1
    assert "user 'eve' is not known" in said.err


def test_a_claim_for_whom_nobody_has_heard_of_is_refused_before_it_is_published(laurel):
    said = laurel("claim", "eve", "two", "--timeout", "0.3")

    assert said.code == 1
    assert "user 'eve' is not known" in said.err


def test_an_unknown_catalog_is_told_with_what_was_meant(laurel):
    said = laurel("progress", "ada", "--catalog", "musik")

    assert said.code == 1
    assert "no catalog 'musik' is published: did you mean `music`?" in said.err


def test_a_database_that_is_away_is_something_to_be_done_first(laurel, monkeypatch):
    monkeypatch.setenv("LAUREL_POSTGRES", "postgresql://nobody@127.0.0.1:1/none")

    said = laurel("progress", "ada")

    assert said.code == 4
    assert "Postgres at 127.0.0.1, port 1 refuses a session" in said.err


def test_a_namespace_without_read_models_is_something_to_be_done_first(laurel, monkeypatch):
    monkeypatch.setenv("LAUREL_NAMESPACE", "nowhere")

    said = laurel("explain", "ada", "first")

    assert said.code == 4
    assert "laurel db upgrade" in said.err


def test_an_award_is_explained_down_to_the_record(laurel):
    said = laurel("explain", "ada", "first", "--catalog", "music")

    assert "(music/first): earned" in said.out
    assert "released: 0 → 1" in said.out
    assert "by event event-1 at trackflow.activity, partition 1, offset 42" in said.out
    assert "catalog version 1, abab" in said.out


def test_what_is_missing_is_explained_with_what_would_count(laurel):
    told = laurel("explain", "ada", "rising_star", "--json").json

    assert told["state"] == "not_yet"
    (missing,) = told["missing"]
    assert (missing["name"], missing["value"], missing["target"], missing["missing"]) == ("released", 3, 5, 2)
    assert missing["counts"] == [{"type": "song_released", "topic": "music", "where": []}]
    assert "counts: song_released on music" in laurel("explain", "ada", "rising_star").out


def test_a_revoked_award_is_explained_with_its_reasons(laurel):
    said = laurel("explain", "ada", "pro")

    assert "earned once, and revoked" in said.out
    assert "revoked 2026-03-05 05:06:07 UTC: released was 24, needed 25; so first was revoked" in said.out


def test_a_tier_is_explained_on_its_own(laurel):
    assert laurel("explain", "ada", "solver", "--tier", "bronze", "--json").json["state"] == "earned"
    assert laurel("explain", "ada", "solver", "--tier", "silver", "--json").json["state"] == "not_yet"
    assert "it has bronze, silver" in laurel("explain", "ada", "solver", "--tier", "gold").err


def test_an_unknown_key_is_told_with_what_was_meant(laurel):
    said = laurel("explain", "ada", "rising_stra")

    assert said.code == 1
    assert "no achievement 'rising_stra' is known: did you mean `rising_star`?" in said.err


def test_a_secret_one_is_answered_as_a_key_that_does_not_exist_but_to_operators(laurel):
    """Word for word, the name aside; and nobody is led to it by what was probably meant."""
    secret, unknown = laurel("explain", "ada", "ghost"), laurel("explain", "ada", "ghots")

    assert secret.code == unknown.code == 1
    assert secret.err.replace("ghost", "ghots") == unknown.err
    assert "ghost" not in unknown.err
    assert laurel("explain", "ada", "ghost", "--operator", "--json").json["missing"][0]["missing"] == 13


def test_a_key_that_two_catalogs_have_needs_the_catalog(laurel):
    said = laurel("explain", "ada", "first")

    assert said.code == 1
    assert "say --catalog chess or --catalog music" in said.err


def test_suggestions_are_the_closest_ones(laurel):
    """rising_star in 2 days, loyal in 3 (4 of 7 done, today among them), solver's pace is not known."""
    told = laurel("suggest", "ada", "--json").json["suggestions"]["music"]

    assert [each["key"] for each in told] == ["rising_star", "loyal", "solver"]
    assert [each["days_left"] for each in told] == [2.0, 3.0, None]
    assert told[0]["leads_to"] == ["after"]
    assert "Rising Star" in laurel("suggest", "ada", "-n", "1").out


def test_the_roadmap_puts_what_is_required_first(laurel):
    told = laurel("roadmap", "ada", "--json").json["roadmap"]["music"]

    keys = [step["achievement"]["key"] for step in told]
    assert keys.index("rising_star") < keys.index("after")
    assert sorted(keys) == ["after", "loyal", "pro", "rising_star", "solver"]
    assert "after rising_star" in laurel("roadmap", "ada").out


def test_history_tells_what_happened_newest_first(laurel):
    told = laurel("history", "ada", "--json").json

    assert [(each["what"], each["key"]) for each in told["history"]["music"]] == [
        ("revocation", "pro"),
        ("level", "2"),
        ("award", "first"),
        ("award", "pro"),
        ("award", "solver"),
        ("challenge", "two"),
    ]
    assert told["timeline"]["music"] == [
        {
            "month": "2026-03",
            "awards": 2,
            "points": 20,
            "xp": 70,
            "total_awards": 2,
            "total_points": 20,
            "total_xp": 70,
        }
    ]
    assert "+40 XP" in laurel("history", "ada").out
    assert "2026-03" in laurel("history", "ada", "--months").out


def test_an_award_of_a_rule_that_is_no_more_says_so_wherever_it_is_shown(laurel, settings):
    with legacy(settings, "first"):
        told = [laurel(*words) for words in (("progress", "ada"), ("history", "ada"), ("user", "show", "ada"))]
        (card,) = laurel("user", "show", "ada", "--json").json["catalogs"]

    assert [said.out.count("First, of a rule that is no more") for said in told] == [1, 1, 1]
    assert {each["achievement"]: each["is_legacy"] for each in card["awards"]} == {"first": True, "solver": False}


EXPLAIN = ("explain", "ada", "first", "--catalog", "music")


def test_an_award_whose_date_is_approximate_says_so(laurel, settings):
    with approximate(settings, "first"):
        told = [laurel(*words).out for words in (("user", "show", "ada"), EXPLAIN)]
        (card,) = laurel("user", "show", "ada", "--json").json["catalogs"]
        (proof,) = laurel(*EXPLAIN, "--json").json["awards"]
        with connect(settings) as connection:
            rows = connection.execute(b"select achievement, dates from user_award where user_id = 'ada'").fetchall()

    assert [said.count("about 2026-03-04") for said in told] == [1, 1]
    assert proof["dates"] == "approximate"
    assert {each["achievement"]: each["dates"] for each in card["awards"]} == dict(rows)
    assert dict(rows) == {"first": "approximate", "solver": "exact"}


@contextmanager
def approximate(settings: ProjectorSettings, achievement: str) -> Iterator[None]:
    """While it stands there as if a replay had given it by the state alone."""
    given = b"update user_achievement set replay_id = %s where achievement = %s and origin = 'live'"
    with connect(settings) as connection:
        connection.execute(REPLAY.replace(b"'exact'", b"'approximate'"))
        connection.execute(given, ["r", achievement])
        yield
        connection.execute(given, [None, achievement])
        connection.execute(b"delete from replay")


@contextmanager
def legacy(settings: ProjectorSettings, achievement: str) -> Iterator[None]:
    """While a replay of the next version, which is decided, marks what was earned by this rule."""
    with connect(settings) as connection:
        connection.execute(REPLAY)
        connection.execute(POLICY, [achievement])
        yield
        connection.execute(b"delete from award_policy")
        connection.execute(b"delete from replay")


def test_a_user_in_numbers(laurel):
    told = laurel("stats", "ada", "--json").json["statistics"]["music"]

    assert (told["total_earned"], told["awards"], told["revoked"], told["points"]) == (2, 2, 1, 20)
    assert (told["highest_tier_earned"], told["current_streak"]) == ("bronze", 4)
    assert [(each["category"], each["earned"], each["total"]) for each in told["categories"]] == [
        ("start", 1, 3),
        ("habit", 1, 3),
    ]
    assert "highest tier: bronze" in laurel("stats", "ada").out


def test_how_well_a_catalog_does(laurel):
    """Of two users both hold something, 3 awards in all; a secret has no place in the lists."""
    music, chess = sorted(laurel("stats", "--json").json["catalogs"], key=lambda each: each["success"]["users"])[
        ::-1
    ]

    success = music["success"]
    assert (success["users"], success["users_with_award"], success["users_with_award_percent"]) == (2, 2, 100.0)
    assert (success["awards"], success["awards_per_user"]) == (3, 1.5)
    assert success["most_earned"][0] == {"achievement": "first", "holders": 2}
    assert success["unlock_rate"] == [{"day": "2026-03-04", "awards": 4, "users": 2}]
    assert {each["percent"] for each in music["rarity"]} == {None}
    assert "ghost" not in json.dumps(music)
    assert chess["success"]["users"] == 0
    assert "most earned: first 2" in laurel("stats", "--catalog", "music").out


def test_check_achievements_says_what_is_unlocked(laurel):
    said = laurel("check_achievements", "--user=ada")

    assert said.code == 0
    assert "unlocked 2026-03-04" in said.out
    assert "locked" in said.out
    assert laurel("check_achievements", "--user=eve").code == 1


def test_debug_achievements_shows_all_that_decides_secret_ones_too(laurel):
    told = laurel("debug_achievements", "--user=ada", "--achievement=ghost", "--json").json

    assert told["explanation"]["missing"][0]["missing"] == 13
    assert told["metrics"]["released"] == 3
    assert told["definition"][0]["secret"] is True
    assert '"released": 3' in laurel("debug_achievements", "--user=ada", "--achievement=rising_star").out


@pytest.mark.parametrize(
    ("command_id", "code", "said"),
    [
        (ACCEPTED, 0, "accepted: 'two' of 2026-03-04 is completed"),
        (REFUSED, 1, "refused (expired): 2026-03-04 is over"),
    ],
)
def test_a_claim_is_published_and_its_answer_told(laurel, settings, commands, monkeypatch, command_id, code, said):
    """Its answers stand there already: the test is both processor and projector."""
    monkeypatch.setattr(claim, "uuid4", lambda: command_id)

    told = laurel("claim", "ada", "two", "--day", "2026-03-04")

    assert (told.code, told.out) == (code, f"{said}\n")
    claims = [each for each in asyncio.run(published(settings)) if each["id"] == command_id]
    (record,) = [each for each in claims if "day" in each["data"]]
    assert (record["type"], record["subject"], record["source"]) == ("claim_challenge", "ada", "laurel/cli")
    assert record["data"] == {"catalog": "music", "challenge": "two", "day": "2026-03-04"}


def test_a_claim_without_a_day_leaves_the_day_to_the_engine(laurel, settings, commands, monkeypatch):
    monkeypatch.setattr(claim, "uuid4", lambda: ACCEPTED)

    told = laurel("claim", "ada", "two", "--json").json

    assert (told["status"], told["day"]) == ("accepted", None)
    assert {"catalog": "music", "challenge": "two"} in [
        each["data"] for each in asyncio.run(published(settings)) if each["id"] == ACCEPTED
    ]


def test_a_claim_that_nobody_answers_says_what_to_look_at(laurel, commands):
    told = laurel("claim", "ada", "two", "--timeout", "0.3")

    assert told.code == 1
    assert "no answer came within 0.3 s" in told.err


def test_an_unknown_challenge_is_not_published(laurel):
    told = laurel("claim", "ada", "too")

    assert told.code == 1
    assert "no challenge 'too' is known: did you mean `two`?" in told.err
