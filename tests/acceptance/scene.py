"""One run for the whole acceptance table: everybody's events go through one pipeline with all catalogs at once.

A test module says who does what: `STORIES`, by catalog and person, and `AFTERWARDS`, what they do once all of that
can be seen. `CATALOGS` are further ones, that only its tests need. What came of it is read from the read models.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection
from psycopg.rows import dict_row
from pydantic import SecretStr

from broker.connections import producer
from broker.positions import Positions
from broker.producing import Outgoing, Publisher
from cli.catalog_files import CatalogFile
from cli.settings import Settings
from cli.stack.pipeline import prepare
from cli.visibility import wait_until_visible
from progress.overview import Overview, overview
from progress.queries import read_person, read_programs
from progress.standing import Standing
from projections.database import connect
from schemas.state import CONTROL_KEY
from tests.acceptance.pipeline import PARTITIONS, STILL_S_MAX, WAIT_S, Projector, silent
from tests.integration.processors import REPOSITORY, Stage, records, workers_of
from tests.servers import Servers

BUNDLED = ("badges", "platform", "learning", "interview", "trackflow")
MONDAY = datetime(2025, 3, 3, 10, tzinfo=UTC)
EVENING = MONDAY + timedelta(hours=8)
CLAIM = "claim_challenge"


class Step(NamedTuple):
    """Something that somebody does. Shapes: without an id it gets one that no other event has."""

    type: str
    data: Mapping[str, Any] = {}
    at: datetime = MONDAY
    zone: str | None = None
    id: str | None = None


Stories = Mapping[str, Mapping[str, Sequence[Step]]]


def some(count: int, kind: str, id_field: str | None = None, /, **data: Any) -> list[Step]:
    """As many of a kind, about as many things: `{id_field: "1"}`, `{id_field: "2"}`, …"""
    return [Step(kind, data | ({id_field: str(n)} if id_field else {})) for n in range(1, count + 1)]


def days(count: int, kind: str, /, **data: Any) -> list[Step]:
    """One a day, from Monday on."""
    return [Step(kind, data, MONDAY + timedelta(n)) for n in range(count)]


class Scene:
    """What the read models say after the run."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection: Connection = connect(settings.database)
        self.programs = {program.catalog: program for program in read_programs(self.connection)}

    def rows(self, query: str, **named: object) -> list[dict[str, Any]]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), named).fetchall()

    def row(self, query: str, **named: object) -> dict[str, Any]:
        (row,) = self.rows(query, **named)
        return row

    def awards(self, catalog: str, user: str) -> dict[str, dict[str, Any]]:
        """What is held, `key`, `key/tier` or `key:scope`."""
        rows = self.rows(
            "select * from user_award where catalog = %(catalog)s and user_id = %(user)s",
            catalog=catalog,
            user=user,
        )
        return {named(row): row for row in rows}

    def metrics(self, catalog: str, user: str) -> dict[str, Any]:
        row = self.row("select metrics from user_progress where user_id = %(user)s", user=user)
        metrics: dict[str, Any] = row["metrics"][catalog]
        return metrics

    def standing(self, catalog: str, user: str, now: datetime = EVENING) -> Standing:
        return Standing(self.programs[catalog], read_person(self.connection, user, catalog), now)

    def told(self, catalog: str, user: str, now: datetime = EVENING) -> Overview:
        """All that is told of a user, at that moment."""
        return overview(self.standing(catalog, user, now))

    def progress(self, catalog: str, user: str, key: str, now: datetime = EVENING) -> dict[str, Any]:
        """As a program gets it in JSON."""
        (told,) = [each for each in self.told(catalog, user, now).achievements if each.key == key]
        plain: dict[str, Any] = msgspec.to_builtins(told)
        return plain


def assert_rung(scene: Scene, catalog: str, users: tuple[str, str], key: str, ladder: Mapping[str, int]) -> None:
    """Held at its threshold with all below it on the ladder, and not one below.

    Shapes: users, who is there and who is one short; ladder, key -> threshold.
    """
    (there, below), at = users, ladder[key]
    awards = scene.awards(catalog, there)
    assert {each for each in ladder if each in awards} == {each for each in ladder if ladder[each] <= at}
    assert awards[key]["progress_at_unlock"] == at

    assert key not in scene.awards(catalog, below)
    now = MONDAY + timedelta(max(0, at - 2))  # within the run of who logged in day by day
    short = scene.progress(catalog, below, key, now)
    assert (short["earned"], short["current"], short["target"]) == (False, at - 1, at)
    assert short["percent"] == (at - 1) * 100 // at


def named(row: Mapping[str, Any]) -> str:
    tier, scope = row["tier"], row["scope"]
    return f"{row['achievement']}{f'/{tier}' if tier else ''}{f':{scope}' if scope else ''}"


# --- the run ---


def play(servers: Servers, namespace: str, folder: Path, modules: Iterable[ModuleType]) -> Settings:
    """Until all that these modules' people do can be seen."""
    settings = Settings(
        kafka=servers.kafka, postgres=SecretStr(servers.postgres), namespace=namespace, partitions=PARTITIONS
    )
    played = [*modules]
    prepare(settings, [*catalogs_of(namespace, played)])
    stage = Stage(servers.kafka, settings.names, topic_of(namespace, BUNDLED[0]))
    with workers_of(stage, folder) as workers:
        workers.start()
        projector = Projector(settings, servers.postgres, folder / "projector.log")
        try:
            asyncio.run(_publish_all(settings, played))
        finally:
            projector.stop()
    return settings


def catalogs_of(namespace: str, modules: Iterable[ModuleType]) -> Iterator[CatalogFile]:
    """On topics that no other test has."""
    texts = {name: (REPOSITORY / "catalogs" / f"{name}.yaml").read_text(encoding="utf-8") for name in BUNDLED}
    for module in modules:
        texts |= getattr(module, "CATALOGS", {})
    for name, text in texts.items():
        yield CatalogFile(text.replace(f"{name}.activity", topic_of(namespace, name)), f"{name}.yaml")


def topic_of(namespace: str, catalog: str) -> str:
    return f"{namespace}.{catalog}.activity"


async def _publish_all(settings: Settings, modules: list[ModuleType]) -> None:
    for part in ("STORIES", "AFTERWARDS"):
        stories = [getattr(module, part) for module in modules if hasattr(module, part)]
        ends = await _publish(settings, [*_outgoing(settings, part, stories)])
        await asyncio.wait_for(wait_until_visible(settings, ends, silent, STILL_S_MAX), WAIT_S)


def _outgoing(settings: Settings, part: str, modules: Iterable[Stories]) -> Iterator[Outgoing]:
    for stories in modules:
        for catalog, people in stories.items():
            for user, steps in people.items():
                for number, step in enumerate(steps):
                    yield _record(settings, catalog, user, step, f"{part}/{user}/{number}")


def _record(settings: Settings, catalog: str, user: str, step: Step, identity: str) -> Outgoing:
    event = {
        "specversion": "1.0",
        "id": step.id or identity,
        "source": "/acceptance",
        "type": step.type,
        "subject": user,
        "time": step.at.isoformat(),
        "data": step.data,
    } | ({"timezone": step.zone} if step.zone else {})
    topic = settings.names.commands if step.type == CLAIM else topic_of(settings.namespace, catalog)
    return Outgoing(topic, user.encode(), json.dumps(event).encode())


async def _publish(settings: Settings, records: list[Outgoing]) -> Positions:
    async with producer(settings.kafka) as client:
        publisher = Publisher(client, {record.topic: PARTITIONS for record in records})
        await publisher.send_all(records)
    return publisher.ends


# --- what stands in the log ---


class Logged(NamedTuple):
    """A record. Shapes: place is partition and offset."""

    place: tuple[int, int]
    value: dict[str, Any]


def states_of(scene: Scene) -> dict[str, list[bytes]]:
    """Every state that was written of a user, in order."""
    stage = Stage(scene.settings.kafka, scene.settings.names, "")
    states: dict[str, list[bytes]] = {}
    for _, record in asyncio.run(records(stage, scene.settings.names.changelog)):
        if record.key != CONTROL_KEY:
            states.setdefault((record.key or b"").decode(), []).append(record.value or b"")
    return states


async def logged(settings: Settings, topic: str) -> list[Logged]:
    """All committed records of a topic."""
    stage = Stage(settings.kafka, settings.names, topic)
    return [
        Logged((partition, record.offset), json.loads(record.value or b"{}"))
        for partition, record in await records(stage, topic)
    ]
