"""Owned partitions on a real broker, without Faust: fenced, atomic, restored from what is durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from broker.catalogs import publish, read_program, read_records
from broker.notes import write_note
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import Cut, Folded, PartitionEvaluator
from processor.evaluator.programs import Programs
from processor.evaluator.ready import ReadyProgram
from processor.kafka import partition as partition_module
from processor.kafka.fetch import Chunk
from processor.kafka.kafka_log import KafkaLog, KafkaWriter
from processor.kafka.ownership import Ownership
from processor.kafka.pace import NEVER
from processor.kafka.partition import OwnedPartition
from processor.profile import Profile
from processor.telemetry import Telemetry
from schemas.errors import Precondition
from schemas.notes import EXITS_MAX, SkipOrder, Suspect
from schemas.program import Program
from schemas.records import PlainRecord, Record
from schemas.state import CONTROL_FORMAT, STATE_FORMAT, Control, encode_state
from schemas.topics import partition_of
from tests.integration.owners import APPENDED_MS, NUMBER, Exited, leave
from tests.integration.processors import (
    CATALOG,
    PARTITIONS,
    POLL_S,
    WAIT_S,
    Event,
    Stage,
    computed,
    controls,
    records,
    seen,
    set_up,
    some_events,
)
from tests.servers import Servers
from tests.transactions import decided

pytestmark = pytest.mark.server


@pytest.fixture
async def stage(servers: Servers, namespace: str) -> Stage:
    return await set_up(servers.kafka, namespace)


class Process:
    """The partitions of what would be one worker process; it has read as far as the control record says."""

    def __init__(self, stage: Stage, program: Program, evaluator: Callable[..., PartitionEvaluator]) -> None:
        self._stage, self._source = stage, stage.source
        self.owned = Ownership(
            KafkaLog(stage.kafka),
            stage.names,
            Programs(program),
            PARTITIONS,
            lambda number: evaluator(ReadyProgram(program), number, PARTITIONS),
            NEVER,
            Telemetry(Profile()),
            leave,
            partial(read_records, stage.kafka, stage.names),
        )

    @property
    def partition(self) -> OwnedPartition:
        return self.owned.partitions[NUMBER]

    async def acquire(self) -> bool:
        return await self.owned.acquire({NUMBER}, self.open)

    async def open(self, partition: OwnedPartition) -> None:
        position = partition.control.positions.get(self._source, 0)
        partition.open({self._source: position}, {self._source: position})

    async def fold(self, *values: tuple[str, bytes]) -> None:
        """Fold records of (user, value), each at the next offset."""
        start = self.partition.positions[self._source]
        made = [
            PlainRecord(start + place, APPENDED_MS, user.encode(), value)
            for place, (user, value) in enumerate(values)
        ]
        end = start + len(made)
        await self.owned.fold(Chunk(self._source, NUMBER, start, end, end, made))

    async def play(self, events: Sequence[Event]) -> None:
        await self.fold(*((event.user, event.value) for event in events))

    async def commit(self) -> None:
        """Until everybody can see it."""
        await self.owned.checkpoint(self.partition)
        await decided(self._stage.kafka, self._stage.written)


@asynccontextmanager
async def process(
    stage: Stage, program: Program | None = None, evaluator: Callable[..., PartitionEvaluator] = PartitionEvaluator
) -> AsyncIterator[Process]:
    started = Process(stage, program or await read_program(stage.kafka, stage.names), evaluator)
    try:
        yield started
    finally:
        for partition in started.owned.partitions.values():
            started.owned.parking_lot.leave(partition)
            if partition.writer is not None:
                await partition.writer.close()


def own_events(count: int) -> list[Event]:
    """Events of users who live in the partition, none of which derives another."""
    events = (event._replace(partner=None) for event in some_events(count * PARTITIONS * 2, users=200))
    return [event for event in events if partition_of(event.user.encode(), PARTITIONS) == NUMBER][:count]


async def assert_holds(stage: Stage, events: Sequence[Event]) -> None:
    """The topics hold what these events give, at the position behind them."""
    assert (await seen(stage)).totals == computed(events)
    positions = [control.positions for control in (await controls(stage)).values()]
    assert positions == ([{stage.source: len(events)}] if events else [])


FAILURES = ["begin", "append", "move", "commit"]


@pytest.mark.parametrize("step", FAILURES)
async def test_a_checkpoint_that_fails_shows_nothing(
    stage: Stage, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends, and the next owner folds the same records again, as if for the first time."""
    events = own_events(60)
    async with process(stage) as first, process(stage) as second:
        await first.acquire()
        await first.play(events)
        monkeypatch.setattr(first.partition.writer, step, failing)
        with pytest.raises(Exited, match="checkpoint of partition 2 failed"):
            await first.commit()
        await assert_holds(stage, [])

        await second.acquire()
        await second.play(events)
        await second.commit()

        await assert_holds(stage, events)


async def failing(*_: Any, **__: Any) -> None:
    raise ConnectionError("the line went dead")


async def test_a_commit_whose_answer_was_lost_counts_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process cannot know and ends; its successor reads in the changelog how far it had come."""
    events = own_events(60)
    async with process(stage) as first, process(stage) as second:
        await first.acquire()
        await first.play(events)

        async def commit_and_hear_nothing() -> None:
            await KafkaWriter.commit(first.partition.writer)
            raise ConnectionError("the line went dead")

        monkeypatch.setattr(first.partition.writer, "commit", commit_and_hear_nothing)
        with pytest.raises(Exited):
            await first.commit()
        await second.acquire()

        assert second.partition.positions == {stage.source: 60}
        await assert_holds(stage, events)


async def test_an_owner_that_was_fenced_commits_nothing(stage: Stage) -> None:
    """It slept through its session; what it still holds is older than what its successor wrote."""
    events = own_events(80)
    async with process(stage) as sleeper, process(stage) as successor:
        await sleeper.acquire()
        await sleeper.play(events[:30])
        await successor.acquire()
        await successor.play(events)
        await successor.commit()

        with pytest.raises(Exited):
            await sleeper.commit()

        await assert_holds(stage, events)


async def test_a_kept_partition_takes_in_what_another_owner_wrote_meanwhile(stage: Stage) -> None:
    """Memory is true up to our own last write, not up to the end of the changelog when we come back."""
    events = own_events(90)
    async with process(stage) as first, process(stage) as second:
        await first.acquire()
        await first.play(events[:40])
        await first.owned.release()
        await second.acquire()
        await second.play(events[40:70])
        await second.owned.release()
        kept = first.partition.evaluator

        await first.acquire()
        await first.play(events[70:])
        await first.commit()

        assert first.partition.evaluator is kept
        await assert_holds(stage, events)


async def test_a_release_in_the_middle_of_a_chunk_commits_up_to_a_slice(stage: Stage) -> None:
    events = own_events(1_000)
    async with process(stage) as first, process(stage) as second:
        await first.acquire()
        folding = asyncio.create_task(first.play(events))
        await asyncio.sleep(0)  # one slice

        await first.owned.release()
        await folding

        assert first.partition.snapshot() is None, "memory ran ahead of the log after the last checkpoint"
        await second.acquire()
        read = second.partition.positions[stage.source]
        assert 0 < read < len(events)
        await assert_holds(stage, events[:read])
        await second.play(events[read:])
        await second.commit()
        await assert_holds(stage, events)


async def test_folding_goes_on_while_a_cut_is_committed(stage: Stage) -> None:
    """The cut holds what was folded before it, and what was folded since is in the next one."""
    events = own_events(200)
    async with process(stage) as only:
        await only.acquire()
        await only.play(events[:100])
        committing = asyncio.create_task(only.commit())
        await asyncio.sleep(0)  # the cut is made

        await only.play(events[100:])

        assert not committing.done()
        await committing
        await assert_holds(stage, events[:100])
        await only.commit()
        await assert_holds(stage, events)


async def test_a_release_during_an_acquire_ends_with_nothing_owned(stage: Stage) -> None:
    """A rebalance comes before the last one is digested; nothing may be folded on behalf of the older."""
    async with process(stage) as only:
        opening, may_go_on = asyncio.Event(), asyncio.Event()

        async def slow_open(partition: OwnedPartition) -> None:
            opening.set()
            await may_go_on.wait()

        acquiring = asyncio.create_task(only.owned.acquire({NUMBER}, slow_open))
        await opening.wait()
        releasing = asyncio.create_task(only.owned.release())
        await asyncio.sleep(0)
        may_go_on.set()

        assert await acquiring is False
        await releasing
        assert only.owned.is_released
        assert not only.partition.is_open


async def test_a_worker_that_started_with_an_older_catalog_than_has_run_reads_the_newer_one(stage: Stage) -> None:
    """It learns of it from the control record, and its numbering is that of the states then."""
    events = own_events(6)
    async with process(stage) as older:
        text = CATALOG.replace("version: 1", "version: 2").format(topic=stage.source)
        await publish(stage.kafka, stage.names, text, "toy.yaml", compile_catalog)
        async with process(stage) as first:
            await first.acquire()
            await first.play(events[:3])
            await first.commit()

        await older.acquire()
        await older.play(events[3:])
        await older.commit()

        assert [control.catalogs for control in (await controls(stage)).values()] == [{"toy": 2}]
        await assert_holds(stage, events)


async def test_a_worker_that_meets_a_version_that_has_run_and_is_nowhere_is_refused(stage: Stage) -> None:
    """The topic was recreated, and nobody has the numbering of the states any more."""
    program = await read_program(stage.kafka, stage.names)
    newer = replace(program, catalogs=[replace(program.catalogs[0], version=2)])
    async with process(stage, newer) as first, process(stage) as second:
        await first.acquire()
        await first.play(own_events(3))
        await first.commit()

        with pytest.raises(Precondition, match=r"partition 2 has run toy version 2, which .* not have"):
            await second.acquire()


async def test_a_control_record_of_a_newer_version_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with process(stage) as newer, process(stage) as ours:
        await newer.acquire()
        monkeypatch.setattr(partition_module, "Control", partial(Control, format=CONTROL_FORMAT + 1))
        await newer.play(own_events(3))
        await newer.commit()

        with pytest.raises(Precondition, match=r"partition 2 has format 2, this worker knows 1: upgrade it"):
            await ours.acquire()


async def test_a_user_state_of_a_newer_version_ends_the_worker_for_good_when_it_is_touched(stage: Stage) -> None:
    """With 4: a restart would not help, and nothing is folded over what cannot be read."""
    event = own_events(1)[0]
    state = [STATE_FORMAT + 1, None, b"", "whatever comes"]
    async with process(stage) as only:
        await only.acquire()
        only.partition.evaluator.load([(event.user.encode(), encode_state(state))])

        newer = rf"\(4, .*a user state of format {STATE_FORMAT + 1} .*upgrade it to the version "
        with pytest.raises(Exited, match=newer):
            await only.play([event])


class Uncuttable(PartitionEvaluator):
    """Makes something of one event that cannot be encoded."""

    culprit = ""
    spoilt = False

    def fold(self, topic: str, records: Sequence[Record]) -> Folded:
        self.spoilt |= any(self.culprit.encode() in (record.value or b"") for record in records)
        return super().fold(topic, records)

    def cut(self) -> Cut:
        if self.spoilt:
            raise OverflowError("what was folded cannot be encoded")
        return super().cut()


async def test_a_record_whose_state_cannot_be_encoded_is_found_parked_and_skipped(stage: Stage) -> None:
    """The first exit knows all records since the last checkpoint; each further one fewer, and at last the one."""
    events, at = own_events(300), 123
    Uncuttable.culprit = f'"{events[at].id}"'
    exits = 0
    while not await parks(stage, events):
        exits += 1
        assert exits < 6, "no exit made the stretch shorter"
    await assert_holds(stage, events[:at])

    await write_note(stage.kafka, stage.names, NUMBER, SkipOrder(topic=stage.source, offset=at))
    async with process(stage, evaluator=Uncuttable) as last:
        await last.acquire()
        await last.play(events[at:])
        await last.commit()

    assert (await seen(stage)).totals == computed([*events[:at], *events[at + 1 :]])
    ((_, letter),) = await records(stage, stage.names.dead_letters)
    assert explained(letter)["laurel.error.class"] == "skipped"


async def parks(stage: Stage, events: Sequence[Event]) -> bool:
    """A worker's life: whether it comes to stand at a record, rather than to exit."""
    async with process(stage, evaluator=Uncuttable) as worker:
        await worker.acquire()
        try:
            await worker.play(events[worker.partition.positions[stage.source] :])
            await worker.commit()
        except Exited:
            return False
        return worker.partition.parked.keys() == {stage.source}


async def test_a_parked_partition_goes_on_in_the_same_process_when_the_order_comes(stage: Stage) -> None:
    """What was on its way from before is left alone; the position is where it goes on."""
    events, at = own_events(60), 20
    suspect = Suspect(topic=stage.source, start=at, end=at + 1, exits=EXITS_MAX, error="KeyError")
    await write_note(stage.kafka, stage.names, NUMBER, suspect)
    async with process(stage) as only:
        await only.acquire()
        await only.play(events[:40])
        assert only.partition.parked == {stage.source: at}
        assert only.partition.lags == {}

        await write_note(stage.kafka, stage.names, NUMBER, SkipOrder(topic=stage.source, offset=at))
        deadline = time.monotonic() + WAIT_S
        while only.partition.parked:
            assert time.monotonic() < deadline, "the order was not heard"
            await asyncio.sleep(POLL_S)
        await only.owned.fold(Chunk(stage.source, NUMBER, 40, 41, 60, [PlainRecord(40, 0, b"late", b"{")]))
        await only.play(events[at:])
        await only.commit()

    await assert_holds_positions(stage, len(events))
    assert (await seen(stage)).totals == computed([*events[:at], *events[at + 1 :]])


async def test_a_refused_record_becomes_a_dead_letter_in_the_same_transaction(stage: Stage) -> None:
    """As it was, with headers that say where it came from and why; the events around it count."""
    before, after = own_events(2)
    async with process(stage) as only:
        await only.acquire()
        await only.fold((before.user, before.value), (before.user, b"{"), (after.user, after.value))
        await only.commit()
        await assert_holds_positions(stage, 3)

        ((partition, letter),) = await records(stage, stage.names.dead_letters)

    assert (partition, letter.key, letter.value) == (NUMBER, before.user.encode(), b"{")
    assert letter.timestamp > APPENDED_MS, "it is kept for 90 days of its own"
    assert explained(letter) == {
        "laurel.error.topic": stage.source,
        "laurel.error.partition": str(NUMBER),
        "laurel.error.offset": "1",
        "laurel.error.timestamp": str(APPENDED_MS),
        "laurel.error.stage": "fold",
        "laurel.error.class": "malformed_json",
    }
    assert (await seen(stage)).totals == computed([before, after])


async def assert_holds_positions(stage: Stage, position: int) -> None:
    assert [control.positions for control in (await controls(stage)).values()] == [{stage.source: position}]


def explained(letter: Record) -> dict[str, str]:
    """The headers, but for the message, which is for people."""
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers.pop("laurel.error.message")
    return headers
