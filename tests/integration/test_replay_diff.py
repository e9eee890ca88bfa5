"""What `laurel replay diff` tells of awards that a replay gave, took, and gave again of another day."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from broker.reading import Batch
from cli.replay.diff import diff_told
from projections.database import connect, connect_async
from projections.migrations.runner import migration_files, upgrade
from projections.settings import ProjectorSettings
from projections.user_achievement import UserAchievementProjection
from replays.comparing import Changed, Diff, Tally, diff
from replays.registry import registry_of
from schemas.outcomes import AnyOutcome, CatalogReason, Outcome, RevokedOutcome, encode_outcome
from schemas.records import PlainRecord
from tests.integration import projections as given

pytestmark = pytest.mark.server

EARLIER = given.EARNED_AT - timedelta(days=40)
REPLAY = {
    "id": "r",
    "status": "done",
    "muted": Jsonb([["trackflow", "loyal"]]),
}
INSERT = b"""
insert into replay (
    id, status, kind, catalog, version, sha256, notify, policy, dates, from_versions, muted, filling, plan,
    partitions, who, decided_at
)
values (
    %(id)s, %(status)s, 'sweep', 'trackflow', 2, '', 'none', 'revoke', 'exact', '{"trackflow": 1}', %(muted)s, '[]',
    '{}', 1, 'ada', now()
)
"""


def replayed(user: str, achievement: str, **told: Any) -> Outcome:
    return given.outcome(user, achievement, origin="replay", replay_id="r", catalog_version=2, **told)


def taken(ended: Outcome, version: int = 2) -> RevokedOutcome:
    return given.revocation(ended, reasons=[CatalogReason(catalog_version=version)])


def happened() -> list[AnyOutcome]:
    """Ann gains two and loses one. Bob's rule gave him another day than before. Cleo lost hers by an older version,
    and Dan by an event: neither is of this replay."""
    kept, ann_had = given.outcome("ann"), given.outcome("ann", "veteran", points=100)
    bob_had = given.outcome("bob", "veteran", points=100)
    cleo_had, dan_had = given.outcome("cleo", "veteran", points=100), given.outcome("dan", "veteran", points=100)
    return [
        *(kept, ann_had, bob_had, cleo_had, dan_had),
        *(taken(ann_had), taken(bob_had), taken(cleo_had, version=1), given.revocation(dan_had)),
        replayed("ann", "loyal", points=25, earned_at=EARLIER),
        replayed("ann", "badge", tier="gold", points=5),
        replayed("bob", "loyal", points=25),
        replayed("bob", "veteran", points=100, n=1, earned_at=EARLIER),
    ]


@pytest.fixture
async def told(servers: Any, namespace: str) -> AsyncIterator[Diff]:
    settings = given.settings_of(servers, namespace)
    with connect(settings) as connection:
        upgrade(connection, settings.names.postgres_schema, migration_files())
    async with await connect_async(settings, "test") as writing:
        await writing.execute(INSERT, REPLAY)
        await write(settings, writing, happened())
    async with registry_of(settings) as registry:
        replay = await registry.get("r")
    with connect(settings) as connection:
        yield diff(connection, replay, 9)


async def write(settings: ProjectorSettings, connection: AsyncConnection, outcomes: list[AnyOutcome]) -> None:
    projection = UserAchievementProjection(settings.names)
    await projection.prepare(connection)
    records = [PlainRecord(at, 0, b"key", encode_outcome(each)) for at, each in enumerate(outcomes)]
    rows = await projection.decode([Batch(projection.topic, 0, 0, len(records), records)])
    async with connection.transaction():
        await projection.write(connection, rows)


async def test_gained_lost_and_shifted_are_told_by_achievement_in_points_and_by_user(told: Diff) -> None:
    """Before: 10 of Ann's first release and both veterans. After: 10, 5, 50 and Bob's veteran."""
    assert told.gained == [Tally("badge/gold", 1, 1, 5), Tally("loyal", 2, 2, 50), Tally("veteran", 1, 1, 100)]
    assert told.lost == [Tally("veteran", 2, 2, 200)]
    assert told.shifted == [Tally("veteran", 1, 1, 0)]
    assert (told.unchanged, told.points_before, told.points_after) == (1, 210, 165)
    assert told.inflation == -0.2143
    assert (told.users, sorted(told.sample)) == (2, ["ann", "bob"])
    assert told.sample["bob"] == [
        Changed("veteran", "", EARLIER, 100, True),
        Changed("loyal", "", given.EARNED_AT, 25, True),
        Changed("veteran", "", given.EARNED_AT, 100, False),
    ]
    lines = [*diff_told(told)]
    assert "lost: veteran by 2 users" in lines
    assert "of another date: veteran by 1 users" in lines
    assert (
        "  bob: +veteran 2026-01-23T05:06:07Z, +loyal 2026-03-04T05:06:07Z, -veteran 2026-03-04T05:06:07Z" in lines
    )
