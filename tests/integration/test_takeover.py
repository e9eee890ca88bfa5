"""The owner of a partition takes a shadow over, on a real broker: fenced, whole, in one checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from broker.catalogs import publish, read_records
from broker.positions import Positions, group_positions
from broker.topics import create_topics, places_of, wanted_topics
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.programs import Programs
from processor.evaluator.takeover import Takeover
from processor.kafka import takeover
from processor.kafka.fetch import Chunk
from processor.kafka.kafka_log import KafkaLog
from processor.kafka.ownership import Ownership
from processor.kafka.pace import NEVER
from processor.kafka.partition import OwnedPartition
from processor.profile import Profile
from processor.telemetry import Telemetry
from schemas.outcomes import AnyOutcome, Outcome, ReplayOutcome, decode_any_outcome
from schemas.program import CatalogRecord, Program
from schemas.records import PlainRecord
from schemas.replays import Cancel, Hold, Promote, Rehearse, Release, ReplayOrder, Settle, encode_order
from schemas.state import CONTROL_KEY
from schemas.topics import Names, partition_of
from tests.integration.owners import APPENDED_MS, NUMBER, Exited, leave
from tests.integration.processors import (
    CATALOG,
    PARTITIONS,
    POLL_S,
    WAIT_S,
    Event,
    Stage,
    play,
    records,
    some_events,
    workers_of,
)
from tests.servers import Servers
from tests.transactions import decided

pytestmark = pytest.mark.server

NEW = (
    CATALOG.replace("version: 1", "version: 2")
    .replace("by: data.piece}}", "by: data.piece, normalize: true}}")
    .replace("name: Many, at: 25", "name: Many, at: 12")
)
EVENTS = 300  # fifteen of each user


class Owner:
    """One partition of a namespace, and all that it reads: given by hand."""

    def __init__(self, kafka: str, names: Names, source: str, history: Sequence[CatalogRecord], runs: int) -> None:
        self._kafka, self.names, self._source = kafka, names, source
        record = history[runs - 1]
        program = Program(
            catalogs=[record.program], ledger=record.ledger, derived=names.derived, commands=names.commands
        )
        programs = Programs(program, history[:runs])
        self.owned = Ownership(
            KafkaLog(kafka),
            names,
            programs,
            PARTITIONS,
            lambda number: PartitionEvaluator(programs.ready(programs.first), number, PARTITIONS),
            NEVER,
            Telemetry(Profile()),
            leave,
            partial(read_records, kafka, names),
        )

    @property
    def partition(self) -> OwnedPartition:
        return self.owned.partitions[NUMBER]

    async def acquire(self) -> None:
        await self.owned.acquire({NUMBER}, self._open)

    async def _open(self, partition: OwnedPartition) -> None:
        topics = (self._source, self.names.derived, self.names.replay_assignments)
        starts = {topic: partition.control.positions.get(topic, 0) for topic in topics}
        partition.open(starts, starts)
        if partition.followed is not None:
            partition.followed = {self._source: 10**9}

    async def take(self, topic: str, rows: Sequence[tuple[bytes | None, bytes]]) -> None:
        start = self.partition.positions[topic]
        made = [PlainRecord(start + place, APPENDED_MS, *row) for place, row in enumerate(rows)]
        end = start + len(made)
        await self.owned.fold(Chunk(topic, NUMBER, start, end, end, made))

    async def play(self, rows: Sequence[tuple[bytes | None, bytes]]) -> None:
        await self.take(self._source, rows)

    async def obey(self, order: ReplayOrder) -> None:
        await self.take(self.names.replay_assignments, [(None, encode_order(order))])

    async def commit(self) -> None:
        await self.owned.checkpoint(self.partition)
        await decided(self._kafka, [self.names.changelog, self.names.outcomes])


@asynccontextmanager
async def owner(pair: Pair, names: Names, runs: int) -> AsyncIterator[Owner]:
    made = Owner(pair.kafka, names, pair.source, pair.history, runs)
    try:
        await made.acquire()
        yield made
    finally:
        for partition in made.owned.partitions.values():
            if partition.writer is not None:
                await partition.writer.close()


class Pair:
    """A live namespace and its shadow, with the same versions in their catalogs topics."""

    def __init__(self, kafka: str, namespace: str) -> None:
        self.kafka, self.source = kafka, f"{namespace}.plays"
        self.live = Names(namespace)
        self.shadow = Names(f"{namespace}-s", follows=namespace)
        self.history: Sequence[CatalogRecord] = ()

    async def set_up(self) -> None:
        for names in (self.live, self.shadow):
            await create_topics(self.kafka, wanted_topics(names, [self.source], PARTITIONS))
            for text in (CATALOG, NEW):
                await publish(self.kafka, names, text.format(topic=self.source), "toy.yaml", compile_catalog)
        self.history = await read_records(self.kafka, self.live)


@pytest.fixture
async def pair(servers: Servers, namespace: str) -> Pair:
    made = Pair(servers.kafka, namespace)
    await made.set_up()
    return made


def plays() -> list[tuple[bytes | None, bytes]]:
    """The users live in the partition."""
    names = (f"u{each}" for each in range(1000))
    users = [name for name in names if partition_of(name.encode(), PARTITIONS) == NUMBER][:20]
    events = [Event(f"e{each}", users[each % len(users)], "Nocturne", None) for each in range(EVENTS)]
    return [(each.user.encode(), each.value) for each in events]


async def settle(live: Owner) -> None:
    await live.obey(Hold(replay="r"))
    await live.obey(Settle(replay="r", derived=0))
    await live.commit()


def promotion(pair: Pair) -> Promote:
    return Promote(replay="r", shadow=pair.shadow.namespace, catalogs={"toy": 2}, notify="all")


def rehearsal(pair: Pair) -> Rehearse:
    return Rehearse(**asdict(promotion(pair)))


async def folded(pair: Pair) -> None:
    """The shadow has folded everything, and its worker lives on."""
    async with owner(pair, pair.shadow, runs=2) as shadow:
        await shadow.play(plays())
        await shadow.commit()


async def failing(*_: Any, **__: Any) -> None:
    raise ConnectionError("the line went dead")


async def test_a_promotion_that_dies_before_its_commit_changes_nothing_and_the_next_owner_does_it_again(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then states and awards are those of the shadow, each told once and with the shadow's evidence; and the shadow
    has those of before."""
    await folded(pair)
    expected = await states(pair, pair.shadow)
    async with owner(pair, pair.live, runs=1) as first:
        await first.play(plays())
        await settle(first)
        await first.obey(promotion(pair))
        monkeypatch.setattr(first.partition.writer, "commit", failing)
        with pytest.raises(Exited, match="the checkpoint of partition 2 failed"):
            await first.commit()
    async with owner(pair, pair.live, runs=1) as second:
        assert await states(pair, pair.shadow) == expected
        before = await states(pair, pair.live)
        assert second.partition.replays.notes["r"].phase == "settled"
        assert second.partition.replays.catalogs == {"toy": 1}

        await second.obey(promotion(pair))
        await second.commit()

        await decided(pair.kafka, [pair.shadow.changelog])
        assert await states(pair, pair.live) == expected != before
        assert await states(pair, pair.shadow) == before
        told, theirs = await outcomes(pair, pair.live), await outcomes(pair, pair.shadow)
    gained = [each for each in told if isinstance(each, Outcome) and each.data.origin == "replay"]
    assert len(gained) == 20
    assert {(each.id, each.time) for each in gained} < {(each.id, each.time) for each in theirs}
    assert len({each.id for each in told}) == len(told)
    assert sum(isinstance(each, ReplayOutcome) for each in told) == 1


async def test_a_shadow_that_still_writes_is_fenced_before_it_is_read(pair: Pair) -> None:
    async with owner(pair, pair.shadow, runs=2) as shadow, owner(pair, pair.live, runs=1) as live:
        await shadow.play(plays())
        await shadow.commit()
        await live.play(plays())
        await settle(live)
        await shadow.play(plays()[:20])

        await live.obey(promotion(pair))

        assert live.partition.replays.notes["r"].phase == "done"
        with pytest.raises(Exited, match="the checkpoint of partition 2 failed"):
            await shadow.commit()


async def test_what_is_too_much_for_one_transaction_is_refused_before_it_is_decided(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "BYTES_MAX", 1_000)
    await folded(pair)
    async with owner(pair, pair.live, runs=1) as live:
        await live.play(plays())
        await settle(live)

        await live.obey(rehearsal(pair))

        note = live.partition.replays.notes["r"]
        assert note.phase == "settled"
        assert "and one transaction at most 1,000" in (note.refused or "")


async def test_what_was_rehearsed_is_promoted_unless_the_shadow_has_written_since(pair: Pair) -> None:
    await folded(pair)
    async with owner(pair, pair.live, runs=1) as live:
        await live.play(plays())
        await settle(live)
        await live.obey(rehearsal(pair))
        rehearsed = live.partition.replays.prepared
        assert isinstance(rehearsed, Takeover)
        reading = takeover.Reading(KafkaLog(pair.kafka), pair.live, live.partition, promotion(pair))
        order = PlainRecord(live.partition.positions[pair.live.replay_assignments], APPENDED_MS, None, b"")
        assert await reading.takeover(order, rehearsed) is rehearsed

        async with owner(pair, pair.shadow, runs=2) as shadow:
            await shadow.obey(Cancel(replay="another"))
            await shadow.commit()

        assert await reading.takeover(order, rehearsed) is not rehearsed
        await live.obey(promotion(pair))
        assert live.partition.replays.notes["r"].phase == "done"


async def test_a_shadow_that_is_not_there_is_a_refusal_and_a_release_lets_the_old_rules_go_on(pair: Pair) -> None:
    async with owner(pair, pair.live, runs=1) as live:
        await live.play(plays()[:40])
        await settle(live)

        await live.obey(promotion(pair))

        note = live.partition.replays.notes["r"]
        assert (note.phase, note.refused) == ("settled", "the shadow has run {}, not {'toy': 2}")
        await live.obey(Release(replay="r"))
        await live.play(plays()[40:60])
        assert live.partition.positions[pair.source] == 60


async def test_a_shadows_worker_comes_as_far_as_live_and_never_further(pair: Pair, tmp_path: Path) -> None:
    """It is there first, and waits."""
    live, shadow = (Stage(pair.kafka, names, pair.source) for names in (pair.live, pair.shadow))
    await play(live, some_events(2_000))
    folders = [tmp_path / "live", tmp_path / "shadow"]
    for folder in folders:
        folder.mkdir()
    with workers_of(shadow, folders[1]) as shadows, workers_of(live, folders[0]) as workers:
        behind = shadows.start(LAUREL_FOLLOWS=pair.live.namespace)
        await behind.wait_for(lambda: len(behind.owned) == PARTITIONS, "shadow that owns all")
        assert set((await positions(shadow)).values()) == {0}
        worker, deadline = workers.start(), time.monotonic() + WAIT_S
        while min((reached := await positions(shadow)).values()) == 0 or reached != await positions(live):
            ahead = await positions(live)
            assert all(reached[place] <= ahead[place] for place in ahead)
            worker.assert_running()
            behind.assert_running()
            assert time.monotonic() < deadline, f"the shadow is at {reached}, live at {ahead}"
            await asyncio.sleep(POLL_S)


async def positions(stage: Stage) -> Positions:
    """Of the source."""
    async with group_positions(stage.kafka, stage.names.processor) as group:
        return await group.committed(await places_of(stage.kafka, [stage.source]))


async def states(pair: Pair, names: Names) -> dict[bytes, bytes | None]:
    """Of the partition's users, as the changelog has them."""
    rows = await records(Stage(pair.kafka, names, pair.source), names.changelog)
    return {row.key: row.value for _, row in rows if row.key not in (None, CONTROL_KEY)}


async def outcomes(pair: Pair, names: Names) -> list[AnyOutcome]:
    rows = await records(Stage(pair.kafka, names, pair.source), names.outcomes)
    return [decode_any_outcome(row.value or b"") for _, row in rows]
