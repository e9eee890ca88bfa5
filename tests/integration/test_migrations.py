from __future__ import annotations

import json
import threading

import psycopg
import pytest
from typer.testing import CliRunner

from cli.database import app
from projections.database import connect
from projections.migrations.runner import Migration, check_current, migration_files, read_standings, upgrade
from projections.settings import DatabaseSettings
from schemas.errors import Precondition

pytestmark = pytest.mark.server

TABLE = Migration("0001_one.sql", b"create table one (x integer); insert into one values (1)")
BEFORE_0006 = """
insert into catalog values ('trackflow', 1, 'ab', 'UTC', null, '[]');
insert into user_achievement (
    id, user_id, catalog, achievement, scope, n, earned_at, awarded_at, points, rarity, metadata, evidence_topic,
    evidence_partition, evidence_offset, evidence_event_id, catalog_version, catalog_sha256, origin
)
values (
    '00000000-0000-5000-8000-000000000001', 'ada', 'trackflow', 'first_release', '', 0, now(), now(), 10, 'common',
    '{}', 't', 0, 1, 'e1', 1, 'ab', 'live'
);
insert into award_visibility (outcome_id, is_public, featured)
values ('00000000-0000-5000-8000-000000000001', false, true);
insert into user_progress (user_id, metrics, streaks, updated_at)
values ('ada', '{"trackflow": {"released": 3}}', '{}', now());
insert into projection_position (projection, topic, partition, next_position)
values ('achievement', 'c', 0, 5), ('user_achievement', 'o', 0, 7);
"""
BROKEN = Migration("0002_two.sql", b"create table two (x integer); select 1 / 0")


@pytest.fixture
def settings(servers, namespace) -> DatabaseSettings:
    return DatabaseSettings(postgres=servers.postgres, namespace=namespace)


@pytest.fixture
def connection(settings):
    with connect(settings) as opened:
        yield opened


@pytest.fixture
def laurel_db(settings, monkeypatch):
    monkeypatch.setenv("LAUREL_POSTGRES", settings.postgres.get_secret_value())
    monkeypatch.setenv("LAUREL_NAMESPACE", settings.namespace)
    return lambda *arguments: CliRunner().invoke(app, [*arguments])


def states(connection, namespace, files) -> dict[str, str]:
    return {one.name: one.state for one in read_standings(connection, namespace, files)}


def test_an_upgrade_applies_what_is_missing_once(connection, namespace):
    assert upgrade(connection, namespace, [TABLE]) == [TABLE.name]
    assert upgrade(connection, namespace, [TABLE]) == []
    assert connection.execute("select count(*) from one").fetchone() == (1,)


def test_a_dry_run_changes_nothing(connection, namespace):
    assert upgrade(connection, namespace, [TABLE], dry_run=True) == [TABLE.name]
    assert states(connection, namespace, [TABLE]) == {TABLE.name: "pending"}


def test_an_edited_file_that_was_applied_is_refused(connection, namespace):
    upgrade(connection, namespace, [TABLE])
    edited = TABLE._replace(content=TABLE.content + b"-- better")

    with pytest.raises(Precondition, match=r"0001_one\.sql was edited"):
        upgrade(connection, namespace, [edited, BROKEN])
    assert states(connection, namespace, [edited]) == {TABLE.name: "edited"}


def test_a_schema_of_a_newer_version_is_refused(connection, namespace):
    upgrade(connection, namespace, [TABLE])

    with pytest.raises(Precondition, match="does not know"):
        upgrade(connection, namespace, [])


def test_a_file_that_fails_leaves_nothing_of_itself_behind(connection, namespace):
    with pytest.raises(psycopg.errors.DivisionByZero):
        upgrade(connection, namespace, [TABLE, BROKEN])

    assert states(connection, namespace, [TABLE, BROKEN]) == {TABLE.name: "applied", BROKEN.name: "pending"}
    assert connection.execute("select to_regclass('two')").fetchone() == (None,)


def test_of_two_upgraders_at_once_one_applies_and_the_other_finds_it_done(settings):
    slow = Migration("0001_slow.sql", b"select pg_sleep(0.3); create table slow (x integer)")
    applied: list[list[str]] = []

    def run() -> None:
        with connect(settings) as connection:
            applied.append(upgrade(connection, settings.namespace, [slow]))

    upgraders = [threading.Thread(target=run) for _ in range(3)]
    for upgrader in upgraders:
        upgrader.start()
    for upgrader in upgraders:
        upgrader.join(60)

    assert sorted(applied) == [[], [], [slow.name]]


def test_all_tables_lie_in_the_namespaces_own_schema(connection, namespace):
    upgrade(connection, namespace, migration_files())

    tables = connection.execute(
        "select table_name from information_schema.tables where table_schema = %s", [namespace]
    ).fetchall()
    assert {
        *("achievement", "catalog", "user_achievement", "user_progress", "user_profile", "notification"),
        *("notification_delivery", "projection_position", "award_visibility", "notification_state"),
    } <= {name for (name,) in tables}
    check_current(connection, namespace)


def test_a_pending_migration_says_what_to_run(connection, namespace):
    with pytest.raises(Precondition, match="laurel db upgrade"):
        check_current(connection, namespace)


def test_the_command_upgrades_and_shows_where_it_stands(laurel_db, namespace):
    names = [file.name for file in migration_files()]
    before = laurel_db("status", "--json")
    assert before.exit_code == Precondition.exit_code
    assert {one["state"] for one in json.loads(before.stdout)["migrations"]} == {"pending"}

    assert json.loads(laurel_db("upgrade", "--dry-run", "--json").stdout)["pending"] == names
    assert json.loads(laurel_db("upgrade", "--json").stdout) == {
        "schema": namespace,
        "dry_run": False,
        "applied": names,
    }
    assert laurel_db("status").exit_code == 0
    assert "up to date" in laurel_db("upgrade").stdout


def test_awards_of_before_the_whole_language_stay_and_catalogs_are_read_again(connection, namespace):
    files = migration_files()
    upgrade(connection, namespace, files[:5])
    connection.execute(BEFORE_0006)

    upgrade(connection, namespace, files)

    held = "select user_id, achievement, xp, is_public, featured, context, rank from user_award"
    assert connection.execute(held).fetchall() == [("ada", "first_release", 0, False, True, None, None)]
    assert connection.execute("select metrics, windows, pace, known_since from user_progress").fetchall() == [
        ({"trackflow": {"released": 3}}, {}, {}, {})
    ]
    assert connection.execute("select projection, next_position from projection_position").fetchall() == [
        ("user_achievement", 7)
    ]
    assert connection.execute("select count(*) from catalog").fetchone() == (0,)
