"""A partition in memory with its owner, and the job of a replay over it: time is virtual, and the log is a list.

The owner takes what came to its topics when somebody looks at its notes: a few events, and all orders. Then it
commits, and now and then it is replaced by another one that has nothing but what was committed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Literal, NamedTuple

from bench.reference import COMMANDS
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.programs import Programs
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.replays import Replays
from processor.replay.changes import Changes, changes, unfinished_in
from processor.replay.job import Task, run
from processor.replay.ports import Addressed, Load, Part, Ports, Report, StateRow, Status, Stretch
from processor.replay.wanted import Wanted
from schemas.catalog import read_catalog
from schemas.outcomes import AnyOutcome, decode_any_outcome, encode_outcome
from schemas.program import CatalogRecord, Ledger, Program, record_of
from schemas.records import PlainRecord
from schemas.replays import Named, encode_order
from schemas.state import (
    EACH_OF_KIND,
    Control,
    decode_control,
    decode_state,
    encode_control,
    value_reader,
)
from simulation.loop import virtual_loop
from tests.unit.driving import APPENDED_MS, DERIVED
from tests.unit.random_logs import Said, topic_of

ASSIGNMENTS = "x.replay-assignments"
DEATHS = 5  # of a job's processes: who always dies never ends
PARTS = 3  # records of a topic that a scan gives at once
FOLLOW_S = 0.05


class Versions:
    """The catalogs topic."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.records: list[CatalogRecord] = []
        for text in texts:
            self.publish(text, announced=True)

    def publish(self, text: str, *, announced: bool) -> CatalogRecord:
        ledger = self.records[-1].ledger if self.records else Ledger()
        program, after = compile_catalog(read_catalog(text, "catalog"), ledger)
        record = record_of(program, after, text, "catalog", announced=announced)
        self.records.append(record)
        return record

    def program(self, versions: Mapping[str, int]) -> Program:
        found = [each.program for each in self.records if versions.get(each.catalog) == each.version]
        found.sort(key=lambda each: each.catalog)
        return Program(catalogs=found, ledger=self.records[-1].ledger, derived=DERIVED, commands=COMMANDS)

    @property
    def first(self) -> dict[str, int]:
        return {each.catalog: each.version for each in self.records if each.announced}


class Entry(NamedTuple):
    """A record where it stands. Those of all topics are in one order, that in which the owner folds them."""

    topic: str
    record: PlainRecord


class Partition:
    """The logs of a partition, and what its owner has committed.

    Shapes: before are the outcomes ahead of any order.
    """

    def __init__(self, versions: Versions, chance: Random) -> None:
        self.versions, self._chance = versions, chance
        self.log: list[Entry] = []
        self.states: list[StateRow] = []
        self.control = encode_control(Control(catalogs=versions.first))
        self.outcomes: list[AnyOutcome] = []
        self.orders: list[Entry] = []
        self.complaints: list[str] = []
        self.restarts = False
        self.before: list[AnyOutcome] = self.outcomes
        self._own()

    def _own(self) -> None:
        """A new owner, from what was committed."""
        control = decode_control(self.control)
        self._positions = {DERIVED: 0} | dict(control.positions)
        self._programs = programs = Programs(self.versions.program(self.versions.first), self.versions.records)
        self._evaluator = PartitionEvaluator(programs.ready(control.catalogs), 0, 1)
        self._evaluator.load(dict(self.states).items())
        self._replays = Replays(ASSIGNMENTS, 0, self._evaluator, programs, self.complaints.append)
        self._replays.restore(control.catalogs, control.replays, control.unread)

    def append(self, topic: str, key: bytes, value: bytes) -> None:
        offset = sum(each.topic == topic for each in self.log)
        self.log.append(Entry(topic, PlainRecord(offset, APPENDED_MS + len(self.log), key, value)))

    def order(self, user: bytes | None, order: Any) -> None:
        record = PlainRecord(len(self.orders), APPENDED_MS, user, encode_order(order))
        self.orders.append(Entry(ASSIGNMENTS, record))

    def say(self, said: Said) -> None:
        """An event, folded at once, with what is derived from it."""
        before = len(self.log)
        self.append(topic_of(said), said["subject"].encode(), row_value(said))
        while before < len(self.log):
            topic, record = self.log[before]
            folded = self._evaluator.fold(topic, [record])
            assert folded.refused == []
            self._positions[topic] = record.offset + 1
            before += 1
            for key, value in self.commit():
                self.append(DERIVED, key, value)

    def obey(self) -> None:
        """All orders that came."""
        self._programs.learn(self.versions.records)
        taken = self._positions.get(ASSIGNMENTS, 0)
        if self.orders and not taken:
            self.before = [*self.outcomes]
        for topic, record in self.orders[taken:]:
            folded = self._replays.fold([record], self._positions)
            assert folded.refused == []
            self._positions[topic] = record.offset + 1
        self.commit()

    def commit(self) -> list[tuple[bytes, bytes]]:
        """A checkpoint. Returns what is derived."""
        cut = self._evaluator.cut()
        self.states += cut.states
        self.outcomes += [decode_any_outcome(value) for _, value in cut.outcomes]
        replays = self._replays
        control = Control(
            catalogs=replays.catalogs, positions=self._positions, replays=replays.notes, unread=replays.unread
        )
        self.control = encode_control(control)
        if self.restarts and self._chance.random() < 0.3:
            self._own()
        return list(cut.derived)


class Died(Exception):  # noqa: N818 - what happened
    """The process of a job."""


class Course(NamedTuple):
    """What happens while a job works.

    Shapes: dies, processes of the job do; at_once, how many of them there are; cancelled_after, so many sends.
    """

    dies: bool = False
    at_once: int = 1
    cancelled_after: int | None = None


class World:
    """The ports of a job on one partition.

    Shapes: coming are events that are folded while it works; sent, what it sent; behind, how many records live is,
    now and then some thousands where it is None; lost, how many the log does not hold any more.
    """

    def __init__(self, partition: Partition, coming: Sequence[Said], chance: Random, course: Course) -> None:
        self.partition, self.coming, self._chance, self._course = partition, list(coming), chance, course
        self.row: Status = "running"
        self.reports: list[Report] = []
        self.sent: list[Addressed] = []
        self.behind: int | None = None
        self.per_s, self.gave_way = 0.0, False
        self.lost = 0
        self._sends = 0
        self._deaths_left = DEATHS if course.dies else 0

    def ports(self) -> Ports:
        return Ports(self, self, self, self, self)

    def go_on(self) -> None:
        """Orders are obeyed, and a few events come."""
        self.partition.obey()
        for _ in range(self._chance.randint(0, 3)):
            if self.coming:
                self.partition.say(self.coming.pop(0))

    # History

    async def begin(self, topic: str, partition: int) -> int:
        return self.lost

    async def scan(self, stretch: Stretch, wanted: Wanted) -> AsyncGenerator[Part, None]:
        for part in self._parts(stretch, wanted):
            yield part

    async def follow(self, topic: str, partition: int, start: int, wanted: Wanted) -> AsyncGenerator[Part, None]:
        while True:
            end = sum(each.topic == topic for each in self.partition.log)
            for part in self._parts(Stretch(topic, partition, start, end), wanted):
                yield part
            start = end
            yield Part(end, ())
            await asyncio.sleep(FOLLOW_S)

    def _parts(self, stretch: Stretch, wanted: Wanted) -> Iterator[Part]:
        of_topic = [each.record for each in self.partition.log if each.topic == stretch.topic]
        for start in range(stretch.start, stretch.cut, PARTS):
            end = min(start + PARTS, stretch.cut)
            yield Part(end, wanted.among(of_topic[start:end]))

    async def states(self, partition: int) -> AsyncGenerator[Sequence[StateRow], None]:
        yield self.partition.states

    async def outcomes(self, partition: int) -> AsyncGenerator[Sequence[bytes], None]:
        yield [encode_outcome(each) for each in self.partition.outcomes]

    # Notes

    async def controls(self) -> Mapping[int, Control]:
        self.go_on()
        return {0: decode_control(self.partition.control)}

    # Orders

    async def send(self, partition: int, orders: Sequence[Addressed]) -> None:
        self._sends += 1
        if self._sends == self._course.cancelled_after and self.row == "running":
            self.row = "cancelling"
        arrive = len(orders)
        dies = self._deaths_left > 0 and self._chance.random() < 0.2
        if dies:
            self._deaths_left -= 1
            arrive = self._chance.randint(0, len(orders))
        self.sent += orders[:arrive]
        for user, order in orders[:arrive]:
            self.partition.order(user, order)
        if dies:
            raise Died
        if self._chance.random() < 0.3:
            self.go_on()

    # Registry

    async def status(self) -> Status:
        return self.row

    async def decide(self) -> Status:
        if self.row == "running":
            self.row = "activating"
        return self.row

    async def report(self, report: Report) -> None:
        self.reports.append(report)

    async def end(self, status: Literal["done", "cancelled", "failed"], failure: str | None = None) -> None:
        self.row = status

    # Traffic

    async def load(self) -> Load:
        lag = self._chance.choice([0, 0, 3_000]) if self.behind is None else self.behind
        return Load(lag, self.per_s)

    def give_way(self) -> None:
        self.gave_way = True


def replayed(
    partition: Partition, task: Task, coming: Sequence[Said], chance: Random, course: Course
) -> tuple[Status, list[Said]]:
    """The job, carried out to its end while these events come; the status, and the events that did not come yet."""
    world = World(partition, coming, chance, course)

    async def process() -> None:
        while True:
            try:
                await run(task, world.ports())
                return
            except Died:
                continue

    async def processes() -> None:
        await asyncio.gather(*(process() for _ in range(course.at_once)))

    virtual_loop().run(processes())
    partition.obey()
    return world.row, world.coming


def task_of(found: Changes, program: Program, replay: str = "r", **more: Any) -> Task:
    return Task(
        replay=replay,
        catalogs={each.catalog: each.version for each in program.catalogs},
        program=program,
        partitions=1,
        muted=found.muted,
        filling=found.filling,
        wanted=found.wanted,
        **more,
    )


def changes_to(
    partition: Partition, versions: Mapping[str, int], wanted: Collection[Named] | None = None
) -> tuple[Changes, Program]:
    """What it takes to run these versions, by what the owner has noted."""
    control = decode_control(partition.control)
    running, new = partition.versions.program(control.catalogs), partition.versions.program(versions)
    return changes(running, new, unfinished_in([control], partition.versions.records), wanted), new


def folded_from_zero(program: Program, log: Sequence[Entry]) -> PartitionEvaluator:
    """The whole log under one program, record by record; what it derives is in the log already."""
    evaluator = PartitionEvaluator(ReadyProgram(program), 0, 1)
    for topic, record in log:
        if topic in program.sources:
            evaluator.fold(topic, [record])
    return evaluator


Values = dict[tuple[str, str, str], object]


def values_of(rows: Mapping[bytes, bytes], program: Program) -> Values:
    """(user, catalog, metric) -> value, of periods all of them; nothing where nothing was counted."""
    fresh = ReadyProgram(program).fresh
    found: Values = {}
    for user, row in rows.items():
        state = decode_state(row, fresh)
        for catalog in program.catalogs:
            for metric in catalog.metrics:
                each = dict(EACH_OF_KIND[metric.kind](state, metric.slot)) if metric.every else None
                value = value_reader(metric)(state, metric.slot) if each is None else each
                if value:
                    found[user.decode(), catalog.catalog, metric.key] = value
    return found


def row_value(said: Said) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode()
