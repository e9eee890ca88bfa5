"""Versions that are published while a replay works, or after one was cancelled, over a partition in memory."""

from __future__ import annotations

from random import Random

import pytest

from processor.replay.job import run
from processor.replay.ports import Addressed
from schemas.errors import LaurelError
from schemas.outcomes import Outcome
from schemas.replays import Publish
from schemas.state import decode_control
from simulation.loop import virtual_loop
from tests.unit.replaying import ASSIGNMENTS, Course, Partition, World, changes_to, task_of, values_of
from tests.unit.test_replay_job import TEXTS, Stage, alphas, with_texts

THIRD = with_texts().replace("version: 2", "version: 3")
COUNTS = "  texts: {distinct: alpha, by: data.text}\n"
WITHOUT = THIRD.replace(COUNTS, "").replace(TEXTS, "")
OTHERWISE = THIRD.replace("by: data.text}", "by: data.text, normalize: true}")


class Lenient(Partition):
    """Orders that cannot be obeyed are dead letters."""

    def obey(self) -> None:
        self._programs.learn(self.versions.records)
        for topic, record in self.orders[self._positions.get(ASSIGNMENTS, 0) :]:
            self._replays.fold([record], self._positions)
            self._positions[topic] = record.offset + 1
        self.commit()


def publish(partition: Partition, text: str, *, from_now: bool = False) -> None:
    record = partition.versions.publish(text, announced=True)
    partition.order(None, Publish(catalogs={record.catalog: record.version}, from_now=from_now))


@pytest.mark.parametrize("third", [WITHOUT, OTHERWISE], ids=["removed", "redefined"])
def test_a_replay_whose_metric_another_version_takes_away_fails_with_the_reason(third: str) -> None:
    stage = Stage(with_texts(), alphas(7))
    stage.partition.__class__ = Lenient
    send = stage.world.send

    async def published_behind_prepare(partition: int, orders: list[Addressed]) -> None:
        await send(partition, orders)
        if len(stage.partition.versions.records) == 2:
            publish(stage.partition, third)

    stage.world.send = published_behind_prepare  # type: ignore[method-assign,assignment]

    with pytest.raises(LaurelError, match=r"0 of 1 users.*another version"):
        virtual_loop().run(run(stage.task, stage.world.ports()))


def cancelled(events: int = 7) -> Stage:
    """After the replay that was to bring version 2."""
    stage = Stage(with_texts(), alphas(events))
    stage.world._course = Course(cancelled_after=3)
    assert stage.play() == "cancelled"
    return stage


def texts_of(stage: Stage, versions: dict[str, int]) -> object:
    partition = stage.partition
    program = partition.versions.program(versions)
    rows = {user: row for user, row in dict(partition.states).items() if row is not None}
    return values_of(rows, program).get(("ann", "songs", "texts"))


def test_what_a_cancelled_replay_left_begins_from_now_when_it_is_published_so() -> None:
    stage = cancelled()
    assert texts_of(stage, {"songs": 2}) == 7, "the past had joined before it was cancelled"

    publish(stage.partition, THIRD, from_now=True)
    stage.partition.obey()
    assert texts_of(stage, {"songs": 3}) is None
    for said in alphas(3, first=20):
        stage.partition.say(said)

    assert texts_of(stage, {"songs": 3}) == 3
    given = [each.data for each in stage.partition.outcomes if isinstance(each, Outcome)]
    assert [(each.achievement, each.origin) for each in given] == [("texts", "live"), ("ten", "live")]
    assert changes_to(stage.partition, {"songs": 3})[0].kind == "nothing"


def test_the_cancelled_version_itself_may_begin_from_now() -> None:
    stage = cancelled()

    stage.partition.order(None, Publish(catalogs={"songs": 2}, from_now=True))
    stage.partition.obey()
    for said in alphas(2, first=20):
        stage.partition.say(said)

    assert texts_of(stage, {"songs": 2}) == 2
    note = decode_control(stage.partition.control).replays["r"]
    assert (note.phase, note.muted, note.filling) == ("cancelled", [], [])


def test_without_that_word_what_a_cancelled_replay_left_waits_for_another_replay() -> None:
    stage = cancelled()

    publish(stage.partition, THIRD)
    stage.partition.obey()

    assert changes_to(stage.partition, {"songs": 3})[0].filling == [("songs", "texts")]


def test_what_a_replay_fills_just_now_is_left_to_it() -> None:
    stage = Stage(with_texts(), alphas(7))
    send = stage.world.send

    async def published_behind_prepare(partition: int, orders: list[Addressed]) -> None:
        await send(partition, orders)
        if len(stage.partition.versions.records) == 2:
            publish(stage.partition, THIRD, from_now=True)

    stage.world.send = published_behind_prepare  # type: ignore[method-assign,assignment]

    assert stage.play() == "done"
    assert texts_of(stage, {"songs": 3}) == 7


def test_a_later_replay_of_what_runs_does_not_hide_in_whose_states_a_cancelled_one_was() -> None:
    stage = cancelled(events=12)
    found, program = changes_to(stage.partition, {"songs": 2}, [("songs", "ten")])
    virtual_loop().run(run(task_of(found, program, "r2"), World(stage.partition, [], Random(0), Course()).ports()))

    publish(stage.partition, THIRD, from_now=True)
    stage.partition.obey()

    assert texts_of(stage, {"songs": 3}) is None
