"""What the tests of the projections share: outcomes and states as the processor writes them, and a projector."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from broker.connections import consumer, producer
from broker.positions import end_positions
from broker.producing import Outgoing, Publisher
from broker.topics import create_topics, places_of, wanted_topics
from projections.database import connect, connect_async
from projections.migrations.runner import migration_files, upgrade
from projections.settings import ProjectorSettings
from projections.worker import project_until
from schemas import program as programs
from schemas.outcomes import (
    CHALLENGE_COMPLETED,
    COMMAND_ANSWERED,
    COMMANDS_SOURCE,
    LEVEL_KEY,
    LEVEL_REACHED,
    REVOKED,
    AnswerOutcome,
    AnyOutcome,
    ChallengeCompleted,
    ChallengeOutcome,
    CommandAnswered,
    Evidence,
    LevelOutcome,
    LevelReached,
    MetricReason,
    Outcome,
    Revoked,
    RevokedOutcome,
    Unlocked,
    encode_outcome,
    outcome_id,
    unlocked_id,
)
from schemas.program import (
    AchievementSpec,
    All,
    AtLeast,
    CatalogProgram,
    CatalogRecord,
    Ledger,
    MetricSpec,
    encode_catalog_record,
)
from schemas.replays import ReplayNote
from schemas.state import CONTROL_KEY, ZONE, Control, encode_control, encode_state, fresh_state
from tests.servers import Servers

PARTITIONS = 2
WAIT_S = 120.0
EARNED_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
REVOKED_AT = datetime(2026, 3, 5, 5, 6, 7, tzinfo=UTC)
EVIDENCE = Evidence(topic="trackflow.activity", partition=1, offset=42, event_id="event-1")
ORIGIN: dict[str, Any] = {
    "catalog_version": 1,
    "catalog_sha256": "ab" * 32,
    "evidence": EVIDENCE,
    "origin": "live",
    "replay_id": None,
}

RELEASED, STREAK, STARS = 3, 6, 10  # first slots of the metrics
LEDGER = Ledger(slots=["zero", "zero", "epoch", "bytes", "none", "none", "zero"])
WIDER_LEDGER = Ledger(slots=[*LEDGER.slots, "none", "epoch", "none"])


def settings_of(servers: Servers, namespace: str) -> ProjectorSettings:
    return ProjectorSettings(kafka=servers.kafka, postgres=servers.postgres, namespace=namespace)


async def prepare(settings: ProjectorSettings) -> None:
    await create_topics(settings.kafka, wanted_topics(settings.names, [], PARTITIONS))
    with connect(settings) as connection:
        upgrade(connection, settings.names.postgres_schema, migration_files())


@asynccontextmanager
async def projecting(settings: ProjectorSettings) -> AsyncIterator[None]:
    """A projector in this process; leaving lets it finish its batch. One that fails ends the test."""
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(project_until(settings, stopping))
        yield
        stopping.set()


async def failing(settings: ProjectorSettings) -> None:
    """A projector that is expected to end by itself."""
    await asyncio.wait_for(project_until(settings, asyncio.Event()), WAIT_S)


@asynccontextmanager
async def reading(settings: ProjectorSettings) -> AsyncIterator[AsyncConnection]:
    connection = await connect_async(settings, "test")
    try:
        yield connection
    finally:
        await connection.close()


async def wait_until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not await condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
        await asyncio.sleep(0.02)


async def counts(connection: AsyncConnection) -> dict[str, int]:
    tables = ("user_achievement", "notification", "notification_delivery")
    return {table: (await rows(connection, f"select count(*) from {table}"))[0][0] for table in tables}


async def rows(connection: AsyncConnection, query: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query.encode())).fetchall()


async def positions(connection: AsyncConnection, topic: str) -> dict[int, int]:
    query = b"select partition, next_position from projection_position where topic = %s"
    return dict(await (await connection.execute(query, [topic])).fetchall())


async def at_the_end(settings: ProjectorSettings, connection: AsyncConnection, topic: str) -> bool:
    """Whether the stored positions are the ends of the log, with what is written and not decided yet."""
    async with consumer(settings.kafka, isolation="read_uncommitted") as client:
        ends = await end_positions(client, await places_of(settings.kafka, [topic]))
    return await positions(connection, topic) == {partition: end for (_, partition), end in ends.items()}


async def wait_for_end(settings: ProjectorSettings, connection: AsyncConnection, topic: str) -> None:
    async def there() -> bool:
        return await at_the_end(settings, connection, topic)

    await wait_until(there, f"the positions of {topic} are its ends")


async def wait_for_rows(connection: AsyncConnection, table: str, count: int) -> None:
    async def there() -> bool:
        return (await rows(connection, f"select count(*) from {table}"))[0][0] >= count

    await wait_until(there, f"{count} rows in {table}")


@asynccontextmanager
async def publishing(settings: ProjectorSettings, transactional_id: str | None = None) -> AsyncIterator[Publisher]:
    counted = {settings.names.outcomes: PARTITIONS, settings.names.changelog: PARTITIONS}
    async with producer(settings.kafka, transactional_id=transactional_id) as client:
        yield Publisher(client, counted)


async def publish_outcomes(settings: ProjectorSettings, outcomes: Iterable[AnyOutcome]) -> None:
    async with publishing(settings) as publisher:
        for each in outgoing(settings, outcomes):
            await publisher.send(each)
        await publisher.flush()


def outgoing(settings: ProjectorSettings, outcomes: Iterable[AnyOutcome]) -> list[Outgoing]:
    topic = settings.names.outcomes
    return [Outgoing(topic, outcome.subject.encode(), encode_outcome(outcome)) for outcome in outcomes]


def outcomes(count: int, of: str = "user", **data: Any) -> list[Outcome]:
    return [outcome(f"{of}-{number}", **data) for number in range(count)]


def outcome(user: str, achievement: str = "first_release", **changed: Any) -> Outcome:
    told: dict[str, Any] = {
        "catalog": "trackflow",
        "achievement": achievement,
        "name": "First Release",
        "description": "Release 1 song",
        "message": "Your first release!",
        "icon": "✨",
        "color_from": "#111111",
        "color_to": "#222222",
        "category": "milestone",
        "type": achievement,
        "tier": None,
        "rarity": "common",
        "points": 10,
        "secret": False,
        "scope": "",
        "n": 0,
        "metadata": {},
        "earned_at": EARNED_AT,
        "progress_at_unlock": 1,
        "announce": True,
        **ORIGIN,
    } | changed
    identity = unlocked_id(told["catalog"], achievement, user, tier=told["tier"], scope=told["scope"], n=told["n"])
    return Outcome(id=identity, source="laurel/trackflow", subject=user, time=EARNED_AT, data=Unlocked(**told))


def revocation(ended: Outcome, **changed: Any) -> RevokedOutcome:
    """What takes an award back, silently."""
    data = ended.data
    kept = (
        "catalog",
        "achievement",
        "name",
        "icon",
        "category",
        "type",
        "tier",
        "rarity",
        "points",
        "xp",
        "scope",
        "n",
    )
    told: dict[str, Any] = {
        **{name: getattr(data, name) for name in (*kept, "secret", "is_public", "earned_at")},
        "award_id": ended.id,
        "revoked_at": REVOKED_AT,
        "reasons": [MetricReason(metric="released", value=0, needed=1)],
        "announce": False,
        **ORIGIN,
    } | changed
    identity = outcome_id(
        REVOKED, data.catalog, data.achievement, ended.subject, tier=data.tier, scope=data.scope, n=data.n
    )
    return RevokedOutcome(
        id=identity, source=ended.source, subject=ended.subject, time=REVOKED_AT, data=Revoked(**told)
    )


def level_reached(user: str, level: int, **changed: Any) -> LevelOutcome:
    told: dict[str, Any] = {
        "catalog": "trackflow",
        "level": level,
        "name": f"Level {level}",
        "message": "Onwards!",
        "metric": "xp",
        "value": 50 * level * (level - 1),
        "start": 50 * level * (level - 1),
        "next_start": 50 * level * (level + 1),
        "earned_at": EARNED_AT,
        "announce": True,
        **ORIGIN,
    } | changed
    identity = outcome_id(LEVEL_REACHED, told["catalog"], LEVEL_KEY, user, scope=str(level))
    return LevelOutcome(
        id=identity, source="laurel/trackflow", subject=user, time=EARNED_AT, data=LevelReached(**told)
    )


def challenge_completed(user: str, challenge: str = "two_songs", **changed: Any) -> ChallengeOutcome:
    told: dict[str, Any] = {
        "catalog": "trackflow",
        "challenge": challenge,
        "name": "Two songs",
        "description": "Release two songs today",
        "message": "Two in a day!",
        "icon": "🎧",
        "type": "practice",
        "day": date(2026, 3, 4),
        "metric": "released@day",
        "value": 2,
        "target": 2,
        "xp": 30,
        "command_id": "claim-1",
        "earned_at": EARNED_AT,
        "announce": True,
        **ORIGIN,
    } | changed
    identity = outcome_id(CHALLENGE_COMPLETED, told["catalog"], challenge, user, scope=told["day"].isoformat())
    return ChallengeOutcome(
        id=identity, source="laurel/trackflow", subject=user, time=EARNED_AT, data=ChallengeCompleted(**told)
    )


def answer(user: str, command_id: str = "claim-1", **changed: Any) -> AnswerOutcome:
    told: dict[str, Any] = {
        "command_id": command_id,
        "command": "claim_challenge",
        "status": "accepted",
        "reason": None,
        "message": "",
        "missing": [],
    } | changed
    identity = outcome_id(COMMAND_ANSWERED, "api", told["command"], user, scope=command_id)
    return AnswerOutcome(
        id=identity, source=COMMANDS_SOURCE, subject=user, time=EARNED_AT, data=CommandAnswered(**told)
    )


def catalog_record(version: int = 1, wider: bool = False, **changed: Any) -> CatalogRecord:
    metrics = [
        MetricSpec(key="released", kind="count", slot=RELEASED, feeds=[]),
        MetricSpec(key="login_streak", kind="streak", slot=STREAK, feeds=[]),
        *([MetricSpec(key="stars", kind="latest", slot=STARS, feeds=[])] if wider else []),
    ]
    told: dict[str, Any] = {
        "catalog": "trackflow",
        "version": version,
        "sha256": f"{version:064}",
        "timezone": "Europe/Paris",
        "headline_streak": "login_streak",
        "events": [],
        "metrics": metrics,
        "achievements": entries(),
    } | changed
    return record_of(CatalogProgram(**told), WIDER_LEDGER if wider else LEDGER)


def record_of(program: CatalogProgram, ledger: Ledger) -> CatalogRecord:
    return programs.record_of(program, ledger, "", f"{program.catalog}.yaml")


async def no_controls() -> dict[int, Control]:
    """Of a changelog without control records."""
    return {}


def entries() -> list[AchievementSpec]:
    both = All(of=[AtLeast(metric="released", at=10), AtLeast(metric="login_streak", at=7)])
    return [
        AchievementSpec(
            key="first_release",
            number=0,
            name="First Release",
            when=AtLeast(metric="released", at=1),
            icon="✨",
            points=10,
            order=1,
        ),
        AchievementSpec(
            key="loyal",
            number=1,
            name="Loyal",
            when=AtLeast(metric="login_streak", at=30),
            requires=["first_release"],
            secret=True,
        ),
        AchievementSpec(key="all_rounder", number=2, name="All Rounder", when=both, rarity="epic", points=100),
    ]


async def publish_catalog(settings: ProjectorSettings, record: CatalogRecord) -> None:
    async with producer(settings.kafka) as client:
        key = f"{record.catalog}/{record.version}".encode()
        await client.send_and_wait(settings.names.catalogs, encode_catalog_record(record), key, partition=0)


async def checkpoint(
    settings: ProjectorSettings,
    client: AIOKafkaProducer,
    partition: int,
    states: dict[str, bytes | None],
    versions: dict[str, int],
    **replays: ReplayNote,
) -> None:
    """What the processor writes of a partition: the control record and its users' states, in one transaction."""
    topic = settings.names.changelog
    control = encode_control(Control(catalogs=versions, replays=replays))
    async with client.transaction():
        await client.send(topic, control, CONTROL_KEY, partition=partition)
        for user, state in states.items():
            await client.send(topic, state, user.encode(), partition=partition)


def state(released: int, zone: str | None = None, stars: int | None = None, at: datetime = EARNED_AT) -> bytes:
    values = fresh_state(LEDGER if stars is None else WIDER_LEDGER)
    values[ZONE] = zone
    values[RELEASED : RELEASED + 3] = released, 0, at
    values[STREAK + 1 : STREAK + 4] = 20_000, 20_004, 9
    if stars is not None:
        values[STARS] = stars
    return encode_state(values)


async def hold_mid_batch(
    settings: ProjectorSettings, database: AsyncConnection, blocker: AsyncConnection, outcomes: Iterable[Outcome]
) -> None:
    """Publish these and hold their transaction, position and awards written, before its notifications."""
    await blocker.set_autocommit(False)
    await blocker.execute(b"lock table notification in exclusive mode")
    await publish_outcomes(settings, outcomes)

    async def waits() -> bool:
        query = b"select 1 from pg_stat_activity where application_name = %s and wait_event_type = 'Lock'"
        return bool(await (await database.execute(query, [session_of(settings)])).fetchall())

    await wait_until(waits, "the projector waits for the lock")


def session_of(settings: ProjectorSettings) -> str:
    """The name that pg_stat_activity shows of the session that writes awards."""
    return f"{settings.namespace} user_achievement"


@asynccontextmanager
async def projector_process(settings: ProjectorSettings, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A projector as a process of its own, killed on leaving if it still runs."""
    environment = {
        **os.environ,
        "LAUREL_KAFKA": settings.kafka,
        "LAUREL_POSTGRES": settings.postgres.get_secret_value(),
        "LAUREL_NAMESPACE": settings.namespace,
        **more,
    }
    argv = (sys.executable, "-m", "cli.main", "projector")
    process = await asyncio.create_subprocess_exec(*argv, env=environment, stderr=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
