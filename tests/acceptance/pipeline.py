"""What the acceptance tests share: files of events, whole pipelines in processes of their own, and what these show.

Several files share a pipeline: each is about people of its own, whose ids begin with the file's name.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection
from pydantic import SecretStr

from bench import reference
from bench.reference import Award, Result
from broker.connections import producer
from broker.positions import Positions, last_stable_offsets
from broker.producing import Outgoing, Publisher
from broker.topics import places_of
from cli.catalog_files import CatalogFile
from cli.settings import Settings
from cli.simulation.year import simulate
from cli.stack.pipeline import prepare
from cli.visibility import wait_until_visible
from projections.database import connect
from tests.integration.processors import REPOSITORY, Stage, Worker, Workers, records, workers_of
from tests.processes import Forked
from tests.servers import Servers

PARTITIONS = 4
WAIT_S = 120.0
STILL_S_MAX = 60.0
POLL_S = 0.05
CATALOG = (REPOSITORY / "catalogs" / "trackflow.yaml").read_text(encoding="utf-8")
UNDOING = ("collaborator_removed", "song_deleted", "song_unauthored", "song_unreleased")

Event = dict[str, Any]


# --- files of events, and what they come to ---


@cache
def whole_file() -> list[Event]:
    """A simulated file as it comes: undo, repeated ids, late events, journeys."""
    return list(simulate(users=50, days=90, seed=2))


@cache
def growing_file() -> list[Event]:
    """The same without undo events and without repeated ids."""
    once = {event["id"]: event for event in whole_file()}
    return [event for event in once.values() if event["type"] not in UNDOING]


@cache
def whole_result() -> Result:
    return reference.fold(whole_file(), [CATALOG])


@cache
def growing_result() -> Result:
    return reference.fold(growing_file(), [CATALOG])


def shuffled(events: Sequence[Event]) -> list[Event]:
    return random.Random(5).sample(events, len(events))


def every_tenth_repeated(events: Sequence[Event]) -> list[Event]:
    """As a publisher does that heard no answer."""
    return [event for number, each in enumerate(events) for event in [each] * (2 if number % 10 == 9 else 1)]


def about(people: str, events: Iterable[Event]) -> list[Event]:
    """The same file about other people."""
    return [_about(people, event) for event in events]


def _about(people: str, event: Event) -> Event:
    data = event["data"]
    if "collaborator_id" in data:
        data = data | {"collaborator_id": f"{people}/{data['collaborator_id']}"}
    return event | {"subject": f"{people}/{event['subject']}", "data": data}


class Shown(NamedTuple):
    """What Postgres shows of one file's people, under the names that they have in the file."""

    awards: dict[Award, datetime]
    metrics: dict[str, Any]
    points: dict[str, int]

    def dated(self) -> dict[Award, datetime]:
        """The awards whose date is a function of the file.

        What hangs on derived events is not: these come from several partitions, in any order.
        """
        undated = growing_result().undated | whole_result().undated
        return {award: earned_at for award, earned_at in self.awards.items() if award not in undated}


def shown_by(result: Result) -> Shown:
    points = {user: of_catalog["trackflow"] for user, of_catalog in result.points.items()}
    return Shown(result.awards, result.metrics, points)


def assert_equal(shown: Shown, expected: Shown) -> None:
    assert shown.awards.keys() == expected.awards.keys()
    assert shown.dated() == expected.dated()
    assert shown.metrics == expected.metrics
    assert shown.points == expected.points


# --- a pipeline ---


class Projector:
    """A `laurel projector` in a process of its own."""

    def __init__(self, settings: Settings, postgres: str, log: Path) -> None:
        options = {
            "LAUREL_KAFKA": settings.kafka,
            "LAUREL_POSTGRES": postgres,
            "LAUREL_NAMESPACE": settings.namespace,
        }
        self.process = Forked(["cli.main", "projector"], options, log, log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """It leaves its group, so that the next one need not wait until it is given up."""
        self.process.terminate()
        self.process.wait()


class Pipeline:
    """A namespace with TrackFlow on a topic of its own, its processes, and its read models."""

    def __init__(self, servers: Servers, namespace: str, folder: Path, workers: Workers) -> None:
        self.settings = settings_of(servers, namespace)
        self.stage = stage_of(servers, namespace)
        self._postgres, self._folder, self._workers = servers.postgres, folder, workers
        self.projectors: list[Projector] = []

    def start_worker(self, **environment: str) -> Worker:
        return self._workers.start(**environment)

    def start_projector(self) -> Projector:
        log = self._folder / f"projector-{len(self.projectors)}.log"
        self.projectors.append(Projector(self.settings, self._postgres, log))
        return self.projectors[-1]

    async def publish(self, events: Iterable[Event]) -> Positions:
        """The positions behind the events."""
        async with producer(self.settings.kafka) as client:
            publisher = Publisher(client, {self.stage.source: PARTITIONS})
            await publisher.send_all(self.outgoing(events))
        return publisher.ends

    async def publish_among_aborted(self, events: Sequence[Event], size: int) -> Positions:
        """In transactions; behind each of them an aborted one, whose events would all count if they were read."""
        async with producer(self.settings.kafka, transactional_id=f"{self.stage.source}.publisher") as client:
            publisher = Publisher(client, {self.stage.source: PARTITIONS})
            for start in range(0, len(events), size):
                part = events[start : start + size]
                await publisher.commit(self.outgoing(part))
                await publisher.abort(self.outgoing(event | {"id": f"aborted-{event['id']}"} for event in part))
        return publisher.ends

    def outgoing(self, events: Iterable[Event]) -> Iterable[Outgoing]:
        return (
            Outgoing(self.stage.source, event["subject"].encode(), json.dumps(event).encode()) for event in events
        )

    async def visible(self, ends: Positions) -> None:
        """As `laurel publish --wait` waits."""
        await asyncio.wait_for(wait_until_visible(self.settings, ends, silent, STILL_S_MAX), WAIT_S)

    async def until(self, true: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not await true():
            assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what}"
            await asyncio.sleep(POLL_S)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            return connection.execute(query.encode(), values).fetchall()

    def connection(self) -> Connection:
        return connect(self.settings.database)

    def shown(self, people: str) -> Shown:
        """Raises: AssertionError when an award is there twice."""
        prefix = f"{people}/"
        awards = self.rows(AWARDS, prefix)
        dated = {(user.removeprefix(prefix), *award): earned_at for user, *award, earned_at in awards}
        assert len(dated) == len(awards)
        return Shown(
            dated,
            {user.removeprefix(prefix): metrics for user, metrics in self.rows(METRICS, prefix)},
            {user.removeprefix(prefix): points for user, points in self.rows(POINTS, prefix)},
        )

    def ids(self, query: str) -> list[str]:
        """The only column, in order."""
        return sorted(f"{identity}" for (identity,) in self.rows(query))

    async def is_projected(self) -> bool:
        """Whether every projection stands where the committed records of its topic end, markers included."""
        positions = self.rows("select topic, partition, min(next_position) from projection_position group by 1, 2")
        names = self.stage.names
        places = await places_of(self.settings.kafka, [names.catalogs, names.outcomes, names.changelog])
        ends = await last_stable_offsets(self.settings.kafka, places)
        return {(topic, partition): position for topic, partition, position in positions} == ends

    async def outcome_ids(self) -> list[str]:
        """In order; of what a reader of committed records sees."""
        outcomes = await records(self.stage, self.stage.names.outcomes)
        return sorted(json.loads(record.value or b"")["id"] for _, record in outcomes)


AWARDS = """
select user_id, catalog, achievement, scope, earned_at from user_achievement where starts_with(user_id, %s)
"""
METRICS = "select user_id, metrics from user_progress where starts_with(user_id, %s)"
POINTS = "select user_id, points from user_profile where starts_with(user_id, %s)"


def settings_of(servers: Servers, namespace: str) -> Settings:
    return Settings(
        kafka=servers.kafka,
        postgres=SecretStr(servers.postgres),
        namespace=namespace,
        partitions=PARTITIONS,
    )


def stage_of(servers: Servers, namespace: str) -> Stage:
    return Stage(servers.kafka, settings_of(servers, namespace).names, f"{namespace}.activity")


@asynccontextmanager
async def prepared(servers: Servers, namespace: str, folder: Path) -> AsyncIterator[Pipeline]:
    """Topics, catalog and read models; no process yet, and none afterwards."""
    stage = stage_of(servers, namespace)
    catalog = CatalogFile(CATALOG.replace("trackflow.activity", stage.source), "trackflow.yaml")
    with workers_of(stage, folder) as workers:
        pipeline = Pipeline(servers, namespace, folder, workers)
        await asyncio.to_thread(prepare, pipeline.settings, [catalog])
        try:
            yield pipeline
        finally:
            for projector in pipeline.projectors:
                projector.kill()


def silent(**figures: object) -> None:
    """Nobody looks at the progress."""
