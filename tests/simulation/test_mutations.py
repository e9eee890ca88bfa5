"""The simulation against the mistakes it is there to find: take one guard away, and it has to notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count

import pytest
from msgspec.structs import replace

from broker.reading import Batch
from processor.evaluator.endings import Endings
from processor.evaluator.late import Counted
from processor.evaluator.orders import Given
from processor.evaluator.partition import Folded
from processor.evaluator.replays import OBEYED, Replays
from processor.evaluator.takeover import Takeover
from processor.kafka.fetch import Chunk
from processor.kafka.partition import OwnedPartition
from projections import checkpoints
from projections.session import Session
from replays.beholding import Sight
from schemas.records import PlainRecord
from schemas.replays import Base, Late, Prepare, Release
from schemas.state import Control, State
from simulation import world
from simulation.activity import NAMES
from simulation.broker import Broker
from simulation.plan import Plan, plan
from simulation.replayer import MemoryNotes
from simulation.run import simulate

SEEDS_MAX = 4_000
OFFSETS = 10**9


def assert_noticed(*invariants: str, among: Callable[[Plan], bool]) -> None:
    """Within a bounded number of seeds one of these invariants is broken. Only seeds that could are played."""
    for seed in filter(lambda seed: among(plan(seed)), range(SEEDS_MAX)):
        if any(complaint.startswith(invariants) for complaint in simulate(seed).complaints):
            return
    pytest.fail(f"{SEEDS_MAX} simulations did not notice")


def is_rewound_late(plan: Plan) -> bool:
    """So late that the window of ids has let go of what is read again."""
    return "rewind" in plan.faults and plan.users == 3 and plan.events == 160


def test_without_the_mark_a_record_that_is_read_again_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window of event ids catches only the last ones."""

    class Unmarked(world.Told):
        """Takes every record for one that lies behind all it has seen."""

        offsets = count(OFFSETS)

        def fold(self, topic: str, records: Sequence[PlainRecord]) -> Folded:  # type: ignore[override]
            return super().fold(topic, [each._replace(offset=next(self.offsets)) for each in records])

    monkeypatch.setattr(world, "Told", Unmarked)
    assert_noticed("I4", among=is_rewound_late)


def test_without_the_fence_a_worker_that_wakes_writes_over_its_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broker, "_check", lambda self, transactional_id, epoch: None)
    assert_noticed("I1", "I4", "I5", among=lambda plan: "pause at a step" in plan.faults and plan.workers > 1)


def test_without_the_contiguity_check_records_go_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_anything(self: OwnedPartition, chunk: Chunk) -> bool:
        self.stable_ends[chunk.topic] = chunk.stable_end
        return self.is_open and chunk.topic in self.positions

    monkeypatch.setattr(OwnedPartition, "begin", take_anything)
    assert_noticed("I1", "I4", among=lambda plan: plan.mishaps > 0)


def shows_under_pauses(plan: Plan) -> bool:
    return "pause at a step" in plan.faults and plan.projectors > 1 and not plan.replays.wishes


def test_without_the_compare_and_set_a_projector_that_wakes_shows_what_was(monkeypatch: pytest.MonkeyPatch) -> None:
    async def move_and_write_anyway(session: Session, projection: str, batches: Sequence[Batch]) -> None:
        await session.move(batches)

    monkeypatch.setattr(checkpoints, "move", move_and_write_anyway)
    assert_noticed("I2", among=shows_under_pauses)


def fills(plan: Plan) -> bool:
    return bool({"counts", "kinds"} & {*plan.replays.additions})


def test_without_the_end_marker_a_replay_is_activated_before_the_past_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare = Replays._prepare

    def ready_at_once(self: Replays, given: Given) -> str:
        fate = prepare(self, given)
        note = self.notes[given.order.replay]
        self.notes[given.order.replay] = replace(note, phase="ready") if note.phase == "filling" else note
        return fate

    monkeypatch.setitem(OBEYED, Prepare, ready_at_once)
    assert_noticed("I2", among=fills)


def test_a_base_that_is_added_instead_of_assigned_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assign = Replays._base

    def add(self: Replays, given: Given) -> str:
        fate = assign(self, given)
        if fate == "duplicate":
            self._program.fillings[given.order.replay].join(self._states.user(given.user), given.order.slots)
        return fate

    monkeypatch.setitem(OBEYED, Base, add)
    assert_noticed("I2", among=lambda plan: fills(plan) and plan.replays.replayers > 1)


def test_a_cut_that_the_job_chooses_is_not_where_live_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    read = MemoryNotes.controls

    async def cut_at_the_end(self: MemoryNotes) -> Mapping[int, Control]:
        controls = await read(self)
        for number, control in controls.items():
            for id, note in control.replays.items():
                ends = {topic: self._client.broker.extent((topic, number)).end for topic in note.cut}
                control.replays[id] = replace(note, cut=ends)
        return controls

    monkeypatch.setattr(MemoryNotes, "controls", cut_at_the_end)
    assert_noticed("I2", among=fills)


def test_a_cut_below_what_the_states_hold_loses_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an operator has set positions back, and the replay was prepared before they were there again."""

    def obey_where_they_stand(self: OwnedPartition, records: Sequence[PlainRecord]) -> Folded:
        return self.replays.fold(
            records, {topic: at for topic, at in self.positions.items() if topic != NAMES.replay_assignments}
        )

    monkeypatch.setattr(OwnedPartition, "_obey", obey_where_they_stand)
    assert_noticed("I1", "I2", among=lambda plan: fills(plan) and plan.faults.count("rewind") > 1)


def is_doubled_and_paused(plan: Plan) -> bool:
    """So that one job may cancel while the other sleeps."""
    return plan.replays.replayers > 1 and "pause at an order" in plan.replays.faults


def test_a_cancel_that_is_forgotten_lets_a_late_prepare_revive_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = Replays._prepare

    def forget(self: Replays, given: Given) -> str:
        note = self.notes.get(given.order.replay)
        if note is not None and note.phase == "cancelled":
            del self.notes[given.order.replay]
        return prepare(self, given)

    monkeypatch.setitem(OBEYED, Prepare, forget)
    assert_noticed("replays", among=is_doubled_and_paused)


def folds_late(plan: Plan) -> bool:
    return any(wish.how == "late" for wish in plan.replays.wishes)


def test_a_late_record_that_comes_twice_counts_twice_without_the_mark_of_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The window of event ids catches only the last ones."""
    fold = Replays._late

    def forget(self: Replays, given: Given) -> str:
        note = self.notes.get(given.order.replay)
        if note is not None:
            self.notes[given.order.replay] = replace(note, late={})
        return fold(self, given)

    monkeypatch.setitem(OBEYED, Late, forget)
    assert_noticed("late", "I4", among=lambda plan: folds_late(plan) and plan.replays.replayers > 1)


def test_a_late_record_that_a_filled_metric_has_in_its_past_counts_twice_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Counted, "metrics", lambda self, notes, topic, record: frozenset())
    assert_noticed("I1", "I2", among=lambda plan: folds_late(plan) and fills(plan))


def folds_anew(plan: Plan) -> bool:
    return plan.replays.is_anew


def take_over_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner's own look at the shadow, which is behind the job's."""
    monkeypatch.setattr(Replays, "_refuse_unequal", lambda *_: None)


def test_a_shadow_that_is_promoted_before_it_is_at_the_cut_loses_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Sight, "is_at_cut", lambda self, partition, note: partition in self.shadow)
    take_over_wherever_it_stands(monkeypatch)
    assert_noticed("I1", "I2", among=folds_anew)


def test_live_events_that_go_on_during_a_promotion_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replays, "limit", lambda self, lane: None)
    take_over_wherever_it_stands(monkeypatch)
    assert_noticed("I1", "I2", among=folds_anew)


def test_what_users_hold_is_told_again_by_a_promotion_that_forgets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_state = Takeover.replace

    def forget(self: Takeover, user: bytes, here: bytes | None, there: bytes | None) -> None:
        replace_state(self, user, None, there)

    monkeypatch.setattr(Takeover, "replace", forget)
    assert_noticed("I1", among=folds_anew)


def test_what_is_derived_behind_a_promotion_is_lost_below_the_mark_of_the_shadow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the derived topic of a shadow, which is longer than the live one."""

    def leave(self: Takeover, state: State, position: int) -> bool:
        return False

    monkeypatch.setattr(Takeover, "_set_mark", leave)
    assert_noticed("I1", "I2", among=folds_anew)


def test_a_hold_that_no_release_ends_leaves_live_events_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBEYED, Release, lambda replays, given: "skipped")
    assert_noticed("I8", among=folds_anew)


def test_awards_that_a_promotion_should_take_stay_where_it_forgets_its_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Endings, "entry", lambda self, identity: None)
    assert_noticed("I1", among=lambda plan: folds_anew(plan) and plan.replays.policy == "revoke")
