"""What a projection asks of its database, held against Postgres and against the one in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from psycopg import AsyncConnection

from broker.reading import Batch
from projections.checkpoints import TakenOver, move
from projections.database import connect, connect_async
from projections.digest import digest_id
from projections.migrations.runner import migration_files, upgrade
from projections.notification import notification_id
from projections.projection import Projection
from projections.session import PostgresSession, Session, open_session
from projections.user_achievement import UserAchievementProjection
from projections.user_progress import UserProgressProjection
from schemas.outcomes import AnyOutcome, Outcome, ReplayOutcome, encode_outcome, replay_completed
from schemas.program import CatalogRecord
from schemas.records import PlainRecord
from schemas.replays import Notify, Phase, ReplayNote
from schemas.state import CONTROL_KEY, Control, encode_control
from schemas.topics import Names
from simulation.database import Database, MemorySession
from simulation.process import Line, Process, Weather
from tests.integration import projections as given

APPENDED_MS = 1_700_000_000_000
WAIT_S = 60.0
OTHERS = """
select id::text from user_level_reached
union all select id::text from user_challenge
union all select id::text from command_answer
union all select id::text from replay_completed
"""


class Shown(NamedTuple):
    """What anybody can see. Shapes: awards, revoked ones and other outcomes are ids; progress, user -> metrics."""

    awards: set[str]
    notifications: set[str]
    deliveries: list[tuple[str, str, str]]
    progress: dict[str, dict[str, int]]
    revoked: set[str]
    others: set[str]


NOTHING = Shown(set(), set(), [], {}, set(), set())


class Side(NamedTuple):
    names: Names
    open: Callable[[Projection], Awaitable[Session]]
    look: Callable[[], Awaitable[Shown]]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.server)])
async def side(request: pytest.FixtureRequest, namespace: str) -> AsyncIterator[Side]:
    if request.param == "memory":
        yield memory(namespace)
        return
    settings = given.settings_of(request.getfixturevalue("servers"), namespace)
    with connect(settings) as connection:
        upgrade(connection, settings.names.postgres_schema, migration_files())
    opened: list[PostgresSession] = []

    async def open_one(projection: Projection) -> PostgresSession:
        opened.append(await open_session(partial(connect_async, settings, "contract"), projection))
        return opened[-1]

    async with given.reading(settings) as eye:
        yield Side(settings.names, open_one, partial(seen, eye))
    for session in opened:
        await session.close()


async def seen(eye: AsyncConnection) -> Shown:
    async def rows(query: str) -> list[tuple[Any, ...]]:
        return await given.rows(eye, query)

    return Shown(
        {each for (each,) in await rows("select id::text from user_achievement")},
        {each for (each,) in await rows("select id::text from notification")},
        await rows("select notification_id::text, subscriber, state from notification_delivery order by 1"),
        {user: of["trackflow"] for user, of in await rows("select user_id, metrics from user_progress")},
        {each for (each,) in await rows("select id::text from user_achievement where revoked_at is not null")},
        {each for (each,) in await rows(OTHERS)},
    )


def memory(namespace: str) -> Side:
    database, loop, chance = Database(), asyncio.get_running_loop(), Random(1)
    process, calm = Process("test", loop), Weather(chance, {}, 0.0, lambda what: None)

    async def open_one(projection: Projection) -> MemorySession:
        return MemorySession(database, projection, process, loop, Line(process, loop, chance, calm), chance)

    async def look() -> Shown:
        return Shown(
            set(database.awards),
            set(database.notifications),
            sorted((identity, to, state) for (identity, to), state in database.deliveries.items()),
            {user: json.loads(row.metrics)["trackflow"] for user, row in database.progress.items()},
            set(database.revoked),
            set(database.others),
        )

    return Side(Names(namespace), open_one, look)


@pytest.fixture
def awards(side: Side) -> UserAchievementProjection:
    return UserAchievementProjection(side.names)


@pytest.fixture
def progress(side: Side) -> UserProgressProjection:
    return progress_of(side)


def progress_of(
    side: Side, newest: Mapping[int, Control] = {}, *, announced: bool = True
) -> UserProgressProjection:
    """Shapes: newest, partition -> its newest control record in the log; announced, whether version 2 is."""

    async def read_catalogs() -> list[CatalogRecord]:
        second = msgspec.structs.replace(given.catalog_record(2, wider=True), announced=announced)
        return [given.catalog_record(), second]

    async def read_controls() -> Mapping[int, Control]:
        return newest

    return UserProgressProjection(side.names, read_catalogs, read_controls)


def batch(topic: str, partition: int, start: int, rows: Sequence[tuple[bytes, bytes | None]] = ()) -> Batch:
    """Records from this position on, and a marker behind them."""
    records = [PlainRecord(start + place, APPENDED_MS, *row) for place, row in enumerate(rows)]
    return Batch(topic, partition, start, start + len(records) + 1, records)


def rows_of(outcomes: Sequence[AnyOutcome]) -> list[tuple[bytes, bytes]]:
    return [(each.subject.encode(), encode_outcome(each)) for each in outcomes]


async def project(session: Session, projection: Projection, *batches: Batch) -> int:
    """As a lane does. Returns how many notifications that made."""
    rows = await projection.decode(batches)
    async with session.transaction():
        await move(session, projection.name, batches)
        return await session.write(rows)


async def test_a_partition_begins_at_its_beginning_and_is_remembered(side: Side, awards: Projection) -> None:
    session = await side.open(awards)

    assert await session.positions({0: 0, 1: 5}) == {0: 0, 1: 5}
    await project(session, awards, batch(awards.topic, 1, 5))

    assert await (await side.open(awards)).positions({0: 3, 1: 0}) == {0: 0, 1: 6}


async def test_positions_of_two_projections_are_apart(side: Side, awards: Projection, progress: Projection) -> None:
    one, other = await side.open(awards), await side.open(progress)
    await one.positions({0: 0})
    await other.positions({0: 0})

    await project(one, awards, batch(awards.topic, 0, 0))

    assert await one.positions({0: 0}) == {0: 1}
    assert await other.positions({0: 0}) == {0: 0}


async def test_only_what_stands_where_a_batch_begins_is_moved(side: Side, awards: Projection) -> None:
    session, topic = await side.open(awards), awards.topic
    await session.positions({0: 0, 1: 7})

    assert await session.move([batch(topic, 0, 0), batch(topic, 1, 0), batch(topic, 2, 0)]) == {0}
    assert await session.positions({0: 0, 1: 0}) == {0: 1, 1: 7}


async def test_rows_and_positions_appear_together_or_not_at_all(side: Side, awards: Projection) -> None:
    session, topic = await side.open(awards), awards.topic
    await session.positions({0: 0, 1: 9})
    mine = batch(topic, 0, 0, rows_of(given.outcomes(3)))

    with pytest.raises(TakenOver, match=f"{topic}-1:"):
        await project(session, awards, mine, batch(topic, 1, 0))
    assert await side.look() == NOTHING
    assert await session.positions({0: 0}) == {0: 0}

    async with session.transaction():
        await session.move([mine])
        await session.write(await awards.decode([mine]))
        assert await side.look() == NOTHING, "seen before it was committed"
    assert len((await side.look()).awards) == 3


async def test_an_award_makes_one_row_one_notification_and_one_delivery_however_often_it_comes(
    side: Side, awards: Projection
) -> None:
    """Within a batch, in a later one, and in one that brings others too."""
    outcomes = given.outcomes(4)
    session, topic = await side.open(awards), awards.topic
    await session.positions({0: 0})

    told = [
        await project(session, awards, batch(topic, 0, 0, rows_of([*outcomes[:2], *outcomes[:2]]))),
        await project(session, awards, batch(topic, 0, 5, rows_of(outcomes[:2]))),
        await project(session, awards, batch(topic, 0, 8, rows_of(outcomes))),
    ]

    ids = {each.id for each in outcomes}
    notifications = {notification_id(each) for each in ids}
    shown = await side.look()
    assert (shown.awards, shown.notifications) == (ids, notifications)
    assert shown.deliveries == sorted((each, "default", "pending") for each in notifications)
    assert told[0] == 2


async def test_an_award_that_is_not_announced_makes_no_notification(side: Side, awards: Projection) -> None:
    session = await side.open(awards)
    await session.positions({0: 0})

    await project(session, awards, batch(awards.topic, 0, 0, rows_of([given.outcome("ann", announce=False)])))

    shown = await side.look()
    assert (len(shown.awards), shown.notifications, shown.deliveries) == (1, set(), [])


async def test_an_award_is_one_by_what_it_is_about_too(side: Side, awards: Projection) -> None:
    """Another id for the same user, achievement, tier, scope and number is none, and nobody is told of it."""
    first = given.outcome("ann")
    second = Outcome(
        id="00000000-0000-5000-8000-000000000000",
        source=first.source,
        subject=first.subject,
        time=first.time,
        data=first.data,
    )
    session = await side.open(awards)
    await session.positions({0: 0})

    for start, outcome in enumerate((first, second)):
        await project(session, awards, batch(awards.topic, 0, 2 * start, rows_of([outcome])))

    shown = await side.look()
    assert (shown.awards, shown.notifications) == ({first.id}, {notification_id(first.id)})


async def test_what_is_no_unlock_makes_one_row_and_one_notification_however_often_it_comes(
    side: Side, awards: Projection
) -> None:
    """A silent revocation and an answer tell nobody; unlocks of the same batch are written all the same."""
    first, again = given.outcome("ann"), given.outcome("ann", n=1)
    announced = given.revocation(again, announce=True)
    level, challenge = given.level_reached("ann", 2), given.challenge_completed("ann")
    mixed = [level, first, given.revocation(first), again, challenge, given.answer("ann"), announced]
    session, topic = await side.open(awards), awards.topic
    await session.positions({0: 0})

    told = [
        await project(session, awards, batch(topic, 0, 0, rows_of([*mixed, *mixed]))),
        await project(session, awards, batch(topic, 0, 15, rows_of(mixed))),
    ]

    shown = await side.look()
    assert (shown.awards, shown.revoked) == ({first.id, again.id}, {first.id, again.id})
    assert shown.others == {level.id, challenge.id, given.answer("ann").id}
    assert shown.notifications == {notification_id(each.id) for each in (first, again, level, challenge, announced)}
    assert (told[0], len(shown.deliveries)) == (5, 5)


async def test_a_revocation_of_an_award_that_is_not_there_changes_nothing(side: Side, awards: Projection) -> None:
    session = await side.open(awards)
    await session.positions({0: 0})
    lost = given.revocation(given.outcome("ann"), announce=True)

    await project(session, awards, batch(awards.topic, 0, 0, rows_of([lost])))

    assert await side.look() == NOTHING


def replayed(user: str, achievement: str = "first_release", partition: int = 0, **changed: Any) -> Outcome:
    """An award that the replay `r` gives."""
    proof = {"evidence": msgspec.structs.replace(given.EVIDENCE, partition=partition)}
    return given.outcome(
        user, achievement, **{"origin": "replay", "replay_id": "r", "announce": False} | proof | changed
    )


def ended(notify: Notify, partition: int = 0, replay: str = "r") -> ReplayOutcome:
    return replay_completed(replay, partition, notify, {"trackflow": 2}, given.EARNED_AT)


async def test_a_digest_tells_each_user_of_its_partition_who_gained_something_once(
    side: Side, awards: Projection
) -> None:
    """Neither of a live award, nor of what another partition or another replay gave, nor of what was lost again."""
    lost = replayed("eve")
    gained = [replayed("ann"), replayed("ann", "loyal"), replayed("bob"), lost, given.revocation(lost)]
    elsewhere = [replayed("cat", partition=1), given.outcome("dan", announce=False), replayed("fay", replay_id="q")]
    session, topic = await side.open(awards), awards.topic
    await session.positions({0: 0})

    await project(session, awards, batch(topic, 0, 0, rows_of([*gained, *elsewhere, ended("digest")])))
    await project(session, awards, batch(topic, 0, 10, rows_of([ended("digest")])))

    shown = await side.look()
    assert shown.notifications == {notification_id(digest_id("r", user)) for user in ("ann", "bob")}
    assert [identity for identity, _, _ in shown.deliveries] == sorted(shown.notifications)


async def test_a_digest_tells_of_a_level_that_nothing_else_came_with(side: Side, awards: Projection) -> None:
    proof = msgspec.structs.replace(given.EVIDENCE, partition=0)
    level = given.level_reached("ann", 3, origin="replay", replay_id="r", announce=False, evidence=proof)
    session = await side.open(awards)
    await session.positions({0: 0})

    await project(session, awards, batch(awards.topic, 0, 0, rows_of([level, ended("digest")])))

    assert (await side.look()).notifications == {notification_id(digest_id("r", "ann"))}


@pytest.mark.parametrize("notify", ["none", "all"])
async def test_the_end_of_a_replay_tells_nobody_when_all_or_nothing_was_to_be_announced(
    side: Side, awards: Projection, notify: Notify
) -> None:
    """Of all, the awards themselves have told."""
    award = replayed("ann", announce=notify == "all")
    session = await side.open(awards)
    await session.positions({0: 0})

    await project(session, awards, batch(awards.topic, 0, 0, rows_of([award, ended(notify)])))

    shown = await side.look()
    assert shown.notifications == ({notification_id(award.id)} if notify == "all" else set())
    assert (shown.awards, shown.others) == ({award.id}, {ended(notify).id})


async def test_the_last_state_of_a_user_is_what_is_shown(side: Side, progress: Projection) -> None:
    session, topic = await side.open(progress), progress.topic
    await session.positions({0: 0})

    first = [(b"ann", given.state(1)), (b"bob", given.state(2)), (b"ann", given.state(3)), (b"cat", given.state(4))]
    await project(session, progress, batch(topic, 0, 0, first))
    await project(session, progress, batch(topic, 0, 5, [(b"bob", given.state(7)), (b"cat", None)]))

    shown = (await side.look()).progress
    assert {user: of["released"] for user, of in shown.items()} == {"ann": 3, "bob": 7}


def control(version: int, phase: Phase | None = None) -> tuple[bytes, bytes]:
    """What a checkpoint begins with; a replay that fills `stars` is in this phase."""
    notes = {"r": ReplayNote(phase=phase, filling=[("trackflow", "stars")])} if phase else {}
    return CONTROL_KEY, encode_control(Control(catalogs={"trackflow": version}, replays=notes))


def stars(count: int) -> bytes:
    return given.state(1, stars=count)


async def shown_stars(side: Side) -> dict[str, int | str]:
    shown = (await side.look()).progress
    return {user: metrics.get("stars", "hidden") for user, metrics in shown.items()}


async def test_what_a_replay_fills_is_shown_from_the_first_state_behind_its_activation(
    side: Side, progress: Projection
) -> None:
    """Each state as the control record before it says, within a batch and over batches."""
    session, topic = await side.open(progress), progress.topic
    await session.positions({0: 0})

    first = [control(1), (b"ann", given.state(1)), control(2, "filling"), (b"bob", stars(2)), (b"cat", stars(3))]
    await project(session, progress, batch(topic, 0, 0, first))
    assert await shown_stars(side) == dict.fromkeys(("ann", "bob", "cat"), "hidden")

    second = [(b"ann", stars(4)), control(2, "ready"), (b"bob", stars(5)), control(2, "active"), (b"cat", stars(6))]
    await project(session, progress, batch(topic, 0, 6, second))
    assert await shown_stars(side) == {"ann": "hidden", "bob": "hidden", "cat": 6}

    await project(
        session, progress, batch(topic, 0, 12, [(b"ann", stars(7)), control(2, "done"), (b"bob", stars(8))])
    )
    assert await shown_stars(side) == {"ann": 7, "bob": 8, "cat": 6}


@pytest.mark.parametrize("phase", ["filling", "ready", "cancelled"])
async def test_a_projector_that_starts_again_sees_what_the_newest_control_record_says(
    side: Side, progress: Projection, phase: Phase
) -> None:
    """Also of a partition that another one had. Compaction may have taken the control records between."""
    session, topic = await side.open(progress), progress.topic
    await session.positions({0: 0})
    await project(session, progress, batch(topic, 0, 0, [control(2, phase), (b"ann", stars(5))]))
    assert await shown_stars(side) == {"ann": "hidden"}

    newest = progress_of(side, {0: Control(catalogs={"trackflow": 2})})
    session = await side.open(newest)
    assert await session.positions({0: 0}) == {0: 3}
    await project(session, newest, batch(topic, 0, 3, [(b"ann", stars(6))]))
    assert await shown_stars(side) == {"ann": 6}


async def test_a_projector_without_a_past_goes_by_the_newest_control_record(side: Side) -> None:
    """Compaction has taken those before the states."""
    notes = {"r": ReplayNote(phase="filling", filling=[("trackflow", "stars")])}
    progress = progress_of(side, {0: Control(catalogs={"trackflow": 2}, replays=notes)})
    session = await side.open(progress)
    await session.positions({0: 0, 1: 0})

    await project(
        session, progress, *(batch(progress.topic, number, 0, [(b"u%d" % number, stars(1))]) for number in (0, 1))
    )

    assert await shown_stars(side) == {"u0": "hidden", "u1": 1}


async def test_where_nobody_says_what_runs_a_version_that_only_a_replay_brings_is_not_shown(side: Side) -> None:
    progress = progress_of(side, announced=False)
    session = await side.open(progress)
    await session.positions({0: 0})

    await project(session, progress, batch(progress.topic, 0, 0, [(b"ann", given.state(1))]))

    assert await shown_stars(side) == {"ann": "hidden"}


async def test_a_version_that_a_partition_does_not_run_yet_is_not_shown_there(
    side: Side, progress: Projection
) -> None:
    session, topic = await side.open(progress), progress.topic
    await session.positions({0: 0, 1: 0})

    await project(
        session,
        progress,
        batch(topic, 0, 0, [control(1), (b"ann", given.state(1))]),
        batch(topic, 1, 0, [control(2), (b"bob", given.state(1))]),
    )

    assert await shown_stars(side) == {"ann": "hidden", "bob": None}


async def test_of_two_sessions_that_move_a_position_the_second_waits_and_finds_it_moved(
    side: Side, awards: Projection
) -> None:
    one, other = await side.open(awards), await side.open(awards)
    await one.positions({0: 0})
    same = batch(awards.topic, 0, 0)

    async with one.transaction():
        await one.move([same])
        second = asyncio.create_task(other.move([same]))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done, "it did not wait"

    assert await asyncio.wait_for(second, WAIT_S) == set()


async def test_a_position_whose_mover_gave_up_is_where_it_was(side: Side, awards: Projection) -> None:
    one, other = await side.open(awards), await side.open(awards)
    await one.positions({0: 0})
    same = batch(awards.topic, 0, 0)

    async def give_up() -> None:
        async with one.transaction():
            await one.move([same])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await give_up()

    assert await asyncio.wait_for(other.move([same]), WAIT_S) == {0}
