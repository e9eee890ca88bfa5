"""What read models say, on data small enough to be worked out by hand. Written by projections, without Kafka."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from psycopg.types.json import Jsonb

from broker.reading import Batch
from cli.awards import Award, read_awards
from cli.faults.claimer import UNSEEN
from progress.queries import read_programs
from projections.achievement import AchievementProjection
from projections.database import connect
from projections.migrations.runner import migration_files, upgrade
from projections.notification import notification_id
from projections.projection import Projection
from projections.settings import ProjectorSettings
from projections.user_achievement import UserAchievementProjection
from projections.user_progress import UserProgressProjection
from schemas.outcomes import AnyOutcome, Outcome, ReplayOutcome, encode_outcome, replay_completed
from schemas.program import (
    WHOLE_CATALOG,
    AchievementSpec,
    AtLeast,
    CatalogProgram,
    CatalogRecord,
    ChallengesSpec,
    EventSpec,
    Feed,
    Ledger,
    LevelsSpec,
    MetricSpec,
    Texts,
    WindowSpec,
    encode_catalog_record,
)
from schemas.records import PlainRecord
from schemas.replays import Notify
from schemas.state import PERIOD_SUMS, encode_state, fresh_state
from schemas.streaks import RUN
from tests.integration import projections as given

pytestmark = pytest.mark.server

DAY_0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
APPENDED_AT = datetime(2026, 5, 1, tzinfo=UTC)

SEEN, SONGS, XP, DAILY, LOGINS, WEEKLY = 3, 4, 7, 10, 16, 21  # first slots
LEDGER = Ledger(
    slots=[
        *("bytes", "zero", "zero", "epoch", "zero", "zero", "epoch"),
        *("bytes", "none", "none", "zero", "zero", "bytes"),  # a streak with grace
        *("bytes", "none", "zero", "zero", "epoch"),
        *("bytes", "none", "zero", "zero", "epoch"),
    ]
)
METRICS = [
    MetricSpec(key="songs", kind="count", slot=SONGS, feeds=[]),
    MetricSpec(key="daily", kind="streak", slot=DAILY, feeds=[], grace=1),
    MetricSpec(key="songs@day", kind="count", slot=LOGINS, feeds=[], every="day", origin="songs"),
    MetricSpec(key="songs@week", kind="count", slot=WEEKLY, feeds=[], every="week", origin="songs"),
    MetricSpec(key="xp", kind="xp", slot=XP, feeds=[]),
]
LEVELS = LevelsSpec(of="xp", starts=[0, 100, 300], slot=0)
ENTRIES = [
    AchievementSpec(
        key="first", number=0, name="First", category="music", points=10, when=AtLeast(metric="songs", at=1)
    ),
    *(
        AchievementSpec(
            key="writer",
            number=1 + rank,
            name="Writer",
            category="music",
            tier=tier,
            rank=rank,
            points=10 * (rank + 1),
            xp=50 * (rank + 1),
            when=AtLeast(metric="songs", at=at),
            conditions={"songs": AtLeast(metric="songs", at=at)},
            revocable="silent",
        )
        for rank, (tier, at) in enumerate([("bronze", 5), ("silver", 10)])
    ),
    AchievementSpec(key="ghost", number=3, name="Ghost", category="music", secret=True, is_public=False),
    AchievementSpec(
        key="summer",
        number=4,
        name="Summer",
        category="music",
        window=WindowSpec(first_day=20_605, end_day=None),
        when=AtLeast(metric="songs", at=3),
    ),
    AchievementSpec(
        key="all_music",
        number=5,
        name="All Music",
        category="music",
        all_of="music",
        requires=["first", "writer/bronze"],
    ),
    AchievementSpec(
        key="module",
        number=6,
        name="Module",
        category="school",
        message="You finished {title}!",
        on=[Feed(type="module_completed")],
        scope="module_id",
        metadata={"title": "title"},
        translations={"fr": Texts(name="Module", message="Tu as fini {title} !")},
    ),
]


START_REPLAY = b"""
insert into replay (
    id, status, kind, catalog, version, sha256, notify, policy, dates, from_versions, muted, filling, plan,
    partitions, who
)
values ('r', 'running', 'sweep', 'trackflow', 2, '', 'digest', 'legacy', 'exact', '{}', '[]', '[]', '{}', 1, 'me')
on conflict do nothing
"""


MUTE = b"""
insert into replay (
    id, status, kind, catalog, version, sha256, notify, policy, dates, from_versions, muted, filling, plan,
    partitions, who
)
values (
    %(id)s, %(status)s, 'sweep', 'trackflow', 2, '', 'digest', 'keep', 'exact', '{}', %(muted)s, '[]', '{}', 1, 'me'
)
on conflict (id) do update set status = excluded.status
"""


def program(version: int = 1, entries: Iterable[AchievementSpec] = ENTRIES) -> CatalogProgram:
    return CatalogProgram(
        catalog="trackflow",
        version=version,
        sha256=f"{version:064}",
        timezone="Europe/Paris",
        headline_streak="daily",
        events=[EventSpec(type="song", topic="t", window=SEEN)],
        metrics=METRICS,
        achievements=list(entries),
        tiers=["bronze", "silver", "gold", "platinum"],
        levels=LEVELS,
        challenges=ChallengesSpec(per_day=3, slot=0, offered=[]),
    )


class Models:
    """The read models of a namespace, and what writes them."""

    def __init__(self, settings: ProjectorSettings, connection: given.AsyncConnection) -> None:
        self._settings, self._connection = settings, connection
        self._outcomes = UserAchievementProjection(settings.names)
        self._progress = UserProgressProjection(settings.names, self._read_catalogs, given.no_controls)
        self._catalogs = AchievementProjection(settings.names)

    async def _read_catalogs(self) -> list[CatalogRecord]:
        return [given.record_of(program(), LEDGER)]

    def announce_at(self, per_s: float) -> None:
        """At most so much of what replays announce becomes due from now on."""
        self._outcomes = UserAchievementProjection(self._settings.names, per_s)

    async def prepare(self) -> None:
        await self._outcomes.prepare(self._connection)
        await self._progress.prepare(self._connection)

    async def publish(self, published: CatalogProgram, at: datetime = APPENDED_AT, announced: bool = True) -> None:
        record = msgspec.structs.replace(given.record_of(published, LEDGER), announced=announced)
        await self._write(self._catalogs, [(b"trackflow", encode_catalog_record(record))], at)

    async def tell(self, *outcomes: AnyOutcome) -> None:
        await self._write(self._outcomes, [(each.subject.encode(), encode_outcome(each)) for each in outcomes])

    async def checkpoint(self, **states: bytes | None) -> None:
        await self._write(self._progress, [(user.encode(), state) for user, state in states.items()])

    async def checkpoint_and_fail(self, **states: bytes | None) -> None:
        """As when the commit fails."""
        async with self._connection.transaction():
            await self.checkpoint(**states)
            raise ZeroDivisionError

    async def _write(
        self, projection: Projection, records: list[tuple[bytes, bytes | None]], at: datetime = APPENDED_AT
    ) -> None:
        appended = round(at.timestamp() * 1000)
        found = [PlainRecord(offset, appended, *record) for offset, record in enumerate(records)]
        rows = await projection.decode([Batch(projection.topic, 0, 0, len(found), found)])
        async with self._connection.transaction():
            await projection.write(self._connection, rows)

    def export(self) -> list[Award]:
        with connect(self._settings) as connection:
            return list(read_awards(connection))

    def entries_told(self) -> dict[str, bool]:
        """The entries of which progress is told, and whether they are kept secret until they are earned."""
        with connect(self._settings) as connection:
            (told,) = read_programs(connection)
        return {entry.reference: entry.secret for entry in told.achievements}

    async def choose(self, award: Outcome, column: str) -> None:
        """As the owner of an award does."""
        statement = f"insert into award_visibility (outcome_id, {column}) values (%s, true)"
        await self._connection.execute(statement.encode(), [award.id])

    async def choose_policy(self, policy: str, achievement: str, tier: str | None) -> None:
        """As the start of a replay of version 2 does."""
        await self._connection.execute(START_REPLAY)
        await self._connection.execute(
            b"insert into award_policy values ('trackflow', %s, %s, 2, %s, 'r')", [achievement, tier, policy]
        )

    async def mute(self, replay: str, status: str, achievement: str) -> None:
        """A replay in this status, the latest, that muted an entry."""
        told = {"id": replay, "status": status, "muted": Jsonb([["trackflow", achievement]])}
        await self._connection.execute(MUTE, told)

    async def decide(self) -> None:
        await self._connection.execute(b"update replay set status = 'activating', decided_at = now()")

    async def forget(self, *tables: str) -> None:
        await self._connection.execute(f"truncate {', '.join(tables)}".encode())

    async def unseen(self) -> set[str]:
        """Notifications of what nobody can see."""
        told = [identity for (identity,) in await self.rows("select id from notification")]
        return {identity for (identity,) in await (await self._connection.execute(UNSEEN, [told])).fetchall()}

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        return await given.rows(self._connection, query)


@pytest.fixture
async def models(servers, namespace) -> AsyncIterator[Models]:
    settings = given.settings_of(servers, namespace)
    with connect(settings) as connection:
        upgrade(connection, settings.names.postgres_schema, migration_files())
    async with given.reading(settings) as session:
        found = Models(settings, session)
        await found.prepare()
        await found.publish(program())
        yield found


def unlock(user: str, key: str = "first", at: datetime = DAY_0, **changed: Any) -> Outcome:
    return given.outcome(user, key, earned_at=at, announce=False, **changed)


def writer(user: str, tier: str, **changed: Any) -> Outcome:
    rank = ["bronze", "silver"].index(tier)
    return unlock(user, "writer", tier=tier, points=10 * (rank + 1), xp=50 * (rank + 1), **changed)


def state(songs: int = 0, xp: int = 0, at: datetime = DAY_0, **slots: Any) -> bytes:
    values = fresh_state(LEDGER)
    values[SEEN] = b"12345678"
    values[SONGS : SONGS + 3] = songs, 0, at
    values[XP : XP + 3] = xp, 0, at
    for first, changed in slots.values():
        values[first : first + len(changed)] = changed
    return encode_state(values)


async def test_a_tier_has_its_own_row_and_the_highest_held_is_the_badge(models: Models):
    assert await models.rows(
        "select tier, rank, points, xp, criteria_value, conditions, revocable from achievement "
        "where key = 'writer' order by rank"
    ) == [
        ("bronze", 0, 10, 50, 5, {"songs": condition(5)}, "silent"),
        ("silver", 1, 20, 100, 10, {"songs": condition(10)}, "silent"),
    ]

    await models.tell(unlock("ada"), writer("ada", "bronze"), writer("ada", "silver"), writer("bob", "bronze"))

    assert await models.rows("select user_id, achievement, tier, rank from user_badge order by 1, 2") == [
        ("ada", "first", None, None),
        ("ada", "writer", "silver", 1),
        ("bob", "writer", "bronze", 0),
    ]
    assert await models.rows(
        "select user_id, awards, badges, points, award_xp, highest_tier from user_profile order by 1"
    ) == [("ada", 3, 2, 40, 150, "silver"), ("bob", 1, 1, 10, 50, "bronze")]


def condition(at: int) -> dict[str, Any]:
    return {"kind": "at_least", "metric": "songs", "at": at, "number": None, "level": None}


async def test_what_was_revoked_is_not_held_and_stays_in_the_history(models: Models):
    bronze, silver = writer("ada", "bronze"), writer("ada", "silver")
    again = writer("ada", "silver", n=1, at=DAY_0 + timedelta(days=9))
    await models.tell(bronze, silver, given.revocation(silver), again)

    assert await models.rows("select tier, n from user_award order by rank") == [("bronze", 0), ("silver", 1)]
    assert await models.rows("select points, award_xp, awards, badges from user_profile") == [(30, 150, 2, 1)]
    assert await models.rows(
        "select what, tier, at, points, xp, is_held from user_history order by at, id, what"
    ) == sorted(
        [
            ("award", "bronze", DAY_0, 10, 50, True),
            ("award", "silver", DAY_0, 20, 100, False),
            ("revocation", "silver", given.REVOKED_AT, -20, -100, False),
            ("award", "silver", DAY_0 + timedelta(days=9), 20, 100, True),
        ],
        key=lambda row: (row[2], {"bronze": bronze.id, "silver": silver.id}[row[1]]),
    )


async def test_a_lost_tier_leaves_the_one_below_as_the_badge(models: Models):
    silver = writer("ada", "silver")
    await models.tell(writer("ada", "bronze"), silver, given.revocation(silver))

    assert await models.rows("select tier from user_badge") == [("bronze",)]
    assert await models.rows("select highest_tier from user_profile") == [("bronze",)]


async def test_an_export_has_what_is_held_and_names_the_tiers(models: Models):
    silver, lost = writer("ada", "silver"), unlock("ada")
    await models.tell(writer("ada", "bronze"), silver, lost, given.revocation(lost))

    assert models.export() == [
        Award("ada", "trackflow", "writer/bronze", "", DAY_0),
        Award("ada", "trackflow", "writer/silver", "", DAY_0),
    ]


async def test_a_revocation_in_a_later_batch_finds_its_award_and_the_first_reasons_stay(models: Models):
    first = unlock("ada")
    await models.tell(first)
    await models.tell(given.revocation(first))
    await models.tell(first, given.revocation(first, reasons=[]))

    assert await models.rows("select revocation -> 'reasons' from user_achievement") == [
        ([{"kind": "metric", "metric": "released", "value": 0, "needed": 1}],)
    ]


async def test_an_award_is_as_public_as_its_entry_says_until_its_owner_decides(models: Models):
    shown, hidden, chosen = unlock("ada"), unlock("bob", is_public=False), unlock("cat", is_public=False)
    featured = unlock("dan", is_public=False)
    await models.tell(shown, hidden, chosen, featured)
    await models.rows(
        f"insert into award_visibility (outcome_id, is_public) values ('{chosen.id}', true) returning 1"
    )
    await models.rows(
        f"insert into award_visibility (outcome_id, featured) values ('{featured.id}', true) returning 1"
    )

    assert await models.rows("select user_id, is_public, featured from user_award order by user_id") == [
        ("ada", True, False),
        ("bob", False, False),
        ("cat", True, False),
        ("dan", False, True),
    ]


async def test_a_scoped_award_says_what_it_is_about(models: Models):
    told = {"metadata": {"title": "Harmony"}, "context": {"score": 97}, "message": "You finished Harmony!"}
    await models.tell(unlock("ada", "module", scope="m1", **told), unlock("ada", "module", scope="m2"))

    assert await models.rows("select scope, message, metadata, context from user_award order by scope") == [
        ("m1", "You finished Harmony!", {"title": "Harmony"}, {"score": 97}),
        ("m2", "You finished {title}!", {}, None),
    ]
    assert await models.rows(
        "select event_types, scope_field, translations #>> '{fr,message}' from achievement where key = 'module'"
    ) == [(["module_completed"], "module_id", "Tu as fini {title} !")]


@pytest.mark.parametrize(
    ("xp", "level", "into", "to_next"), [(0, 1, 0, 100), (99, 1, 99, 1), (100, 2, 0, 200), (4_000, 3, 3_700, None)]
)
async def test_a_level_begins_where_the_curve_says(models: Models, xp, level, into, to_next):
    """Of the curve 0, 100, 300; nothing follows the last level."""
    await models.checkpoint(ada=state(xp=xp))
    await models.tell(given.level_reached("ada", 2), given.level_reached("ada", 3))

    assert await models.rows("select level, xp, xp_into_level, xp_to_next_level from user_level") == [
        (level, xp, into, to_next)
    ]
    assert await models.rows("select level, xp, level_value, xp_to_next_level from user_profile") == [
        (level, xp, xp, to_next)
    ]
    assert await models.rows("select count(*) from user_level where reached_at is not null") == [(int(level > 1),)]


async def test_a_category_is_complete_when_all_that_counts_is_held(models: Models):
    """Secret, seasonal and retired entries and sets do not count; of tiers the lowest suffices, and dates it."""
    bronze, first = writer("ada", "bronze", at=DAY_0 + timedelta(days=3)), unlock("ada")
    silver = writer("ada", "silver", at=DAY_0 + timedelta(days=5))
    await models.tell(first, bronze, silver, unlock("bob"), unlock("bob", "ghost"))

    completed = "select user_id, category, earned, total, is_complete, completed_at from user_category order by 1"
    assert await models.rows(completed) == [
        ("ada", "music", 2, 2, True, DAY_0 + timedelta(days=3)),
        ("bob", "music", 1, 2, False, None),
    ]
    assert await models.rows("select user_id, categories_completed from user_profile order by 1") == [
        ("ada", ["music"]),
        ("bob", []),
    ]

    await models.publish(program(2, [entry for entry in ENTRIES if entry.key != "writer"]))
    assert await models.rows(completed) == [
        ("ada", "music", 1, 1, True, DAY_0),
        ("bob", "music", 1, 1, True, DAY_0),
    ]


async def test_a_category_waits_for_no_entry_that_a_replay_has_not_given_yet(models: Models):
    """What a cancelled replay muted stays muted until another one that names it is done."""
    await models.tell(unlock("ada", "first"), writer("ada", "bronze"))
    later = AchievementSpec(key="later", number=9, name="Later", category="music")
    await models.publish(program(2, [*ENTRIES, later]))
    complete = "select category, earned, total, is_complete from user_category"
    assert await models.rows(complete) == [("music", 2, 3, False)]

    for status in ("running", "activating", "cancelled", "failed"):
        await models.mute("r", status, "later")
        assert await models.rows(complete) == [("music", 2, 2, True)], status

    await models.mute("s", "running", "later")
    assert await models.rows(complete) == [("music", 2, 2, True)]
    await models.mute("s", "done", "later")
    assert await models.rows(complete) == [("music", 2, 3, False)]


async def test_an_entry_that_only_a_replay_brings_is_listed_when_that_is_decided(models: Models):
    """Its neighbours that were there before stay listed, also those that the replay mutes."""
    await models.tell(unlock("ada", "first"))
    later = AchievementSpec(key="later", number=9, name="Later", category="music")
    before, with_later = program().achievements, program(2, [*ENTRIES, later])
    listed = "select count(*), count(*) filter (where key = 'later') from achievement"
    rarities = "select count(*) from achievement_rarity where achievement = 'later'"
    places = "select count(*) from success_most_and_least_earned where achievement = 'later'"

    await models.publish(with_later, announced=False)
    assert await models.rows(listed) == [(len(before), 0)], "published, and not started yet"
    for status in ("running", "cancelled"):
        await models.mute("r", status, "later")
        assert await models.rows(listed) == [(len(before), 0)], status
    assert (await models.rows(rarities), await models.rows(places)) == ([(0,)], [(0,)])
    assert models.entries_told()["later"], "nothing may tell that it is there"
    assert not models.entries_told()["first"]

    await models.mute("s", "running", "later")
    await models.decide()
    assert await models.rows(listed) == [(len(before) + 1, 1)]
    assert (await models.rows(rarities), await models.rows(places)) == ([(1,)], [(1,)])
    assert not models.entries_told()["later"]


async def test_an_entry_of_a_cancelled_replay_is_listed_by_the_version_that_brings_it_from_now_on(models: Models):
    later = AchievementSpec(key="later", number=9, name="Later", category="music")
    await models.publish(program(2, [*ENTRIES, later]), announced=False)
    await models.mute("r", "cancelled", "later")

    await models.publish(program(3, [*ENTRIES, later]))

    assert await models.rows("select version from achievement where key = 'later'") == [(3,)]


async def test_an_entry_says_what_season_it_has_and_whether_it_is_a_set(models: Models):
    often = AchievementSpec(key="often", number=9, name="Often", window=WindowSpec(every="week"))
    everything = AchievementSpec(key="everything", number=10, name="Everything", all_of=WHOLE_CATALOG)
    await models.publish(program(2, [*ENTRIES, often, everything]))

    assert await models.rows(
        "select key, season, all_of, counts from achievement where tier is null order by ord, key"
    ) == [
        ("all_music", None, "music", False),
        ("everything", None, "*", False),
        ("first", None, None, True),
        ("ghost", None, None, False),
        ("module", None, None, True),
        ("often", {"every": "week"}, None, False),
        ("summer", {"from": "2026-06-01", "until": None}, None, False),
    ]


async def test_an_entry_is_as_old_as_the_first_version_that_has_it(models: Models):
    later = APPENDED_AT + timedelta(days=3)
    often = AchievementSpec(key="often", number=9, name="Often")

    await models.publish(program(2, [*ENTRIES, often]), later)

    created = "select created_at, count(*), min(key) from achievement group by created_at order by created_at"
    assert await models.rows(created) == [(APPENDED_AT, len(ENTRIES), "all_music"), (later, 1, "often")]


async def test_a_catalog_holds_its_program_for_whoever_tells_progress(models: Models):
    (told,) = await models.rows(
        "select program::text, default_language, tiers, level_of, challenges_per_day from catalog"
    )

    assert msgspec.json.decode(told[0], type=CatalogProgram) == program()
    assert told[1:] == ("en", ["bronze", "silver", "gold", "platinum"], "xp", 3)


async def test_rarity_is_measured_from_twenty_users_on(models: Models):
    users = [f"user-{number}" for number in range(20)]
    await models.checkpoint(**{user: state() for user in users[:19]})
    lost = unlock(users[9])
    scoped = [unlock(user, "module", scope=scope) for user in users[:3] for scope in ("m1", "m2")]
    await models.tell(*map(unlock, users[:5]), lost, given.revocation(lost), *scoped)

    rarity = (
        "select achievement, holders, users, percent from achievement_rarity "
        "where achievement in ('first', 'module', 'ghost') order by 1"
    )
    assert await models.rows(rarity) == [("first", 5, 19, None), ("ghost", 0, 19, None), ("module", 3, 19, None)]

    await models.checkpoint(**{users[19]: state()})
    assert await models.rows(rarity) == [
        ("first", 5, 20, Decimal("25.00")),
        ("ghost", 0, 20, Decimal("0.00")),
        ("module", 3, 20, Decimal("15.00")),
    ]


async def test_the_five_success_metrics(models: Models):
    """Ann, bob, cat and dan had an event on day 0. Ann earned `first` after 2 hours and `module` after 10 days, bob
    `first` after 9 hours; cat lost what she had earned after 4 hours; dan never earned anything."""
    await models.checkpoint(ann=state(), bob=state(), cat=state(), dan=state())
    lost = unlock("cat", at=DAY_0 + timedelta(hours=4))
    await models.tell(
        unlock("ann", at=DAY_0 + timedelta(hours=2)),
        unlock("ann", "module", scope="m1", at=DAY_0 + timedelta(days=10)),
        unlock("bob", at=DAY_0 + timedelta(hours=9)),
        *(lost, given.revocation(lost)),
    )

    assert await models.rows("select catalog, users, holders, percent from success_users_with_award") == [
        ("trackflow", 4, 2, Decimal("50.00"))
    ]
    assert await models.rows("select users, awards, average from success_awards_per_user") == [
        (4, 3, Decimal("0.75"))
    ]
    assert await models.rows(
        "select achievement, holders, most, least from success_most_and_least_earned order by most, achievement"
    ) == [
        ("first", 2, 1, 6),
        ("module", 1, 2, 5),
        *((key, 0, 3, 1) for key in ("all_music", "ghost", "summer", "writer")),
    ]
    assert await models.rows("select users, mean, median from success_time_to_first_award") == [
        (3, timedelta(hours=5), timedelta(hours=4))
    ]
    assert await models.rows("select day, awards, users from success_unlock_rate order by day") == [
        (date(2026, 3, 1), 3, 3),
        (date(2026, 3, 11), 1, 1),
    ]


async def test_the_five_success_metrics_of_a_catalog_without_users(models: Models):
    assert await models.rows("select users, holders, percent from success_users_with_award") == [(0, 0, None)]
    assert await models.rows("select users, awards, average from success_awards_per_user") == [(0, 0, None)]
    assert await models.rows("select users, mean, median from success_time_to_first_award") == [(0, None, None)]
    assert await models.rows("select * from success_unlock_rate") == []


async def test_the_history_has_everything_and_can_be_paged(models: Models):
    """Three things happened in the same moment."""
    await models.tell(
        unlock("ada", points=10, xp=50),
        given.level_reached("ada", 2),
        given.challenge_completed("ada"),
        unlock("bob"),
    )

    everything = await models.rows("select at, id, what, key, level, xp from user_history where user_id = 'ada'")
    assert sorted((what, key, level, xp) for _, _, what, key, level, xp in everything) == [
        ("award", "first", None, 50),
        ("challenge", "two_songs", None, 30),
        ("level", "xp", 2, 0),
    ]
    paged, after = [], "('-infinity'::timestamptz, '00000000-0000-0000-0000-000000000000'::uuid, '')"
    while page := await models.rows(
        f"select at, id, what from user_history where user_id = 'ada' and (at, id, what) > {after} "
        "order by at, id, what limit 2"
    ):
        paged += page
        at, identity, what = page[-1]
        after = f"('{at.isoformat()}'::timestamptz, '{identity}'::uuid, '{what}')"
    assert paged == sorted((at, identity, what) for at, identity, what, *_ in everything)


def replayed(user: str, key: str = "first", **changed: Any) -> Outcome:
    """What the replay `r` gives, in partition 1."""
    told = {"name": key.title(), "origin": "replay", "replay_id": "r", "announce": False}
    return given.outcome(user, key, **told | changed)


def ended(notify: Notify = "digest") -> ReplayOutcome:
    return replay_completed("r", 1, notify, {"trackflow": 2}, DAY_0)


async def test_a_digest_counts_what_a_user_gained_and_names_what_is_worth_most(models: Models):
    """Scopes of one entry are one name."""
    gained = [
        *(replayed("ada", "writer", tier=tier, points=points) for tier, points in [("bronze", 10), ("silver", 20)]),
        *(replayed("ada", "module", scope=scope, points=30) for scope in ("m1", "m2")),
        *(replayed("ada", key, points=5) for key in ("summer", "first", "gone")),
        replayed("bob", "first", points=5),
    ]
    proof = {"origin": "replay", "replay_id": "r", "announce": False}
    level = given.level_reached("ada", 3, **proof)

    await models.tell(*gained, level, ended())

    told = "select user_id, type, title, message, link, metadata from notification order by user_id"
    about = {"outcome_id": ended().id, "replay_id": "r"}
    title = "Earned by what you did before"
    assert await models.rows(told) == [
        (
            "ada",
            "replay_completed",
            title,
            "8 new: Module, Writer, First and 3 more",
            None,
            {**about, "awards": 8, "points": 105, "names": ["Module", "Writer", "First"]},
        ),
        (
            "bob",
            "replay_completed",
            title,
            "1 new: First",
            "/achievements/trackflow/first",
            {**about, "awards": 1, "points": 5, "names": ["First"]},
        ),
    ]


async def test_a_digest_names_what_it_was_called_when_it_was_earned(models: Models):
    """Whatever the catalog says by now, and when nothing is known of it yet, as in a new database."""
    await models.tell(
        replayed("ada", "gone", name="Gone for Good"), replayed("ada", name="My First", points=5), ended()
    )

    told = "select message, metadata -> 'names' from notification"
    assert await models.rows(told) == [("2 new: Gone for Good, My First", ["Gone for Good", "My First"])]


async def test_nobody_is_told_of_a_replay_again_when_the_awards_are_built_anew(models: Models):
    await models.tell(replayed("ada"), replayed("bob"), ended())
    await models.forget("user_achievement", "replay_completed")

    await models.tell(replayed("ada"), replayed("bob"), ended())

    assert await models.rows("select count(*) from notification") == [(2,)]
    assert await models.rows("select count(*) from notification_delivery") == [(2,)]


@pytest.mark.parametrize(("notify", "notices"), [("none", 0), ("digest", 1), ("all", 2)])
async def test_points_badges_and_categories_are_the_same_whatever_a_replay_announces(
    models: Models, notify: Notify, notices: int
):
    announce = notify == "all"
    await models.tell(
        replayed("ada", announce=announce), replayed("ada", "ghost", announce=announce), ended(notify)
    )

    profile = "select points, awards, badges from user_profile where user_id = 'ada'"
    assert await models.rows(profile) == [(20, 2, 2)]
    assert await models.rows("select earned from user_category where user_id = 'ada'") == [(1,)]
    assert await models.rows("select count(*) from notification") == [(notices,)]


DUE = """
select user_id, type, extract(epoch from visible_at - min(visible_at) over ())::float8 / 10
from notification join notification_delivery on notification_id = id
"""


async def test_what_replays_announce_becomes_due_one_after_the_other_and_live_awards_at_once(models: Models):
    """Over batches too: the second begins where the first ends. What was due stays due when it comes again."""
    models.announce_at(0.1)  # every ten seconds
    first = [replayed("ada", announce=True), given.outcome("live"), replayed("bob", announce=True)]
    await models.tell(*first)
    await models.tell(replayed("cat", announce=True), *first)
    await models.tell(replayed("dan", "ghost"), ended())

    unlocked, digest = "achievement_unlocked", "replay_completed"
    due = {(user, kind): round(at) for user, kind, at in await models.rows(DUE)}
    digests = [due.pop(key) for key in [*due] if key[1] == digest]
    assert due == {("ada", unlocked): 0, ("live", unlocked): 0, ("bob", unlocked): 1, ("cat", unlocked): 2}
    assert sorted(digests) == [3, 4, 5, 6]


async def test_an_award_of_a_rule_that_is_no_more_is_legacy_where_the_operator_wants_it(models: Models):
    """From the decision on; nothing but the tier that is meant, and not what the new rule gave."""
    old, new = writer("ada", "bronze"), writer("bob", "bronze", catalog_version=2)
    await models.tell(old, new, writer("ada", "silver"), unlock("ada"), unlock("bob"))
    await models.choose_policy("legacy", "writer", "bronze")
    await models.choose_policy("keep", "first", None)
    legacy = "select user_id, achievement, tier from {} where is_legacy"
    assert await models.rows(legacy.format("user_award")) == []

    await models.decide()

    assert await models.rows(legacy.format("user_award")) == [("ada", "writer", "bronze")]
    assert await models.rows(legacy.format("user_badge")) == []


async def test_whoever_is_told_finds_what_it_is_about(models: Models):
    """As the claimers of a soak look: of all that is told, and of what somebody took away."""
    lost, kept = given.outcome("ada"), given.outcome("bob")
    level, challenge = given.level_reached("ada", 2), given.challenge_completed("ada")
    await models.tell(lost, given.revocation(lost, announce=True), kept, level, challenge)
    assert await models.unseen() == set()

    await models.rows("delete from user_level_reached returning 1")
    await models.rows("update user_achievement set revoked_at = null, revocation = null returning 1")
    assert await models.unseen() == {notification_id(each.id) for each in (given.revocation(lost), level)}


async def test_the_pace_follows_the_event_times_of_the_states(models: Models):
    """Songs: 8 by day 0, 12 by day 14, 13 by day 28. Half-life 14 days: 8/4 + 4/2 gained before the last day."""
    day = DAY_0.toordinal() - date(1970, 1, 1).toordinal()
    for songs, days in ((8, 0), (12, 14), (12, 14), (13, 28)):
        await models.checkpoint(ada=state(songs, at=DAY_0 + timedelta(days=days)))

    assert await models.rows("select pace #> '{trackflow,songs}' from user_progress") == [
        ([12, 4, day + 28, day, 3],)
    ]
    assert await models.rows("select user_id, catalog, since from known_user") == [("ada", "trackflow", DAY_0)]


async def test_a_pace_whose_transaction_was_rolled_back_is_written_by_the_next_session(models: Models):
    """The projection remembers whose pace stands in a row; what was never committed does not."""
    with pytest.raises(ZeroDivisionError):
        await models.checkpoint_and_fail(ada=state(8))
    await models.prepare()

    await models.checkpoint(ada=state(8))

    assert await models.rows("select pace #>> '{trackflow,songs,4}' from user_progress") == [("1",)]


async def test_a_user_who_was_erased_begins_anew(models: Models):
    await models.checkpoint(ada=state(8))
    await models.checkpoint(ada=None)
    await models.checkpoint(ada=state(1))

    assert await models.rows("select pace #>> '{trackflow,songs,0}' from user_progress") == [("0",)]


async def test_somebody_who_had_no_event_of_a_catalog_is_no_user_of_it(models: Models):
    await models.checkpoint(ada=encode_state(fresh_state(LEDGER)))

    assert await models.rows("select metrics #> '{trackflow,songs}' from user_progress") == [(0,)]
    assert await models.rows("select * from known_user") == []


async def test_of_a_repeating_window_the_latest_eight_periods_are_shown(models: Models):
    """Days 0 to 9, with as many songs as their number; the present one is day 9."""
    older = b"".join(PERIOD_SUMS.pack(day, day, 0, 0) for day in range(9))
    await models.checkpoint(ada=state(daily=(LOGINS, [older, 9, 9, 0, DAY_0])))

    (shown,) = await models.rows(
        "select windows #> '{trackflow,songs@day}', metrics ? 'songs@day' from user_progress"
    )
    assert shown == ({f"1970-01-{1 + day:02}": day for day in range(2, 10)}, False)


async def test_a_run_that_grace_bridges_is_told_with_its_length(models: Models):
    """Days 10 to 12 and 14 to 15: five active days over six."""
    await models.checkpoint(ada=state(streak=(DAILY, [RUN.pack(10, 12), 14, 15, 5, 5, b""])))

    assert await models.rows("select streaks #> '{trackflow,daily}' from user_progress") == [
        ({"first_day": 10, "last_day": 15, "length": 5, "longest": 5, "freezes": 0},)
    ]


@pytest.mark.parametrize(
    "view", ["user_award", "user_badge", "user_level", "user_category", "user_profile", "user_history"]
)
async def test_what_a_view_says_of_one_user_is_found_without_reading_the_others(models: Models, view: str):
    """Scans of whole tables being discouraged, one that is left has no index to use."""
    await models.rows("select set_config('enable_seqscan', 'off', false)")

    plan = "\n".join(line for (line,) in await models.rows(f"explain select * from {view} where user_id = 'ada'"))

    assert not re.findall(r"Seq Scan on user_\w+", plan), plan
    assert len(re.findall(r"Index Cond: \(+(?:\w+\.)?user_id = ", plan)) > 0, plan
