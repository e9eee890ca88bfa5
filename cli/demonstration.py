"""The demo on a stack that runs: publish, watch, and hold Postgres against the reference."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from psycopg import Connection

from bench import reference
from broker.catalogs import read_program
from broker.positions import last_stable_offsets
from broker.topics import places_of
from cli import kafka
from cli.awards import write_awards
from cli.catalog_files import CatalogFile
from cli.comparison import compare
from cli.event_files import Lines
from cli.events import LineVerdict
from cli.live_view import LOOK_S, Look, live_view, look_at
from cli.publish import refusals_of
from cli.publishing import Manner, Published, publish_lines
from cli.settings import Settings
from cli.stack import LocalStack
from cli.stack.pipeline import Process, prepare, refuse_final_exit, settings_on, start_processes
from cli.visibility import wait_until_visible
from projections.database import connect, connect_async
from schemas.errors import LaurelError, Precondition

BUSIEST = 5
Answer = TypeVar("Answer")

OF_USERS = b"""
select user_id, sum(awards)::bigint, sum(points)::bigint from user_profile where user_id = any(%s) group by user_id
"""


class Activity(NamedTuple):
    """What is published: its name for messages, and its lines."""

    name: str
    pieces: AsyncIterator[Lines]


@dataclass
class Journal:
    """What was published, for the reference and the summary."""

    values: list[bytes] = field(default_factory=list)
    of_user: Counter[str] = field(default_factory=Counter)

    def take(self, verdict: LineVerdict) -> None:
        if verdict.fate != "refused" and verdict.key is not None:
            self.values.append(verdict.value)
            self.of_user[verdict.key.decode()] += 1


class Stage(NamedTuple):
    """Everything runs: where, and who."""

    settings: Settings
    processes: Sequence[Process]


class Outcome(NamedTuple):
    """What the demo came to. Units: first_unlock_s, since it began; None when nothing was unlocked."""

    published: Published
    look: Look
    first_unlock_s: float | None
    busiest: list[dict[str, Any]]
    differences: list[str]
    restarts: int

    @property
    def told(self) -> dict[str, Any]:
        """The one object that `--json` prints."""
        return {
            "events": self.published.events,
            "bad_lines": self.published.bad_lines,
            "unplaced": self.published.unplaced,
            "awards": self.look.awards,
            "points": self.look.points,
            "users_with_awards": self.look.users,
            "busiest": self.busiest,
            "first_unlock_s": self.first_unlock_s and round(self.first_unlock_s, 2),
            "seconds": round(self.look.at, 2),
            "equal": not self.differences,
            "differences": self.differences,
            "restarts": self.restarts,
        }


def set_up(stack: LocalStack, catalogs: Sequence[CatalogFile], workers: int) -> Stage:
    """Topics, catalogs, read models, processors and a projector. Raises: Precondition on topics with a past."""
    settings = own_namespace(settings_on(stack), stack)
    prepare(settings, catalogs)
    if "kafka" not in stack.children:
        kafka.run(refuse_a_past(settings))
    return Stage(settings, start_processes(stack, settings, workers))


def own_namespace(settings: Settings, stack: LocalStack) -> Settings:
    """On servers that others use too, one of the demo's own, unless LAUREL_NAMESPACE names it."""
    ours = {"kafka", "postgres"} <= stack.children.keys()
    if ours or "namespace" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"namespace": f"demo-{secrets.token_hex(4)}"})


async def refuse_a_past(settings: Settings) -> None:
    """What others have published is in the read models and not in the reference."""
    sources = (await read_program(settings.kafka, settings.names)).sources
    for (topic, _), end in (
        await last_stable_offsets(settings.kafka, await places_of(settings.kafka, sources))
    ).items():
        if end:
            raise Precondition(
                f"topic {topic} at {settings.kafka} has events already, and the demo checks only what it publishes "
                "itself: unset LAUREL_KAFKA, so that it starts a Kafka of its own, or name an empty one"
            )


def demonstrate(
    stage: Stage, catalogs: Sequence[CatalogFile], activity: Activity, awards_out: str | None, started: float
) -> Outcome:
    """Publish everything, wait until it is visible, compare. Raises: LaurelError when a process is stuck."""
    journal, watch = Journal(), Watch(stage, started)
    try:
        work = _work(stage.settings, catalogs, activity, journal, watch)
        published, expected = kafka.run(_beside(work, watch.run()))
    except LaurelError as error:
        raise LaurelError(f"{error}\n{last_words(stage.processes)}") from error
    with connect(stage.settings.database) as connection:
        differences = compare(connection, expected)
        busiest = busiest_users(connection, journal.of_user)
        if awards_out is not None:
            write_awards(connection, awards_out)
    restarts = sum(process.child.restarts for process in stage.processes)
    return Outcome(published, watch.look, watch.first_unlock_s, busiest, differences, restarts)


def last_words(processes: Sequence[Process]) -> str:
    """The ends of the logs, which go with a temporary folder."""
    return "\n".join(
        f"--- {process.child.name}, started again {process.child.restarts} times:\n{process.child.last_lines()}"
        for process in processes
    )


async def _work(
    settings: Settings, catalogs: Sequence[CatalogFile], activity: Activity, journal: Journal, watch: Watch
) -> tuple[Published, reference.Result]:
    program = await read_program(settings.kafka, settings.names)
    refused = refusals_of(activity.name)

    def hear(verdict: LineVerdict) -> None:
        refused(verdict)
        journal.take(verdict)

    published = await publish_lines(settings, program, activity.pieces, Manner(), hear, watch.count)
    folding = asyncio.ensure_future(folded(journal.values, [file.text for file in catalogs], watch.unlocked))
    try:
        await wait_until_visible(settings, published.ends, lambda **figures: None)
        await watch.last_look()
        return published, await folding
    finally:
        folding.cancel()


class OutOfTime(Exception):  # noqa: N818 - it ends a thread of ours and is seen by nobody
    """The demo ended before the reference did."""


async def folded(values: Sequence[bytes], catalogs: Sequence[str], begin: asyncio.Event) -> reference.Result:
    """The reference, in a thread that ends with us: Ctrl-C would wait for it otherwise.

    It begins when told: while the processor starts, that one needs the machine more.
    """
    await begin.wait()
    over = threading.Event()

    def events() -> Iterator[dict[str, Any]]:
        for value in values:
            if over.is_set():
                raise OutOfTime
            yield json.loads(value)

    try:
        return await asyncio.to_thread(reference.fold, events(), catalogs)
    finally:
        over.set()


async def _beside(work: Coroutine[Any, Any, Answer], watching: Coroutine[Any, Any, None]) -> Answer:
    """The work's answer; should the watch fail first, its failure."""
    worker, watcher = asyncio.ensure_future(work), asyncio.ensure_future(watching)
    try:
        await asyncio.wait([worker, watcher], return_when=asyncio.FIRST_COMPLETED)
        if not worker.done():
            await watcher
        return await worker
    finally:
        worker.cancel()
        watcher.cancel()
        await asyncio.gather(worker, watcher, return_exceptions=True)


class Watch:
    """Looks at the read models and at the processes while others work."""

    def __init__(self, stage: Stage, started: float) -> None:
        self._settings, self._processes = stage
        self._started = started
        self._published = 0
        self.look = Look(0.0, 0, 0, 0, [])
        self.first_unlock_s: float | None = None
        self.unlocked = asyncio.Event()

    def count(self, **figures: int) -> None:
        self._published = figures["events"]

    async def run(self) -> None:
        """Raises: LaurelError when a process ended for good."""
        with live_view() as show:
            async with await connect_async(self._settings.database, "laurel demo") as connection:
                while True:
                    self._take(await look_at(connection, self._started))
                    show(self.look, self._published)
                    for process in self._processes:
                        refuse_final_exit(process.child)
                    await asyncio.sleep(LOOK_S)

    async def last_look(self) -> None:
        async with await connect_async(self._settings.database, "laurel demo") as connection:
            self._take(await look_at(connection, self._started))
        self.unlocked.set()  # everything there is

    def _take(self, look: Look) -> None:
        self.look = look
        if look.awards and self.first_unlock_s is None:
            self.first_unlock_s = look.at


def busiest_users(connection: Connection, of_user: Counter[str]) -> list[dict[str, Any]]:
    busiest = dict(of_user.most_common(BUSIEST))
    rows = connection.execute(OF_USERS, [list(busiest)]).fetchall()
    earned = {user: (awards, points) for user, awards, points in rows}
    return [
        {"user": user, "events": events, **dict(zip(("awards", "points"), earned.get(user, (0, 0)), strict=True))}
        for user, events in busiest.items()
    ]
