"""From topics into read models, on a real Kafka and a real Postgres."""

from __future__ import annotations

import asyncio
import signal
from datetime import date

import msgspec
import pytest
from structlog.testing import capture_logs

from broker.connections import producer
from projections.decoding import Undecodable
from projections.notification import notification_id
from projections.subscription import OutsideLog
from schemas.errors import Precondition
from schemas.outcomes import Evidence, Missing
from schemas.replays import ReplayNote
from tests.integration import projections as given

pytestmark = pytest.mark.server


async def test_an_outcome_becomes_an_award_a_notification_and_a_delivery(settings, database):
    announced = given.outcome("ada", metadata={"title": "Notes"}, scope="module-1")
    silent = given.outcome("bob", announce=False, origin="replay", replay_id="r1")
    await given.publish_outcomes(settings, [announced, silent])

    async with given.projecting(settings):
        await given.wait_for_rows(database, "user_achievement", 2)

    (award,) = await given.rows(
        database,
        "select id::text, achievement, scope, tier, n, earned_at, points, xp, rarity, progress_at_unlock, "
        "metadata, evidence_topic, evidence_offset, catalog_version, origin, replay_id from user_achievement "
        "where user_id = 'ada'",
    )
    assert award == (
        *(announced.id, "first_release", "module-1", None, 0, given.EARNED_AT, 10, 0, "common", 1),
        *({"title": "Notes"}, "trackflow.activity", 42, 1, "live", None),
    )
    assert await given.rows(
        database, "select id::text, user_id, type, title, message, link, metadata ->> 'icon' from notification"
    ) == [
        (
            *(notification_id(announced.id), "ada", "achievement_unlocked", "First Release"),
            *("Your first release!", "/achievements/trackflow/first_release", "✨"),
        )
    ]
    assert await given.rows(
        database, "select notification_id::text, subscriber, state, attempts, dedupe from notification_delivery"
    ) == [(notification_id(announced.id), "default", "pending", 0, f"{notification_id(announced.id)}/default")]


async def test_an_outcome_that_comes_again_changes_nothing(settings, database):
    """Both within a batch and long after it."""
    once = given.outcomes(50)
    await given.publish_outcomes(settings, once + once)
    async with given.projecting(settings):
        await given.wait_for_end(settings, database, settings.names.outcomes)
        first = await given.rows(database, "select * from user_award order by id")
        await given.publish_outcomes(settings, once)
        await given.wait_for_end(settings, database, settings.names.outcomes)

    assert await given.rows(database, "select * from user_award order by id") == first
    assert set((await given.counts(database)).values()) == {50}


async def test_an_award_that_is_there_does_not_keep_back_those_of_its_batch(settings, database):
    """A position that was set back: what is known changes nothing and tells nobody, what is new appears."""
    known, fresh = given.outcomes(20, of="known"), given.outcomes(20, of="fresh")
    await given.publish_outcomes(settings, known)
    async with given.projecting(settings):
        await given.wait_for_end(settings, database, settings.names.outcomes)
    await database.execute(b"delete from notification_delivery")
    await database.execute(
        b"update projection_position set next_position = 0 where projection = 'user_achievement'"
    )

    await given.publish_outcomes(settings, fresh)
    async with given.projecting(settings):
        await given.wait_for_end(settings, database, settings.names.outcomes)
        await given.publish_outcomes(settings, given.outcomes(20, of="later"))
        await given.wait_for_end(settings, database, settings.names.outcomes)

    assert await given.counts(database) == {
        "user_achievement": 60,
        "notification": 60,
        "notification_delivery": 40,
    }


async def test_every_other_outcome_has_its_row_and_tells_who_is_to_be_told(settings, database):
    """In one batch with the unlocks that they belong to."""
    first, again = given.outcome("ada"), given.outcome("ada", n=1)
    missing = Missing(metric="released@day", value=1, target=2)
    refused = given.answer("ada", status="refused", reason="incomplete", missing=[missing])
    silent, loud = given.revocation(first), given.revocation(again, announce=True)
    level, challenge = given.level_reached("ada", 2), given.challenge_completed("ada")
    await given.publish_outcomes(settings, [first, silent, again, level, challenge, refused, loud])

    async with given.projecting(settings):
        await given.wait_for_end(settings, database, settings.names.outcomes)

    ended = (
        "select id::text, revoked_at, revocation ->> 'outcome_id', revocation -> 'reasons' from user_achievement"
    )
    reasons = [{"kind": "metric", "metric": "released", "value": 0, "needed": 1}]
    assert await given.rows(database, f"{ended} order by n") == [
        (first.id, given.REVOKED_AT, silent.id, reasons),
        (again.id, given.REVOKED_AT, loud.id, reasons),
    ]
    assert await given.rows(database, "select id::text, level, value, earned_at from user_level_reached") == [
        (level.id, 2, 100, given.EARNED_AT)
    ]
    assert await given.rows(database, "select id::text, challenge, day, xp, command_id from user_challenge") == [
        (challenge.id, "two_songs", date(2026, 3, 4), 30, "claim-1")
    ]
    answered = "select command_id, user_id, command, status, reason, missing from command_answer"
    assert await given.rows(database, answered) == [
        ("claim-1", "ada", "claim_challenge", "refused", "incomplete", [msgspec.to_builtins(missing)])
    ]
    assert await given.rows(
        database, "select id::text, type, title, message from notification order by type, id"
    ) == (
        sorted(
            [
                (notification_id(first.id), "achievement_unlocked", "First Release", "Your first release!"),
                (notification_id(again.id), "achievement_unlocked", "First Release", "Your first release!"),
                (
                    notification_id(loud.id),
                    "achievement_revoked",
                    "First Release",
                    "You do not hold this any more.",
                ),
                (notification_id(level.id), "level_reached", "Level 2", "Onwards!"),
                (notification_id(challenge.id), "challenge_completed", "Two songs", "Two in a day!"),
            ],
            key=lambda row: (row[1], row[0]),
        )
    )


async def test_an_outcome_of_an_unknown_type_stops_the_projector_and_names_the_type(settings, database):
    later = msgspec.json.encode({"id": "1", "type": "badge_melted", "data": {}})
    async with producer(settings.kafka) as client:
        await client.send_and_wait(settings.names.outcomes, later, b"ada", partition=0)

    with pytest.raises(Undecodable, match="'badge_melted', which this version does not know"):
        await given.failing(settings)

    assert (await given.positions(database, settings.names.outcomes)).get(0, 0) == 0


async def test_what_a_person_decided_outlives_the_read_model(settings, database):
    await given.publish_outcomes(settings, given.outcomes(1))
    async with given.projecting(settings):
        await given.wait_for_rows(database, "user_achievement", 1)
    await database.execute(
        b"insert into award_visibility (outcome_id, is_public) select id, false from user_achievement"
    )
    await database.execute(
        b"insert into notification_state (notification_id, read_at) select id, now() from notification"
    )

    await database.execute(b"truncate user_achievement; delete from projection_position")
    async with given.projecting(settings):
        await given.wait_for_rows(database, "user_achievement", 1)

    assert await given.rows(database, "select is_public, featured from user_award") == [(False, False)]
    assert await given.rows(database, "select read from user_notification") == [(True,)]
    assert set((await given.counts(database)).values()) == {1}


async def test_positions_reach_the_end_over_markers_and_aborted_batches(settings, database):
    """A position that waited for a record behind the marker would wait for ever."""
    kept, lost = given.outcomes(40, of="kept"), given.outcomes(40, of="lost")
    async with given.publishing(settings, f"{settings.namespace}-t") as publisher, given.projecting(settings):
        for start in range(0, 40, 10):
            await publisher.abort(given.outgoing(settings, lost[start : start + 10]))
            await publisher.commit(given.outgoing(settings, kept[start : start + 10]))
        await publisher.abort(given.outgoing(settings, lost))
        await given.wait_for_end(settings, database, settings.names.outcomes)

    users = await given.rows(database, "select user_id from user_achievement")
    assert sorted(user for (user,) in users) == sorted(each.subject for each in kept)


async def test_a_state_becomes_progress_and_the_latest_of_a_batch_wins(settings, database):
    await given.publish_catalog(settings, given.catalog_record())
    async with producer(settings.kafka, transactional_id=f"{settings.namespace}-p") as client:
        versions = {"trackflow": 1}
        await given.checkpoint(settings, client, 0, {"ada": given.state(1), "bob": given.state(7)}, versions)
        await given.checkpoint(settings, client, 0, {"ada": given.state(2, "Asia/Tokyo")}, versions)
        async with given.projecting(settings):
            await given.wait_for_rows(database, "user_progress", 2)
            await given.checkpoint(settings, client, 0, {"bob": None}, versions)
            await given.wait_for_end(settings, database, settings.names.changelog)
            await given.wait_for_rows(database, "catalog", 1)

    streak = {"first_day": 20_000, "last_day": 20_004, "length": 5, "longest": 9, "freezes": 0}
    assert await given.rows(database, "select user_id, metrics, streaks, zone from user_progress") == [
        (
            "ada",
            {"trackflow": {"released": 2, "login_streak": 9}},
            {"trackflow": {"login_streak": streak}},
            "Asia/Tokyo",
        )
    ]
    profile = (
        "user_id, catalog, points, awards, last_earned_at, streak_longest, streak_first_day, streak_last_day, zone"
    )
    assert await given.rows(database, f"select {profile} from user_profile") == [
        ("ada", "trackflow", 0, 0, None, 9, date(2024, 10, 4), date(2024, 10, 8), "Asia/Tokyo")
    ]


async def test_a_newer_catalog_is_read_when_the_first_state_under_it_comes(settings, database):
    await given.publish_catalog(settings, given.catalog_record())
    transactional_id = f"{settings.namespace}-p"
    async with producer(settings.kafka, transactional_id=transactional_id) as client, given.projecting(settings):
        await given.checkpoint(settings, client, 0, {"ada": given.state(1)}, {"trackflow": 1})
        await given.wait_for_rows(database, "user_progress", 1)
        await given.publish_catalog(settings, given.catalog_record(2, wider=True))
        await given.checkpoint(settings, client, 1, {"bob": given.state(1, stars=5)}, {"trackflow": 2})
        await given.wait_for_rows(database, "user_progress", 2)

    assert await given.rows(
        database, "select metrics #> '{trackflow,stars}' from user_progress order by user_id"
    ) == [
        (None,),
        (5,),
    ]


async def test_what_a_replay_fills_stays_hidden_over_a_restart_and_shows_when_it_is_active(settings, database):
    """The catalog is published while a projector runs, and a replay fills what is new in it."""
    two, filling = {"trackflow": 2}, [("trackflow", "stars")]
    shown = "select user_id, metrics -> 'trackflow' ? 'stars' from user_progress order by user_id"
    await given.publish_catalog(settings, given.catalog_record())
    async with producer(settings.kafka, transactional_id=f"{settings.namespace}-p") as client:
        async with given.projecting(settings):
            await given.checkpoint(settings, client, 0, {"ada": given.state(1)}, {"trackflow": 1})
            await given.wait_for_rows(database, "user_progress", 1)
            await given.publish_catalog(settings, given.catalog_record(2, wider=True))
            note = ReplayNote(phase="filling", filling=filling)
            await given.checkpoint(settings, client, 0, {"bob": given.state(1, stars=2)}, two, r=note)
            await given.wait_for_rows(database, "user_progress", 2)
            await given.wait_for_rows(database, "catalog where version = 2", 1)
        async with given.projecting(settings):
            await given.checkpoint(settings, client, 0, {"cat": given.state(1, stars=3)}, two, r=note)
            await given.wait_for_rows(database, "user_progress", 3)
            assert await given.rows(database, shown) == [("ada", False), ("bob", False), ("cat", False)]

            note = ReplayNote(phase="active", filling=filling)
            await given.checkpoint(settings, client, 0, {"bob": given.state(1, stars=4)}, two, r=note)
            await given.wait_for_end(settings, database, settings.names.changelog)
            assert await given.rows(database, shown) == [("ada", False), ("bob", True), ("cat", False)]


async def test_a_published_catalog_becomes_the_list_of_achievements(settings, database):
    await given.publish_catalog(settings, given.catalog_record())
    async with given.projecting(settings):
        await given.wait_for_rows(database, "achievement", 3)
        await given.publish_catalog(settings, given.catalog_record(3, achievements=given.entries()[:2]))
        await given.publish_catalog(settings, given.catalog_record(2))
        await given.wait_for_end(settings, database, settings.names.catalogs)

    assert await given.rows(
        database,
        "select key, version, is_active, is_secret, criteria_type, criteria_value, tracking_field, requires "
        "from achievement order by key",
    ) == [
        ("all_rounder", 1, False, False, None, None, None, []),
        ("first_release", 3, True, False, "first_time", 1, "released", []),
        ("loyal", 3, True, True, "streak", 30, "login_streak", ["first_release"]),
    ]


async def test_a_record_that_cannot_be_read_stops_the_projector_and_names_its_offset(settings, database):
    await given.publish_outcomes(settings, given.outcomes(20))
    async with producer(settings.kafka) as client:
        broken = await client.send_and_wait(settings.names.outcomes, b'{"id": 1}', b"ada", partition=0)

    with pytest.raises(Undecodable, match=f"{settings.names.outcomes}/0 offset {broken.offset} "):
        await given.failing(settings)

    assert (await given.positions(database, settings.names.outcomes)).get(0, 0) <= broken.offset


async def test_a_position_outside_the_log_stops_the_projector(settings, database):
    """As when the topic was made anew behind our back: silence would be wrong rows."""
    await database.execute(
        b"insert into projection_position (projection, topic, partition, next_position) "
        b"values ('user_achievement', %s, 0, 1000)",
        [settings.names.outcomes],
    )
    with pytest.raises(OutsideLog, match="recreated or truncated"):
        await given.failing(settings)


async def test_a_byte_that_postgres_cannot_keep_does_not_stop_the_projector(settings, database):
    evidence = Evidence(topic="t", partition=0, offset=1, event_id="a\x00b\\u0000c")
    await given.publish_outcomes(settings, [given.outcome("ada", evidence=evidence, metadata={"title": "x\x00"})])
    async with given.projecting(settings):
        await given.wait_for_rows(database, "user_achievement", 1)

    assert await given.rows(database, "select evidence_event_id, metadata from user_achievement") == [
        ("a�b\\u0000c", {"title": "x�"})
    ]


async def test_a_projector_killed_in_the_middle_of_a_batch_leaves_nothing_and_resumes(settings, database):
    async with given.reading(settings) as blocker, given.projector_process(settings) as killed:
        await given.hold_mid_batch(settings, database, blocker, given.outcomes(30))
        killed.kill()
        await killed.wait()
        await blocker.rollback()
    assert set((await given.counts(database)).values()) == {0}

    async with given.projector_process(settings) as resumed:
        await given.wait_for_end(settings, database, settings.names.outcomes)
        resumed.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(resumed.wait(), given.WAIT_S) == 0
    assert set((await given.counts(database)).values()) == {30}


async def test_two_projectors_share_the_partitions_and_write_each_row_once(settings, database):
    with capture_logs() as logs:
        async with given.projecting(settings):
            await given.publish_outcomes(settings, given.outcomes(100, of="a"))
            async with given.projecting(settings):
                await given.publish_outcomes(settings, given.outcomes(100, of="b"))
                await given.wait_until(lambda: partitions_taken(logs, [{0}, {1}]), "each has one partition")
                await given.publish_outcomes(settings, given.outcomes(100, of="c"))
                await given.wait_for_rows(database, "user_achievement", 300)
            await given.publish_outcomes(settings, given.outcomes(100, of="d"))
            await given.wait_for_end(settings, database, settings.names.outcomes)

    assert set((await given.counts(database)).values()) == {400}


async def partitions_taken(logs, wanted) -> bool:
    taken = [{*line["positions"]} for line in logs if line.get("projection") == "user_achievement"]
    return sorted(taken[-2:], key=sorted) == wanted


async def test_a_projector_refuses_a_schema_that_was_never_made(servers, namespace):
    async with given.projector_process(given.settings_of(servers, namespace)) as process:
        said = await process.stderr.read()
        assert await process.wait() == Precondition.exit_code
    assert b"laurel db upgrade" in said
