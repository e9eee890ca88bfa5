"""The simulation against the mistakes it is there to find: take one guard away, and it has to notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

import pytest

from broker.reading import Batch
from processor.evaluator.partition import Folded
from processor.kafka.fetch import Chunk
from processor.kafka.partition import OwnedPartition
from projections import checkpoints
from projections.session import Session
from schemas.records import PlainRecord
from simulation import world
from simulation.broker import Broker
from simulation.plan import Plan, plan
from simulation.run import simulate

SEEDS_MAX = 400
OFFSETS = 10**9


def assert_noticed(*invariants: str, among: Callable[[Plan], bool]) -> None:
    """Within a bounded number of seeds one of these invariants is broken. Only seeds that could are played."""
    for seed in filter(lambda seed: among(plan(seed)), range(SEEDS_MAX)):
        if any(complaint.startswith(invariants) for complaint in simulate(seed).complaints):
            return
    pytest.fail(f"{SEEDS_MAX} simulations did not notice")


def test_without_the_mark_a_record_that_is_read_again_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window of event ids catches only the last ones."""

    class Unmarked(world.Told):
        """Takes every record for one that lies behind all it has seen."""

        offsets = count(OFFSETS)

        def fold(self, topic: str, records: Sequence[PlainRecord]) -> Folded:  # type: ignore[override]
            return super().fold(topic, [each._replace(offset=next(self.offsets)) for each in records])

    monkeypatch.setattr(world, "Told", Unmarked)
    assert_noticed("I4", among=lambda plan: "rewind" in plan.faults and plan.users == 3)


def test_without_the_fence_a_worker_that_wakes_writes_over_its_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broker, "_check", lambda self, transactional_id, epoch: None)
    assert_noticed("I1", "I4", "I5", among=lambda plan: "pause at a step" in plan.faults and plan.workers > 1)


def test_without_the_contiguity_check_records_go_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_anything(self: OwnedPartition, chunk: Chunk) -> bool:
        self.stable_ends[chunk.topic] = chunk.stable_end
        return self.is_open and chunk.topic in self.positions

    monkeypatch.setattr(OwnedPartition, "begin", take_anything)
    assert_noticed("I1", "I4", among=lambda plan: plan.mishaps > 0)


def test_without_the_compare_and_set_a_projector_that_wakes_shows_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    async def move_and_write_anyway(session: Session, projection: str, batches: Sequence[Batch]) -> None:
        await session.move(batches)

    monkeypatch.setattr(checkpoints, "move", move_and_write_anyway)
    assert_noticed("I2", among=lambda plan: "pause at a step" in plan.faults and plan.projectors > 1)
