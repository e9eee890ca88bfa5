"""A projector that starts while its servers do waits for them, as the worker does, instead of ending for good."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import OperationalError

from broker.connections import unreachable
from projections import worker
from projections.settings import ProjectorSettings
from projections.worker import ServerLost, await_servers, project
from schemas.errors import Precondition


def settings(start_timeout_s: float) -> ProjectorSettings:
    return ProjectorSettings(kafka="127.0.0.1:1", postgres="postgresql://nobody", start_timeout_s=start_timeout_s)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "START_PAUSE_S", 0.01)


def failing(errors: list[Exception]) -> Any:
    """Raises one after the other, then nothing any more."""

    def check(*_: Any) -> None:
        if errors:
            raise errors.pop(0)

    return check


def answering(errors: list[Exception]) -> Any:
    check = failing(errors)

    async def ask(*_: Any) -> None:
        check()

    return ask


async def test_servers_that_are_starting_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our supervisor takes an exit with 4 for a final one: read models would stand still until somebody came."""
    away: list[Exception] = [OperationalError("the database system is starting up")] * 2
    deaf: list[Exception] = [unreachable("127.0.0.1:1")] * 2
    monkeypatch.setattr(worker, "check_schema", failing(away))
    monkeypatch.setattr(worker, "check_topics", answering(deaf))

    await await_servers(settings(60))

    assert not away
    assert not deaf


async def test_a_server_that_stays_away_is_a_precondition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "check_schema", failing([OperationalError("connection refused")] * 1000))

    with pytest.raises(Precondition, match="Postgres does not answer: connection refused; start it"):
        await await_servers(settings(0.05))


async def test_a_missing_migration_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Precondition("run `laurel db upgrade`")
    monkeypatch.setattr(worker, "check_schema", failing([missing]))

    with pytest.raises(Precondition) as refused:
        await await_servers(settings(60))

    assert refused.value is missing


async def test_a_broker_that_is_lost_later_is_a_reason_to_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "await_servers", answering([]))
    monkeypatch.setattr(worker, "serve_metrics", failing([]))
    monkeypatch.setattr(worker, "project_until", answering([unreachable("127.0.0.1:1")]))

    with pytest.raises(ServerLost) as lost:
        await project(settings(60))

    assert lost.value.exit_code == 70
