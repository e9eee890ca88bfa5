"""What the tests of the processor share: a toy catalog and its events, real worker processes, and a plain
computation of what must come out."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from broker.catalogs import publish, read_program
from broker.connections import admin, producer
from broker.positions import Positions, group_positions
from broker.producing import Outgoing, Publisher
from broker.reading import read_to_end
from broker.topics import create_topics, partition_counts, places_of, wanted_topics
from processor.evaluator.compile import compile_catalog
from schemas.outcomes import unlocked_id
from schemas.program import Program
from schemas.records import Record
from schemas.state import CONTROL_KEY, Control, decode_control, decode_state, fresh_state, metric_values
from schemas.topics import Names, partition_of
from tests.processes import Forked
from tests.transactions import decided

PARTITIONS = 4
WAIT_S = 120.0
POLL_S = 0.05
SESSION_S = 6  # the least that a broker takes by default
LEAD = 1_000  # records that wait for workers which are kept busy
STEPS = (1, 5, 10, 25)
REPOSITORY = Path(__file__).parents[2]

Metrics = Mapping[tuple[str, ...], float]
Picked = TypeVar("Picked")

CATALOG = """
catalog: toy
version: 1
events:
  played:
    topic: {topic}
    data: {{piece: string, partner: string?}}
    derive: [{{type: heard, subject: data.partner, unless_self: true, data: {{piece: data.piece}}}}]
metrics:
  plays: {{count: played}}
  pieces: {{distinct: played, by: data.piece}}
  listened: {{count: heard}}
ladders:
  - metric: plays
    steps: [{{key: plays_1, name: One, at: 1}}, {{key: plays_5, name: Five, at: 5}},
            {{key: plays_10, name: Ten, at: 10}}, {{key: plays_25, name: Many, at: 25}}]
"""


class Event(NamedTuple):
    id: str
    user: str
    piece: str
    partner: str | None

    @property
    def value(self) -> bytes:
        data = {"piece": self.piece} | ({"partner": self.partner} if self.partner else {})
        envelope = {"specversion": "1.0", "source": "tests", "type": "played", "time": "2026-03-04T05:06:07Z"}
        return json.dumps(envelope | {"id": self.id, "subject": self.user, "data": data}).encode()


def some_events(count: int, *, users: int = 500, seed: int = 1) -> list[Event]:
    dice = random.Random(seed)
    return [
        Event(
            f"e{seed}-{number}",
            f"user-{dice.randrange(users)}",
            f"piece-{dice.randrange(30)}",
            f"user-{dice.randrange(users)}" if dice.random() < 0.1 else None,
        )
        for number in range(count)
    ]


class Stage(NamedTuple):
    """A namespace on the run's Kafka with its topics and the toy catalog."""

    kafka: str
    names: Names
    source: str

    @property
    def sources(self) -> list[str]:
        return [self.source, self.names.derived]

    @property
    def written(self) -> list[str]:
        """The topics of a checkpoint."""
        return [self.names.changelog, self.names.outcomes, self.names.derived, self.names.dead_letters]


async def set_up(kafka: str, namespace: str, partitions: int = PARTITIONS) -> Stage:
    stage = Stage(kafka, Names(namespace), f"{namespace}.plays")
    await create_topics(kafka, wanted_topics(stage.names, [stage.source], partitions))
    await publish(kafka, stage.names, CATALOG.format(topic=stage.source), "toy.yaml", compile_catalog)
    return stage


async def play(stage: Stage, events: Iterable[Event]) -> None:
    """Publish events as any publisher does."""
    async with producer(stage.kafka) as client:
        publisher = Publisher(client, {stage.source: PARTITIONS})
        for record in outgoing(stage, events):
            await publisher.send(record)
        await publisher.flush()


async def play_in_transactions(stage: Stage, events: Sequence[Event], size: int) -> None:
    """Publish in transactions, an aborted one of other users' events behind each of them."""
    async with producer(stage.kafka, transactional_id=f"{stage.source}-publisher") as client:
        publisher = Publisher(client, {stage.source: PARTITIONS})
        for start in range(0, len(events), size):
            part = events[start : start + size]
            await publisher.commit(outgoing(stage, part))
            await publisher.abort(outgoing(stage, (each._replace(id="aborted", user="ghost") for each in part)))


@asynccontextmanager
async def kept_busy(stage: Stage, publish_more: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """While this is open there is always more for the workers to do, and when it is left there is more again.

    So whoever ends in here ends in the middle, however fast the machine is.
    """
    leaving = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(_publish_ahead(stage, publish_more, leaving))
        yield
        leaving.set()


async def _publish_ahead(
    stage: Stage, publish_more: Callable[[], Awaitable[object]], leaving: asyncio.Event
) -> None:
    places = await places_of(stage.kafka, [stage.source])
    async with group_positions(stage.kafka, stage.names.processor) as group:
        while not leaving.is_set():
            ends, committed = await group.ends(places), await group.committed(places)
            if sum(ends.values()) - sum(committed.values()) < LEAD:
                await publish_more()
            await asyncio.sleep(POLL_S / 5)
    await publish_more()


@asynccontextmanager
async def endless_events(stage: Stage) -> AsyncIterator[list[Event]]:
    """Keeps the workers busy with events. Yields those that were published so far."""
    published: list[Event] = []

    async def publish_more() -> None:
        more = some_events(LEAD, users=1_000, seed=len(published))
        await play(stage, more)
        published.extend(more)

    async with kept_busy(stage, publish_more):
        yield published


def outgoing(stage: Stage, events: Iterable[Event]) -> Iterator[Outgoing]:
    return (Outgoing(stage.source, event.user.encode(), event.value) for event in events)


class Totals(NamedTuple):
    """What has come out, or must. Shapes: values maps a user to plays, pieces, listened; derived counts the
    derived events of each user."""

    outcome_ids: Counter[str]
    derived: Counter[str]
    values: dict[str, tuple[int, int, int]]


def computed(events: Sequence[Event]) -> Totals:
    """The plain computation, with dictionaries and nothing of ours but the form of an id."""
    return _computed(events, listeners(events))


async def computed_below(stage: Stage, events: Iterable[Event], positions: Positions) -> Totals:
    """The same for the records below these positions, of whichever events they hold."""
    by_id = {event.id: event for event in events}
    played = await records_below(stage, stage.source, positions)
    heard = await records_below(stage, stage.names.derived, positions)
    return _computed(
        [by_id[json.loads(each.value)["id"]] for each in played], Counter(each.key.decode() for each in heard)
    )


def _computed(events: Sequence[Event], listened: Counter[str]) -> Totals:
    plays: Counter[str] = Counter()
    pieces: dict[str, set[str]] = defaultdict(set)
    for event in events:
        plays[event.user] += 1
        pieces[event.user].add(event.piece)
    ids = [
        unlocked_id("toy", f"plays_{step}", user)
        for user, count in plays.items()
        for step in STEPS
        if count >= step
    ]
    users = plays.keys() | listened.keys()
    values = {user: (plays[user], len(pieces[user]), listened[user]) for user in users}
    return Totals(Counter(ids), listeners(events), values)


def listeners(events: Iterable[Event]) -> Counter[str]:
    return Counter(event.partner for event in events if event.partner and event.partner != event.user)


class Seen(NamedTuple):
    """What is in the topics. Shapes: controls by partition; misplaced users are not where their key belongs."""

    totals: Totals
    controls: dict[int, Control]
    misplaced: list[str]


async def seen(stage: Stage) -> Seen:
    outcomes = await records(stage, stage.names.outcomes)
    rows = {
        record.key: (partition, record.value) for partition, record in await records(stage, stage.names.changelog)
    }
    program = await read_program(stage.kafka, stage.names)
    users = {key.decode(): value for key, (_, value) in rows.items() if key not in (None, CONTROL_KEY)}
    return Seen(
        Totals(
            Counter(json.loads(record.value)["id"] for _, record in outcomes),
            Counter(record.key.decode() for _, record in await records(stage, stage.names.derived)),
            {user: values(row, program) for user, row in users.items()},
        ),
        await controls(stage),
        [
            key
            for key, (partition, _) in rows.items()
            if key != CONTROL_KEY and partition_of(key, PARTITIONS) != partition
        ],
    )


def values(row: bytes, program: Program) -> tuple[int, int, int]:
    toy = metric_values(decode_state(row, fresh_state(program.ledger)), program)["toy"]
    return toy["plays"], toy["pieces"], toy["listened"]


async def controls(stage: Stage) -> dict[int, Control]:
    rows = await records(stage, stage.names.changelog)
    return {partition: decode_control(row.value) for partition, row in rows if row.key == CONTROL_KEY}


async def records(stage: Stage, topic: str) -> list[tuple[int, Record]]:
    """All committed records of a topic with their partitions."""
    places = await places_of(stage.kafka, [topic])
    return [
        (batch.partition, record) async for batch in read_to_end(stage.kafka, places) for record in batch.records
    ]


async def records_below(stage: Stage, topic: str, positions: Positions) -> list[Record]:
    return [
        record for partition, record in await records(stage, topic) if record.offset < positions[topic, partition]
    ]


async def committed_and_ends(stage: Stage) -> tuple[Positions, Positions]:
    places = await places_of(stage.kafka, [*stage.sources, stage.names.replay_assignments])
    async with group_positions(stage.kafka, stage.names.processor) as group:
        return await group.committed(places), await group.ends(places)


async def settled(stage: Stage, workers: Iterable[Worker] = ()) -> Positions:
    """Wait until every position is at the end of its partition, markers included. Returns the positions."""
    deadline = time.monotonic() + WAIT_S
    while True:
        committed, ends = await committed_and_ends(stage)
        if committed == ends:
            await decided(stage.kafka, stage.written)
            return committed
        for worker in workers:
            worker.assert_running()
        assert time.monotonic() < deadline, f"after {WAIT_S:.0f} s positions are {committed}, ends {ends}"
        await asyncio.sleep(4 * POLL_S)


async def moved_on(stage: Stage, records: int = 100) -> None:
    """Wait until the group has come so much further in every partition of the source."""
    places = await places_of(stage.kafka, [stage.source])
    deadline = time.monotonic() + WAIT_S
    async with group_positions(stage.kafka, stage.names.processor) as group:
        committed = before = await group.committed(places)
        while any(committed[place] < at + records for place, at in before.items()):
            assert time.monotonic() < deadline, f"{WAIT_S:.0f} s after {before} positions are {committed}"
            await asyncio.sleep(POLL_S)
            committed = await group.committed(places)


async def assert_exactly(stage: Stage, totals: Totals) -> None:
    """Outcomes, derived events, states and positions are these, no more and no less."""
    await decided(stage.kafka, stage.written)
    committed, _ = await committed_and_ends(stage)
    found = await seen(stage)
    assert found.totals == totals
    assert not found.misplaced
    assert {
        (topic, partition): position
        for partition, control in found.controls.items()
        for topic, position in control.positions.items()
    } == {tuple(place): position for place, position in committed.items() if place[1] in found.controls}


async def recreate(stage: Stage, topic: str) -> None:
    async with admin(stage.kafka) as client:
        await client.delete_topics([topic])
    deadline = time.monotonic() + WAIT_S
    while (await partition_counts(stage.kafka, [topic]))[topic]:
        assert time.monotonic() < deadline, f"{topic} is still there after {WAIT_S:.0f} s"
        await asyncio.sleep(POLL_S)
    specs = wanted_topics(stage.names, [stage.source], PARTITIONS)
    await create_topics(stage.kafka, [spec for spec in specs if spec.name == topic])


class Worker:
    """A `laurel worker` in a process of its own, or what a module runs in its place."""

    def __init__(self, stage: Stage, log: Path, module: Sequence[str], **environment: str) -> None:
        self._log = log
        options = {
            "LAUREL_KAFKA": stage.kafka,
            "LAUREL_NAMESPACE": stage.names.namespace,
            "LAUREL_SESSION_TIMEOUT_S": str(SESSION_S),
        }
        self.process = Forked(module, {**options, **environment}, log, log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def assert_running(self) -> None:
        assert self.process.poll() is None, f"the worker ended with {self.process.returncode}:\n{self.log}"

    async def wait_for(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while not condition():
            self.assert_running()
            assert time.monotonic() < deadline, f"no {what} after {WAIT_S:.0f} s:\n{self.log}"
            await asyncio.sleep(POLL_S)

    @property
    def owned(self) -> list[int]:
        """Its partitions, as it told last."""
        return next((line["partitions"] for line in reversed(self.lines("acquired"))), [])

    async def shows(self, picked: Callable[[Metrics], Picked], expected: Picked) -> None:
        """Wait until this of its metrics is so: others see a commit before its worker has counted it."""
        deadline = time.monotonic() + WAIT_S
        while (shown := picked(self.metrics())) != expected:
            assert time.monotonic() < deadline, f"after {WAIT_S:.0f} s {shown} is shown, not {expected}"
            await asyncio.sleep(POLL_S)

    def metrics(self) -> Metrics:
        """What Prometheus reads: name and label values, in order of the labels' names -> value."""
        port = self.lines("metrics are served")[0]["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            families = text_string_to_metric_families(response.read().decode())
        samples = [each for family in families for each in family.samples]
        return {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in samples}

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end. Returns the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, WAIT_S)


class Workers:
    """Starts workers, and leaves none behind."""

    def __init__(self, stage: Stage, folder: Path, module: Sequence[str]) -> None:
        self._stage, self._folder, self._module = stage, folder, module
        self.all: list[Worker] = []

    def start(self, **environment: str) -> Worker:
        log = self._folder / f"worker-{len(self.all)}.log"
        worker = Worker(self._stage, log, self._module, **environment)
        self.all.append(worker)
        return worker


@contextmanager
def workers_of(stage: Stage, folder: Path, module: Sequence[str] = ("cli.main", "worker")) -> Iterator[Workers]:
    workers = Workers(stage, folder, module)
    try:
        yield workers
    finally:
        for worker in workers.all:
            worker.process.kill()
            worker.process.wait()
