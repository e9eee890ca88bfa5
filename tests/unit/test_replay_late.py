"""A stretch of a topic again: what is chosen of it, held against a naive choice, and a job whose processes die."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Collection, Sequence
from random import Random
from typing import Any

import pytest

from bench import reference
from processor.replay.job import Task
from processor.replay.late import Before, LateJob, LateTask, Sorting, Span, before
from processor.replay.ports import Part, Stretch
from schemas.errors import BadRecord
from schemas.events import EventReader, readers
from schemas.records import PlainRecord
from schemas.replays import Late, Publish, decode_order
from schemas.state import decode_control
from schemas.topics import partition_of
from simulation.loop import virtual_loop
from tests.unit.driving import APPENDED_MS
from tests.unit.replaying import ASSIGNMENTS, Course, Died, Partition, Versions, World, values_of

TOPIC = "t.plays"
ALONE = (0, 1)  # the only partition
STRICT = """
catalog: toy
version: 1
events:
  played: {topic: t.plays, data: {piece: string?, partner: string?}}
metrics:
  plays: {count: played}
  pieces: {distinct: played, by: data.piece}
achievements:
  - {key: three, name: Three, when: plays >= 3}
  - {key: five, name: Five, when: plays >= 5}
  - {key: both, name: Both, when: {all: [plays >= 4, pieces >= 3]}}
"""
MILD = STRICT.replace("version: 1", "version: 2").replace(", partner: string?", "")


def played(number: int, user: str, id: str, *, broken: bool = False) -> dict[str, Any]:
    said: dict[str, Any] = {"piece": f"p{number % 4}"}
    if broken:
        said["partner"] = 7
    return {
        "specversion": "1.0",
        "id": id,
        "source": "/web",
        "type": "played",
        "subject": user,
        "time": f"2026-05-{1 + number % 28:02}T10:00:00Z",
        "data": said,
    }


class Stage(World):
    """A partition that refused some of its events, with all that the job of a stretch asks for."""

    def __init__(self, seed: int, *, dies: bool = False) -> None:
        chance = Random(seed)
        super().__init__(Partition(Versions([STRICT]), chance), [], chance, Course(dies=dies))
        self.behind = 0
        self.partition.restarts = True
        self.refusals: set[int] = set()
        self.said: list[dict[str, Any]] = []

    def say(self, said: dict[str, Any]) -> None:
        partition = self.partition
        partition.append(TOPIC, said["subject"].encode(), json.dumps(said).encode())
        record = partition.log[-1].record
        folded = partition._evaluator.fold(TOPIC, [record])
        partition._positions[TOPIC] = record.offset + 1
        self.refusals |= {refused.offset for refused, _ in folded.refused}
        self.said.append(said)
        partition.commit()

    def publish(self, text: str) -> None:
        record = self.partition.versions.publish(text, announced=True)
        self.partition.order(None, Publish(catalogs={record.catalog: record.version}))
        self.partition.obey()

    def reader(self) -> EventReader:
        versions = decode_control(self.partition.control).catalogs
        return readers(self.partition.versions.program(versions))[TOPIC]

    # Stretches

    async def records(self, stretch: Stretch) -> AsyncGenerator[Part, None]:
        found = [each.record for each in self.partition.log if each.topic == stretch.topic]
        for start in range(stretch.start, stretch.cut, 3):
            end = min(start + 3, stretch.cut)
            yield Part(end, found[start:end])

    async def refused(self, topic: str, partition: int) -> Collection[int]:
        return self.refusals if topic == TOPIC else set()

    async def orders(self, partition: int) -> Sequence[tuple[int, Late]]:
        found = [(each.record.offset, decode_order(each.record.value or b"")) for each in self.partition.orders]
        return [(at, order) for at, order in found if isinstance(order, Late)]

    def play(self, replay: str = "r", span: Span | None = None) -> list[int]:
        """The job, to its end; the offsets that were folded."""
        program = self.partition.versions.program(decode_control(self.partition.control).catalogs)
        task = Task(replay=replay, catalogs={}, program=program, partitions=1)
        count = len(self.said)
        late = LateTask(TOPIC, {0: span or Span(0, count, count)}, None, ASSIGNMENTS)
        self.row = "running"

        async def processes() -> None:
            while True:
                try:
                    await LateJob(task, self.ports(), late, self, self.reader()).run()
                    return
                except Died:
                    continue

        virtual_loop().run(processes())
        self.partition.obey()
        told = asyncio.run(self.orders(0))
        return sorted({order.offset for _, order in told if order.replay == replay})


def chosen_naively(stage: Stage, reader: EventReader) -> list[int]:
    """Of each event that was refused and can be read the first record, unless the event was counted behind it."""
    first: dict[tuple[str, str], int] = {}
    for offset in sorted(stage.refusals):
        said = stage.said[offset]
        if is_readable(reader, said):
            first.setdefault((said["subject"], said["id"]), offset)
    counted = {(said["subject"], said["id"]): at for at, said in enumerate(stage.said) if at not in stage.refusals}
    return sorted(offset for event, offset in first.items() if counted.get(event, -1) < offset)


def is_readable(reader: EventReader, said: dict[str, Any]) -> bool:
    record = PlainRecord(0, APPENDED_MS, said["subject"].encode(), json.dumps(said).encode())
    try:
        return reader.read(record) is not None
    except BadRecord:
        return False


def staged(seed: int, *, dies: bool = False) -> Stage:
    """Some forty events: a third are refused, of these some are never readable, some are published again."""
    stage, chance = Stage(seed, dies=dies), Random(seed)
    again: list[dict[str, Any]] = []
    for number in range(chance.randint(20, 50)):
        said = played(number, chance.choice(["ann", "bo", "cy"]), f"e{number}", broken=chance.random() < 0.3)
        if chance.random() < 0.1:
            said["data"]["piece"] = 9
        stage.say(said)
        if "partner" in said["data"] and chance.random() < 0.4:
            again.append(said)
        if again and chance.random() < 0.3:
            said = again.pop()
            mended = {**said, "data": {"piece": said["data"]["piece"]}} if chance.random() < 0.7 else said
            stage.say(mended)
    stage.publish(MILD)
    return stage


@pytest.mark.parametrize("seed", range(40))
def test_what_is_folded_is_what_a_naive_choice_finds_and_comes_to_the_log_with_it_appended(seed: int) -> None:
    stage = staged(seed, dies=seed % 2 == 1)
    expected = chosen_naively(stage, stage.reader())

    assert stage.play() == expected

    counted = [said for offset, said in enumerate(stage.said) if offset not in stage.refusals]
    result = reference.fold(counted + [stage.said[offset] for offset in expected], [MILD])
    program = stage.partition.versions.program({"toy": 2})
    rows = {user: row for user, row in stage.partition.states if row is not None}
    assert values_of(rows, program) == {
        (user, catalog, metric): value
        for user, catalogs in result.metrics.items()
        for catalog, metrics in catalogs.items()
        for metric, value in metrics.items()
        if value
    }
    told = [
        (each.subject, each.data.catalog, each.data.achievement, each.data.scope, each.data.earned_at)
        for each in stage.partition.outcomes
        if each.type == "achievement_unlocked"
    ]
    assert sorted(told) == sorted((*award, at) for award, at in result.awards.items())


def test_a_second_replay_of_the_same_stretch_has_nothing_left_to_fold() -> None:
    stage = staged(3)
    assert stage.play("one")

    assert stage.play("two") == []


def test_what_was_sent_behind_a_cancel_was_not_given_and_is_folded_by_the_next_one() -> None:
    stage = staged(3)
    first, *_ = all_of = stage.play("one")
    control = decode_control(stage.partition.control)
    control.replays["one"] = stopped = control.replays["one"]
    stopped.late = {TOPIC: first}

    known = asyncio.run(before(stage, TOPIC, ALONE, control, ASSIGNMENTS, "two"))

    assert len(all_of) > 1
    assert known.given == {first}


def test_what_comes_behind_the_stretch_is_looked_at_only_for_what_was_published_again() -> None:
    stage = Stage(0)
    stage.say(played(0, "ann", "a", broken=True))
    stage.say(played(1, "ann", "b", broken=True))
    stage.say(played(2, "ann", "c", broken=True))
    stage.say(played(0, "ann", "a"))
    stage.publish(MILD)

    assert stage.play(span=Span(0, 2, 4)) == [1]


def test_types_that_nobody_knew_are_told_from_what_was_counted_by_where_they_began() -> None:
    reader = Stage(0).reader()
    sorting = Sorting(reader, Before(ALONE, refused=(), unread={"played": 2}, given=()), 4, None)
    for number in range(4):
        value = json.dumps(played(number, "ann", f"e{number}")).encode()
        sorting.take(PlainRecord(number, APPENDED_MS, b"ann", value))
    sorting.take(PlainRecord(4, APPENDED_MS, b"ann", b"{"))

    assert sorting.chosen == [0, 1]
    assert sorting.fates == {("played", "readable"): 2, ("played", "counted"): 2}


def test_only_the_users_that_were_named_are_folded_and_counted() -> None:
    sorting = Sorting(Stage(0).reader(), Before(ALONE, refused={0, 1}, unread={}, given=()), 2, {"bo"})
    for number, user in enumerate(["ann", "bo"]):
        value = json.dumps(played(number, user, f"e{number}")).encode()
        sorting.take(PlainRecord(number, APPENDED_MS, user.encode(), value))

    assert (sorting.chosen, sorting.fates) == ([1], {("played", "readable"): 1})


def test_what_is_refused_still_is_told_by_its_class() -> None:
    sorting = Sorting(Stage(0).reader(), Before(ALONE, refused={0, 1}, unread={}, given=()), 2, None)
    sorting.take(PlainRecord(0, APPENDED_MS, b"ann", json.dumps(played(0, "ann", "e", broken=True)).encode()))
    sorting.take(PlainRecord(1, APPENDED_MS, b"ann", b"no event"))

    assert sorting.causes == {("played", "bad_data"): 1, ("(no event)", "malformed_json"): 1}
    assert sorting.chosen == []


def test_whose_events_belong_on_another_partition_are_refused_still() -> None:
    """Folded late they would be dead letters again."""
    here = next(name for name in "abcdefgh" if partition_of(name.encode(), 2) == 0)
    stranger = next(name for name in "abcdefgh" if partition_of(name.encode(), 2) == 1)
    sorting = Sorting(Stage(0).reader(), Before((0, 2), refused={0, 1}, unread={}, given=()), 2, None)
    for number, user in enumerate([stranger, here]):
        value = json.dumps(played(number, user, f"e{number}")).encode()
        sorting.take(PlainRecord(number, APPENDED_MS, user.encode(), value))

    assert (sorting.chosen, sorting.causes) == ([1], {("played", "wrong_partition"): 1})
