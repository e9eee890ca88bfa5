"""A stretch of a topic again: what it would do, and starting it. Everything that could refuse it comes first."""

from __future__ import annotations

import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec

from broker.catalogs import newest_program, read_records
from broker.controls import read_controls
from broker.topics import partition_counts
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.programs import Programs
from processor.evaluator.replays import Replays
from processor.replay.job import Task
from processor.replay.late import Fate, LateJob, LateTask, Sorting, Span, before, order_of, sorted_out
from processor.replay.ports import Ports, Stretch
from replays.counting import Gain
from replays.history import Begin, lost_beginnings
from replays.intent import partitions_of, program_at, running_versions
from replays.planning import orders_per_s
from replays.registry import Registration, Registry, Replay, registry_of
from replays.settings import ReplaySettings
from replays.sources import SourceLog
from replays.stretches import KafkaStretches, spans_of
from schemas.errors import Precondition
from schemas.events import readers
from schemas.outcomes import Outcome, decode_any_outcome
from schemas.program import CatalogProgram, CatalogRecord, Program
from schemas.records import PlainRecord, Record
from schemas.replays import Notify, Prepare, ReplayOrder, encode_order
from schemas.state import Control
from schemas.topics import Names

PLANNED = "a plan"
FATES: tuple[Fate, ...] = ("counted", "readable", "refused", "unknown", "republished", "given")


class Wish(NamedTuple):
    """What an operator asks for: the records that a topic was given in [since, until), of some users or all."""

    topic: str
    since: datetime
    until: datetime
    users: Sequence[str] | None = None
    id: str | None = None
    notify: Notify = "digest"
    accept_truncated: bool = False


class Intent(NamedTuple):
    """Shapes: catalogs is catalog -> the version that runs; catalog is one that declares the topic; lost are the
    partitions that may have lost a part of the stretch."""

    wish: Wish
    catalogs: dict[str, int]
    program: Program
    catalog: CatalogProgram
    records: Sequence[CatalogRecord]
    controls: Mapping[int, Control]
    spans: Mapping[int, Span]
    lost: list[Begin]


class Sum(NamedTuple):
    """Of one event type, how many records have which fate; causes is class -> how many are refused still."""

    type: str
    counted: int
    readable: int
    refused: int
    unknown: int
    republished: int
    given: int
    causes: dict[str, int]


class Plan(NamedTuple):
    """What `laurel replay plan --topic` says. Shapes: users have records to be folded; winners gain something.

    Units: minutes, estimated, while the job need not yield to live events.
    """

    topic: str
    since: datetime
    until: datetime
    from_versions: dict[str, int]
    partitions: int
    events: list[Sum]
    folded: int
    users: int
    gains: list[Gain]
    winners: int
    awards: int
    notices: dict[str, int]
    points: int
    truncated: list[str]
    minutes: float


async def intend(bootstrap: str, names: Names, wish: Wish) -> Intent:
    """Changes nothing. Raises: Precondition when there is no such stretch."""
    if wish.since >= wish.until:
        raise Precondition(
            f"the stretch from {wish.since.isoformat()} until {wish.until.isoformat()} is empty: --until is later"
        )
    records, controls = await read_records(bootstrap, names), await read_controls(bootstrap, names)
    versions = running_versions(records, controls.values())
    program = program_at(records, names, versions) if records else None
    if program is not None:
        refuse_topic(program, wish.topic)
    if program is None or not controls:
        raise Precondition(
            f"nothing was folded in namespace '{names.namespace}' yet, so there is nothing to fold again"
        )
    partitions = await partitions_of(bootstrap, names)
    await refuse_other_split(bootstrap, wish.topic, partitions)
    spans, lost = await spans_of(bootstrap, wish.topic, partitions, wish.since, wish.until)
    begins = await lost_beginnings(bootstrap, lost) if lost else []
    return Intent(wish, versions, program, _declaring(program, wish.topic), records, controls, spans, begins)


def refuse_topic(program: Program, topic: str) -> None:
    """Raises: Precondition for a topic whose records nobody folds as they stand there."""
    if topic in program.repartitioned:
        raise Precondition(f"events of {topic} are folded from copies of them: give --topic {program.derived}")
    known = sorted({*readers(program)} - {program.commands})
    if topic not in known:
        close = get_close_matches(topic, known, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"they read {', '.join(known)}"
        raise Precondition(f"no catalog that runs reads a topic '{topic}': {hint}")


async def refuse_other_split(bootstrap: str, topic: str, partitions: int) -> None:
    """Raises: Precondition."""
    count = (await partition_counts(bootstrap, [topic]))[topic]
    if count != partitions:
        raise Precondition(f"topic {topic} has {count} partitions, the state has {partitions}: see `laurel doctor`")


def _declaring(program: Program, topic: str) -> CatalogProgram:
    return next(iter(reading(program, topic)), program.catalogs[0])


def reading(program: Program, topic: str) -> list[CatalogProgram]:
    """The catalogs that declare an event of this topic."""
    return [each for each in program.catalogs if any(event.topic == topic for event in each.events)]


class Counting:
    """Of all partitions, one after the other: what would be folded, and what that gives by what users have now."""

    def __init__(self, settings: ReplaySettings, intent: Intent) -> None:
        self._settings, self._intent = settings, intent
        self._world = KafkaStretches(settings.kafka, settings.names)
        self._fates: Counter[tuple[str, Fate]] = Counter()
        self._causes: dict[str, Counter[str]] = defaultdict(Counter)
        self._won: list[Outcome] = []
        self._users: set[bytes | None] = set()
        self._folded = 0

    async def run(self, show: Callable[[int], None]) -> Plan:
        began = time.monotonic()
        for partition in self._intent.spans:
            sorting = await self.sorted(partition)
            if sorting is not None:
                await self._add(partition, sorting)
                show(self._fates.total())
        return self._plan(time.monotonic() - began)

    async def sorted(self, partition: int) -> Sorting | None:
        """None where nothing was folded yet."""
        wish, names = self._intent.wish, self._settings.names
        control, span = self._intent.controls.get(partition), self._intent.spans[partition]
        if control is None:
            return None
        known = await before(self._world, wish.topic, partition, control, names.replay_assignments, PLANNED)
        sorting = Sorting(readers(self._intent.program)[wish.topic], known, span.end, wish.users)
        return await sorted_out(self._world, sorting, wish.topic, partition, span)

    async def _add(self, partition: int, sorting: Sorting) -> None:
        self._fates.update(sorting.fates)
        for (name, cause), count in sorting.causes.items():
            self._causes[name][cause] += count
        if sorting.chosen:
            chosen = [record async for record in self._chosen(partition, sorting.chosen)]
            self._folded += len(chosen)
            users = {record.key for record in chosen}
            self._users |= users
            self._won += self._given(partition, await self._states(partition, users), chosen)

    async def _chosen(self, partition: int, offsets: Sequence[int]) -> AsyncIterator[Record]:
        wanted = {*offsets}
        stretch = Stretch(self._intent.wish.topic, partition, offsets[0], offsets[-1] + 1)
        async for part in self._world.records(stretch):
            for record in part.records:
                if record.offset in wanted:
                    yield record

    async def _states(self, partition: int, users: Collection[bytes | None]) -> dict[bytes, bytes | None]:
        log = SourceLog(self._settings.kafka, self._settings.names)
        return {user: row async for rows in log.states(partition) for user, row in rows if user in users}

    def _given(self, partition: int, rows: Mapping[bytes, bytes | None], chosen: Sequence[Record]) -> list[Outcome]:
        """What an owner would give now, found by being one."""
        intent, names = self._intent, self._settings.names
        control, topic = intent.controls[partition], names.replay_assignments
        programs = Programs(newest_program(intent.records, names), intent.records)
        evaluator = PartitionEvaluator(programs.ready(control.catalogs), partition, len(intent.spans))
        evaluator.load(rows.items())
        owner = Replays(topic, partition, evaluator, programs, lambda _: None)
        owner.restore(control.catalogs, control.replays, control.unread)
        lates = [order_of(PLANNED, intent.wish.topic, partition, record) for record in chosen]
        orders: list[tuple[bytes | None, ReplayOrder]] = [(None, Prepare(replay=PLANNED, catalogs={}))]
        orders += [(record.key, late) for record, late in zip(chosen, lates, strict=True)]
        owner.fold([PlainRecord(0, 0, key, encode_order(order)) for key, order in orders], control.positions)
        told = (decode_any_outcome(value) for _, value in evaluator.cut().outcomes)
        return [outcome for outcome in told if isinstance(outcome, Outcome)]

    def _plan(self, seconds: float) -> Plan:
        intent, wish = self._intent, self._intent.wish
        winners = len({outcome.subject for outcome in self._won})
        awards, gains = len(self._won), _gains(self._won)
        rate = orders_per_s(self._settings, len(intent.spans))
        return Plan(
            topic=wish.topic,
            since=wish.since,
            until=wish.until,
            from_versions=intent.catalogs,
            partitions=len(intent.spans),
            events=self._sums(),
            folded=self._folded,
            users=len(self._users),
            gains=gains,
            winners=winners,
            awards=awards,
            notices={"none": 0, "digest": winners, "all": awards},
            points=sum(gain.points for gain in gains),
            truncated=[str(each) for each in intent.lost],
            minutes=round((seconds + self._folded / rate) / 60, 1),
        )

    def _sums(self) -> list[Sum]:
        names = sorted({name for name, _ in self._fates})
        return [
            Sum(name, **{fate: self._fates[name, fate] for fate in FATES}, causes=dict(self._causes[name]))
            for name in names
        ]


def _gains(won: Sequence[Outcome]) -> list[Gain]:
    by_award: dict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for outcome in won:
        data = outcome.data
        reference = f"{data.achievement}/{data.tier}" if data.tier else data.achievement
        by_award[data.catalog, reference, data.name].append(outcome)
    return [
        Gain(*award, len({each.subject for each in given}), len(given), sum(each.data.points for each in given))
        for award, given in sorted(by_award.items())
    ]


# --- starting ---


async def start(settings: ReplaySettings, wish: Wish) -> Replay:
    """The replay, new or as it is found under its id; nothing is written when it is refused.

    Raises: Precondition.
    """
    intent = await intend(settings.kafka, settings.names, wish)
    id = wish.id or usual_id(intent)
    async with registry_of(settings) as registry:
        found = await registry.find(id)
        return _same(found, intent) if found is not None else await _start(settings, registry, id, intent)


async def _start(settings: ReplaySettings, registry: Registry, id: str, intent: Intent) -> Replay:
    registration = registration_of(id, intent)
    await registry.refuse_beside(id, "late")
    await registry.refuse_taken(id, registration.names)
    catalogs = [each.catalog for each in reading(intent.program, intent.wish.topic)]
    await registry.refuse_among(id, catalogs)
    refuse_lost(intent)
    await refuse_nothing(settings, intent)
    async with registry.alone():
        await registry.refuse_among(id, catalogs)  # it takes long to know that there is something
        return await registry.start(registration)


def refuse_lost(intent: Intent) -> None:
    """Raises: Precondition when retention may have taken a part of the stretch, and that was not accepted."""
    if intent.lost and not intent.wish.accept_truncated:
        raise Precondition(
            f"{'; '.join(str(each) for each in intent.lost)}: that part of the stretch is gone. Say "
            "--accept-truncated to fold what is left of it"
        )


async def refuse_nothing(settings: ReplaySettings, intent: Intent) -> None:
    """Raises: Precondition when there is no record to fold."""
    counting, wish = Counting(settings, intent), intent.wish
    for partition in intent.spans:
        sorting = await counting.sorted(partition)
        if sorting is not None and sorting.chosen:
            return
    raise Precondition(
        f"in {wish.topic} from {wish.since.isoformat()} until {wish.until.isoformat()} there is no record that was "
        "not counted then and can be now: `laurel replay plan` says what became of each"
    )


def usual_id(intent: Intent) -> str:
    """The same for the same stretch, under the same rules."""
    wish = intent.wish
    about = [wish.topic, wish.since, wish.until, wish.users, wish.notify, intent.catalogs]
    told = hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()
    return f"{wish.topic}-{told[:8]}"


def registration_of(id: str, intent: Intent) -> Registration:
    wish, catalog = intent.wish, intent.catalog
    return Registration(
        id=id,
        kind="late",
        catalog=catalog.catalog,
        version=catalog.version,
        sha256=catalog.sha256,
        notify=wish.notify,
        policy="keep",
        dates="exact",
        from_versions=intent.catalogs,
        muted=[],
        filling=[],
        plan={
            "why": [f"what was not counted of {wish.topic} then, and can be now, is folded as if it arrived now"],
            **_stretch(intent),
            "spans": [[number, *span] for number, span in intent.spans.items()],
            "truncated": [str(each) for each in intent.lost],
        },
        partitions=len(intent.spans),
        topic=wish.topic,
    )


def _stretch(intent: Intent) -> dict[str, Any]:
    wish = intent.wish
    users = sorted(wish.users) if wish.users is not None else None
    return {"topic": wish.topic, "since": wish.since.isoformat(), "until": wish.until.isoformat(), "users": users}


def _same(found: Replay, intent: Intent) -> Replay:
    """Raises: Precondition when what is found under this id is something else, or was cancelled."""
    if found.kind != "late" or any(found.plan[name] != value for name, value in _stretch(intent).items()):
        raise Precondition(f"replay '{found.id}' is of something else: give another --id")
    if found.status == "cancelled":
        raise Precondition(f"replay '{found.id}' was cancelled: start it again under another id, with --id NAME")
    return found


# --- carrying it out ---


def job_of(settings: ReplaySettings, replay: Replay, task: Task, ports: Ports) -> LateJob:
    plan, names = replay.plan, settings.names
    spans = {number: Span(start, end, until) for number, start, end, until in plan["spans"]}
    late = LateTask(plan["topic"], spans, plan["users"] and {*plan["users"]}, names.replay_assignments)
    reader = readers(task.program)[plan["topic"]]
    return LateJob(task, ports, late, KafkaStretches(settings.kafka, names), reader)
