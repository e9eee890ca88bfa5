"""The registry of replays on a real Postgres: of two commands one wins, and every change leaves its trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from psycopg import AsyncConnection

from processor.replay.ports import Report
from projections.database import connect, connect_async
from projections.migrations.runner import migration_files, upgrade
from projections.settings import DatabaseSettings
from replays.registry import Registration, Registry
from schemas.errors import Precondition
from tests.servers import Servers

pytestmark = pytest.mark.server

WANTED = Registration(
    id="trackflow-v2-12345678",
    kind="fold_and_merge",
    catalog="trackflow",
    version=2,
    sha256="ab" * 32,
    notify="digest",
    policy="keep",
    dates="exact",
    from_versions={"trackflow": 1},
    muted=[("trackflow", "wanderer"), ("trackflow", "steps")],
    filling=[("trackflow", "steps")],
    plan={"why": "a new metric"},
    partitions=2,
)


@pytest.fixture
def settings(servers: Servers, namespace: str, monkeypatch: pytest.MonkeyPatch) -> DatabaseSettings:
    monkeypatch.setenv("LAUREL_WHO", "ada")
    found = DatabaseSettings(postgres=servers.postgres, namespace=namespace)
    with connect(found) as connection:
        upgrade(connection, found.names.postgres_schema, migration_files())
    return found


@pytest.fixture
async def connection(settings: DatabaseSettings) -> AsyncIterator[AsyncConnection]:
    opened = await connect_async(settings, "test")
    yield opened
    await opened.close()


@pytest.fixture
def registry(connection: AsyncConnection) -> Registry:
    return Registry(connection)


async def trace(connection: AsyncConnection) -> list[tuple[str, ...]]:
    cursor = await connection.execute(b"select who, verb, replay_id, sha256 from replay_audit order by id")
    return [tuple(row) for row in await cursor.fetchall()]


async def held(connection: AsyncConnection) -> list[tuple[str, ...]]:
    cursor = await connection.execute(b"select catalog, name, replay_id from replay_metric order by 1, 2")
    return [tuple(row) for row in await cursor.fetchall()]


async def test_starting_a_replay_twice_shows_the_first(connection: AsyncConnection, registry: Registry) -> None:
    """With other options under the same id too: what was started stands."""
    first = await registry.start(WANTED)

    second = await registry.start(replace(WANTED, notify="all", partitions=4))

    assert second == first
    assert (first.status, first.who, first.muted, first.filling) == (
        "running",
        "ada",
        [("trackflow", "wanderer"), ("trackflow", "steps")],
        [("trackflow", "steps")],
    )
    assert await trace(connection) == [("ada", "start", WANTED.id, "ab" * 32)]
    assert await held(connection) == [("trackflow", "steps", WANTED.id), ("trackflow", "wanderer", WANTED.id)]


async def test_of_two_replays_on_one_metric_the_second_is_refused_with_the_firsts_id(
    connection: AsyncConnection, registry: Registry
) -> None:
    """And leaves nothing behind, not even what it could have had."""
    await registry.start(WANTED)
    other = replace(WANTED, id="other", muted=[("trackflow", "homebody")])

    with pytest.raises(Precondition, match=f"'steps' of catalog 'trackflow' belongs to replay '{WANTED.id}'"):
        await registry.start(other)

    assert [replay.id for replay in await registry.listed()] == [WANTED.id]
    assert len(await held(connection)) == 2


async def test_two_replays_that_start_at_the_same_moment_do_not_both_get_a_metric(
    settings: DatabaseSettings,
) -> None:
    async with await connect_async(settings, "one") as one, await connect_async(settings, "two") as two:
        wanted = [replace(WANTED, id=f"r{number}") for number in range(2)]
        started = await asyncio.gather(
            Registry(one).start(wanted[0]), Registry(two).start(wanted[1]), return_exceptions=True
        )

        refusals = [each for each in started if isinstance(each, Precondition)]
        assert len(refusals) == 1
        (winner,) = await Registry(one).listed()
        assert f"belongs to replay '{winner.id}'" in str(refusals[0])


async def test_either_cancel_or_decide_wins_and_the_other_says_why_not(
    connection: AsyncConnection, registry: Registry
) -> None:
    await registry.start(WANTED)
    assert await registry.decide(WANTED.id) == "activating"
    assert await registry.decide(WANTED.id) == "activating", "another job of the same replay goes on"

    with pytest.raises(Precondition, match=r"cannot cancel replay .* it is decided, and gives its awards"):
        await registry.cancel(WANTED.id)

    await registry.start(replace(WANTED, id="other", muted=[("trackflow", "x")], filling=[]))
    await registry.cancel("other")
    assert await registry.decide("other") == "cancelling"


async def test_a_replay_gives_its_metrics_back_when_it_is_cancelled_everywhere_and_not_before(
    connection: AsyncConnection, registry: Registry
) -> None:
    await registry.start(WANTED)
    await registry.cancel(WANTED.id)
    assert len(await held(connection)) == 2
    assert await registry.under_way() == [WANTED.id]

    await registry.end(WANTED.id, "cancelled")

    assert await held(connection) == []
    assert (await registry.cancel(WANTED.id)).status == "cancelled", "once more changes nothing"
    again = await registry.start(replace(WANTED, id="again"))
    assert again.status == "running"
    verbs = [verb for _, verb, *_ in await trace(connection)]
    assert verbs == ["start", "cancel", "forget", "start"]


async def test_a_paused_replay_waits_until_it_is_resumed(registry: Registry) -> None:
    await registry.start(WANTED)

    assert (await registry.pause(WANTED.id)).status == "paused"
    assert (await registry.pause(WANTED.id)).status == "paused"
    assert await registry.under_way() == []
    assert await registry.decide(WANTED.id) == "paused"
    assert (await registry.resume(WANTED.id)).status == "running"


async def test_a_failed_replay_says_why_and_goes_on_where_it_was(registry: Registry) -> None:
    """Behind its decision it can only go on: some partitions may give awards already."""
    await registry.start(WANTED)
    await registry.end(WANTED.id, "failed", "the log begins at 40")
    failed = await registry.get(WANTED.id)
    assert (failed.status, failed.failure) == ("failed", "the log begins at 40")
    assert (await registry.resume(WANTED.id)).status == "running"
    await registry.decide(WANTED.id)
    await registry.end(WANTED.id, "failed", "no space")

    with pytest.raises(Precondition, match="cannot cancel"):
        await registry.cancel(WANTED.id)
    assert (await registry.resume(WANTED.id)).status == "activating"
    await registry.end(WANTED.id, "done")
    assert (await registry.get(WANTED.id)).ended_at is not None


async def test_what_becomes_of_older_awards_is_kept_beside_the_replay(
    connection: AsyncConnection, registry: Registry
) -> None:
    await registry.start(replace(WANTED, policy="legacy", retired=["walker", "badge/gold"]))

    cursor = await connection.execute(b"select achievement, tier, version, policy from award_policy order by 1")
    assert await cursor.fetchall() == [("badge", "gold", 2, "legacy"), ("walker", None, 2, "legacy")]


async def test_how_far_a_replay_is_shows_the_last_report_of_each_partition(registry: Registry) -> None:
    await registry.start(WANTED)
    await registry.show(WANTED.id, Report(0, "folding", 10, 100, 3, None))
    await registry.show(WANTED.id, Report(0, "folding", 50, 100, 3, 40.0))

    (shown,) = await registry.progress(WANTED.id)
    assert shown[:-1] == (0, "folding", 50, 100, 3, 40.0)


async def test_silence_is_counted_from_the_last_command_or_report(
    connection: AsyncConnection, registry: Registry
) -> None:
    await registry.start(WANTED)
    await connection.execute(b"update replay_audit set at = now() - interval '100 seconds'")
    assert await registry.still_s(WANTED.id) >= 100

    await registry.show(WANTED.id, Report(0, "filling", 10, 100, 3, None))
    assert await registry.still_s(WANTED.id) < 100


async def test_an_unknown_replay_is_refused_with_where_to_look(registry: Registry) -> None:
    with pytest.raises(Precondition, match="there is no replay 'nobody': `laurel replay status` lists"):
        await registry.pause("nobody")


async def test_what_is_folded_late_waits_for_a_replay_that_would_not_see_it(registry: Registry) -> None:
    await registry.start(WANTED)

    await registry.refuse_among("late", ["songs"])
    with pytest.raises(Precondition, match=f"replay '{WANTED.id}' of catalog 'trackflow', which reads this topic"):
        await registry.refuse_among("late", ["songs", "trackflow"])
    await registry.cancel(WANTED.id)
    await registry.end(WANTED.id, "cancelled")
    await registry.refuse_among("late", ["trackflow"])


async def test_who_publishes_and_who_starts_a_replay_wait_for_each_other(
    settings: DatabaseSettings, registry: Registry
) -> None:
    async with await connect_async(settings, "publisher") as publisher:
        async with Registry(publisher).alone():
            starting = asyncio.ensure_future(registry.start(WANTED))
            done, _ = await asyncio.wait([starting], timeout=0.2)
            assert not done
        assert (await starting).status == "running"
