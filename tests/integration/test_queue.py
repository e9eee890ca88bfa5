from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from cli.queue import app
from projections import notification_queue as queue
from projections.database import connect
from projections.migrations.runner import migration_files, upgrade
from projections.notification_queue import LeaseLost
from projections.settings import DatabaseSettings
from schemas.errors import LaurelError

pytestmark = pytest.mark.server


@pytest.fixture
def settings(servers, namespace) -> DatabaseSettings:
    found = DatabaseSettings(postgres=servers.postgres, namespace=namespace)
    with connect(found) as connection:
        upgrade(connection, found.names.postgres_schema, migration_files())
    return found


@pytest.fixture
def connection(settings):
    with connect(settings) as opened:
        yield opened


def notify(connection, count: int) -> None:
    connection.execute(
        "insert into notification (id, user_id, type, title, message, link, metadata, created_at) "
        "select gen_random_uuid(), 'user-' || n, 'achievement_unlocked', 'Title', 'Message', null, '{}', "
        "now() + n * interval '1 microsecond' from generate_series(1, %s) as n",
        [count],
    )
    connection.execute(
        "insert into notification_delivery (notification_id, subscriber, visible_at) "
        "select id, 'default', created_at - interval '1 second' from notification on conflict do nothing"
    )


def ids(claimed: queue.Claim) -> list[UUID]:
    return [each.notification_id for each in claimed.deliveries]


def states(connection) -> dict[str, int]:
    return dict(connection.execute("select state, count(*) from notification_delivery group by state").fetchall())


def make_due(connection) -> None:
    """As if every lease had ended and every pause were over."""
    connection.execute(
        "update notification_delivery set visible_at = now() - interval '1 second', "
        "lease_until = lease_until - interval '1 day' where state in ('pending', 'leased')"
    )


def test_what_is_claimed_is_hidden_from_others_until_the_lease_ends(connection):
    notify(connection, 3)
    first = queue.claim(connection, 2, 60)
    assert [each.user_id for each in first.deliveries] == ["user-1", "user-2"]
    assert [each.user_id for each in queue.claim(connection, 9, 60).deliveries] == ["user-3"]
    assert queue.claim(connection, 9, 60).deliveries == []

    make_due(connection)

    again = queue.claim(connection, 9, 60)
    assert len(again.deliveries) == 3
    assert {each.attempts for each in again.deliveries} == {2}


def test_acknowledged_deliveries_are_done_for_good(connection):
    notify(connection, 2)
    claimed = queue.claim(connection, 2, 60)

    queue.acknowledge(connection, claimed.lease, ids(claimed))

    make_due(connection)
    assert states(connection) == {"done": 2}
    assert queue.claim(connection, 9, 60).deliveries == []


def test_a_lease_that_somebody_else_took_over_can_no_longer_answer(connection):
    notify(connection, 2)
    late = queue.claim(connection, 2, 60)
    make_due(connection)
    queue.claim(connection, 1, 60)

    with pytest.raises(LeaseLost, match="1 of 2 deliveries"):
        queue.acknowledge(connection, late.lease, ids(late))
    with pytest.raises(LeaseLost):
        queue.give_back(connection, late.lease, ids(late), "too late")
    with pytest.raises(LeaseLost):
        queue.extend(connection, uuid4(), ids(late), 60)

    assert states(connection) == {"leased": 1, "done": 1}


def test_an_extended_lease_goes_on(connection):
    notify(connection, 1)
    claimed = queue.claim(connection, 1, 1)
    queue.extend(connection, claimed.lease, ids(claimed), 3600)

    assert connection.execute(
        "select lease_until = visible_at and visible_at > now() + interval '59 minutes' from notification_delivery"
    ).fetchone() == (True,)


def test_what_is_given_back_comes_again_after_a_growing_pause_and_ends_as_dead(connection):
    notify(connection, 1)
    longest = 0.0
    for attempt in range(1, queue.ATTEMPTS_MAX + 1):
        claimed = queue.claim(connection, 1, 60)
        assert [each.attempts for each in claimed.deliveries] == [attempt]
        queue.give_back(connection, claimed.lease, ids(claimed), f"refused {attempt}")
        (pause_s,) = connection.execute(
            "select extract(epoch from visible_at - now())::float8 from notification_delivery"
        ).fetchone()
        assert pause_s <= min(queue.BACKOFF_CAP_S, queue.BACKOFF_BASE_S * 2 ** (attempt - 1))
        longest = max(longest, pause_s)
        make_due(connection)

    assert longest > queue.BACKOFF_BASE_S
    assert queue.claim(connection, 1, 60).deliveries == []
    assert connection.execute("select state, attempts, last_error from notification_delivery").fetchall() == [
        ("dead", queue.ATTEMPTS_MAX, f"refused {queue.ATTEMPTS_MAX}")
    ]


def test_a_delivery_that_kills_whoever_claims_it_ends_as_dead_and_lets_others_pass(connection):
    notify(connection, 1)
    for _ in range(queue.ATTEMPTS_MAX):
        assert queue.claim(connection, 1, 60).deliveries
        make_due(connection)
    notify(connection, 1)

    passed = queue.claim(connection, 1, 60)

    assert len(passed.deliveries) == 1
    assert states(connection) == {"dead": 1, "leased": 1}


def test_claimers_at_once_and_one_that_dies_deliver_everything_and_nothing_twice(settings, connection):
    """The one that dies leaves its claim unanswered: it comes back when its lease ends, and only then."""
    notify(connection, 400)
    dead = queue.claim(connection, 20, 3600)
    sent: list[UUID] = []
    guard = threading.Lock()

    def drain() -> None:
        with connect(settings) as mine:
            while (claimed := queue.claim(mine, 15, 60)).deliveries:
                with guard:
                    sent.extend(ids(claimed))
                queue.acknowledge(mine, claimed.lease, ids(claimed))

    with ThreadPoolExecutor(3) as claimers:
        list(claimers.map(lambda _: drain(), range(3)))
    assert len(sent) == len(set(sent)) == 380
    assert not set(sent) & set(ids(dead))

    make_due(connection)
    drain()
    assert len(sent) == len(set(sent)) == 400
    assert states(connection) == {"done": 400}


def test_subscribers_do_not_take_from_each_other(connection):
    notify(connection, 1)
    assert queue.claim(connection, 9, 60, "webhooks").deliveries == []
    assert len(queue.claim(connection, 9, 60).deliveries) == 1


@pytest.mark.parametrize(("count", "seconds"), [(0, 60), (10_000, 60), (1, 0), (1, float("inf")), (1, -1)])
def test_a_claim_that_makes_no_sense_is_refused(connection, count, seconds):
    with pytest.raises(LaurelError, match="ask for"):
        queue.claim(connection, count, seconds)


def test_the_command_is_a_notification_service_of_its_own(settings, connection, monkeypatch):
    notify(connection, 3)
    monkeypatch.setenv("LAUREL_POSTGRES", settings.postgres.get_secret_value())
    monkeypatch.setenv("LAUREL_NAMESPACE", settings.namespace)

    def laurel_queue(*arguments: str):
        return CliRunner().invoke(app, [*arguments])

    claimed = json.loads(laurel_queue("claim", "-n", "2").stdout)
    first, second = (each["notification_id"] for each in claimed["deliveries"])
    assert claimed["deliveries"][0]["title"] == "Title"
    assert json.loads(laurel_queue("ack", claimed["lease"], first).stdout)["done"] == [first]
    assert laurel_queue("nack", claimed["lease"], second, "--error", "mailbox full").exit_code == 0
    assert isinstance(laurel_queue("ack", claimed["lease"], second).exception, LeaseLost)

    assert states(connection) == {"done": 1, "pending": 2}
    assert connection.execute("select last_error from notification_delivery where last_error <> ''").fetchall() == [
        ("mailbox full",)
    ]
