"""What goes wrong on the projector's side of Postgres. Whatever it was, the read models come to what was published:
each award once, one notification and one delivery of each.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from psycopg import OperationalError
from pydantic import SecretStr
from structlog.testing import capture_logs

from broker.connections import producer
from cli.faults.loop import BackgroundLoop
from cli.faults.proxy import CommitReplies, Proxy
from cli.stack import LocalStack
from projections.database import SESSION
from projections.decoding import RESTART
from projections.notification import notification_id
from projections.settings import ProjectorSettings
from schemas.outcomes import Outcome
from tests.integration import projections as given

pytestmark = pytest.mark.server

WRITTEN = ("projection_position", "user_achievement", "notification", "notification_delivery")
SHORT = "300ms"
FAILED = "database failed"


async def test_backends_terminated_in_the_middle_of_batches_double_nothing(settings, database):
    """Their transactions are gone; the batches are read again from the position in Postgres."""
    published = []
    async with given.projecting(settings):
        for name in ("first", "second", "third"):
            async with given.reading(settings) as blocker:
                published += given.outcomes(30, of=name)
                await given.hold_mid_batch(settings, database, blocker, published[-30:])
                await database.execute(
                    b"select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s",
                    [given.session_of(settings)],
                )
        await given.wait_for_end(settings, database, settings.names.outcomes)

    await expect(database, published)


async def test_a_database_that_is_killed_and_comes_back_has_what_was_published(servers, namespace):
    """A crash and its recovery, while outcomes keep coming."""
    published = given.outcomes(3_000)
    with LocalStack(ephemeral=True, environ={"LAUREL_KAFKA": servers.kafka}) as stack:
        settings = ProjectorSettings(kafka=stack.kafka, postgres=SecretStr(stack.postgres), namespace=namespace)
        await given.prepare(settings)
        async with given.projecting(settings):
            await given.publish_outcomes(settings, published[:1_000])
            async with given.reading(settings) as database:
                await given.wait_for_rows(database, "user_achievement", 1)
            os.kill(stack.children["postgres"].pid, signal.SIGKILL)
            await given.publish_outcomes(settings, published[1_000:])
            async with reading_again(settings) as database:
                await given.wait_for_end(settings, database, settings.names.outcomes)
                await expect(database, published)


async def test_a_statement_that_takes_too_long_is_tried_again(settings, database, monkeypatch):
    monkeypatch.setitem(SESSION, "statement_timeout", SHORT)
    published = given.outcomes(30)
    with capture_logs() as logs:
        async with given.reading(settings) as blocker, given.projecting(settings):
            await given.hold_mid_batch(settings, database, blocker, published)
            await given.wait_until(lambda: failed(logs, "statement timeout", 2), "two batches are given up")
            await blocker.rollback()
            await given.wait_for_end(settings, database, settings.names.outcomes)

    await expect(database, published)


@pytest.mark.parametrize("table", WRITTEN)
async def test_a_lock_that_somebody_keeps_is_waited_for_again_and_again(settings, database, monkeypatch, table):
    monkeypatch.setitem(SESSION, "lock_timeout", SHORT)
    published = given.outcomes(30)
    with capture_logs() as logs:
        async with given.reading(settings) as blocker, given.projecting(settings):
            await given.wait_until(lambda: settled(logs), "the projector knows where to begin")
            await blocker.set_autocommit(False)
            await blocker.execute(f"lock table {table} in exclusive mode".encode())
            await given.publish_outcomes(settings, published)
            await given.wait_until(lambda: failed(logs, "lock timeout", 2), "two batches are given up")
            await blocker.rollback()
            await given.wait_for_end(settings, database, settings.names.outcomes)

    await expect(database, published)


async def test_a_commit_whose_answer_is_lost_was_done_once(settings, database):
    """Postgres has committed, the connection ends before it says so: awards and progress alike."""
    published, transactional_id = [], f"{settings.namespace}-p"
    await given.publish_catalog(settings, given.catalog_record())
    with lossy(settings) as (proxied, proxy):
        async with given.projecting(proxied), producer(settings.kafka, transactional_id=transactional_id) as client:
            for number in range(5):
                proxy.losses_wanted += 1
                published += given.outcomes(20, of=f"round-{number}")
                await given.publish_outcomes(settings, published[-20:])
                states = {"ada": given.state(number), f"user-{number}": given.state(1)}
                await given.checkpoint(settings, client, 0, states, {"trackflow": 1})
                await given.wait_for_end(settings, database, settings.names.outcomes)
                await given.wait_for_end(settings, database, settings.names.changelog)
        assert proxy.lost == 5

    await expect(database, published)
    progress = dict(
        await given.rows(database, "select user_id, metrics #> '{trackflow,released}' from user_progress")
    )
    assert progress == {"ada": 4, **{f"user-{number}": 1 for number in range(5)}}


async def test_of_two_projectors_on_a_partition_the_one_that_was_away_ends(settings, database):
    """Frozen with a batch in its hands, and awake again when another has its partitions and has written it."""
    published = given.outcomes(60)
    async with given.projector_process(settings, LAUREL_FAILPOINT="projection.2=freeze") as away:
        await given.publish_outcomes(settings, published[:30])
        await given.wait_until(lambda: frozen(away.pid), "the projector is frozen in the middle of a batch")
        async with given.projecting(settings):
            await given.publish_outcomes(settings, published[30:])
            await given.wait_for_end(settings, database, settings.names.outcomes)
            away.send_signal(signal.SIGCONT)
            said = await asyncio.wait_for(away.stderr.read(), given.WAIT_S)
            assert await away.wait() == RESTART
            assert b"another projector took over" in said
            await given.publish_outcomes(settings, given.outcomes(10, of="after"))
            await given.wait_for_end(settings, database, settings.names.outcomes)

    await expect(database, [*published, *given.outcomes(10, of="after")])


async def expect(database: given.AsyncConnection, published: Sequence[Outcome]) -> None:
    """The read models say what was published: nothing is missing, nothing more is there, nothing stands twice."""
    awards = [(each.id, each.subject, each.data.points) for each in published]
    told = [notification_id(each.id) for each in published]
    queued = "select notification_id::text from notification_delivery where state = 'pending'"
    assert sorted(await given.rows(database, "select id::text, user_id, points from user_achievement")) == sorted(
        awards
    )
    assert sorted(await given.rows(database, "select id::text from notification")) == sorted((id,) for id in told)
    assert sorted(await given.rows(database, queued)) == sorted((id,) for id in told)


async def failed(logs, why: str, times: int) -> bool:
    return sum(line["event"] == FAILED and why in line["error"] for line in logs) >= times


async def settled(logs) -> bool:
    return any(line["event"] == "reads" and line["projection"] == "user_achievement" for line in logs)


async def frozen(pid: int) -> bool:
    stat = await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_text)
    return stat.rpartition(") ")[2].startswith("T")


@contextmanager
def lossy(settings: ProjectorSettings) -> Iterator[tuple[ProjectorSettings, Proxy]]:
    """These settings with Postgres behind a proxy that can lose the answers to COMMIT."""
    url = urlsplit(settings.postgres.get_secret_value())
    credentials, _, address = url.netloc.rpartition("@")
    host, _, port = address.partition(":")
    with BackgroundLoop() as loop:
        proxy = Proxy(loop, CommitReplies)
        proxy.upstream = host, int(port)
        through = urlunsplit(url._replace(netloc=f"{credentials}@{host}:{proxy.port}"))
        try:
            yield settings.model_copy(update={"postgres": SecretStr(through)}), proxy
        finally:
            proxy.close()


@asynccontextmanager
async def reading_again(settings: ProjectorSettings) -> AsyncIterator[given.AsyncConnection]:
    """A session with a database that is coming back."""

    async def answers() -> bool:
        try:
            async with given.reading(settings):
                return True
        except OperationalError:
            return False

    await given.wait_until(answers, "Postgres answers again")
    async with given.reading(settings) as connection:
        yield connection
