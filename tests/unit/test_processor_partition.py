"""One owned partition: what it takes, what it keeps, when it is committed. No server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest
from aiokafka import TopicPartition

from processor.evaluator.partition import Cut, Folded, Rows
from processor.evaluator.programs import Programs
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.replays import Replays
from processor.kafka.fetch import Chunk, Turn
from processor.kafka.pace import (
    HEAD_LAG,
    ORDERS_AT_ONCE,
    ORDERS_BESIDE_LIVE,
    SLICE_S,
    Pace,
    Turns,
    fitting_slice,
    full_ones,
    in_turn,
    interval_of,
    is_due,
    mean_with,
    until_next,
)
from processor.kafka.partition import Evaluator, OwnedPartition, slices
from schemas.errors import BadRecord, LaurelError
from schemas.program import Ledger, Program
from schemas.records import PlainRecord, Record
from schemas.replays import Prepare, encode_order
from schemas.state import Control, State

SONGS, LOGINS = "songs", "logins"


class Counting:
    """An evaluator that counts the records of each key, and refuses those without one."""

    def __init__(self) -> None:
        self.counts: dict[bytes, int] = {}
        self._dirty: set[bytes] = set()

    def __len__(self) -> int:
        return len(self.counts)

    def load(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        self.counts.update((key, int(value or b"0")) for key, value in rows)

    def fold(self, topic: str, records: Sequence[Record]) -> Folded:
        keys = [record.key for record in records if record.key is not None]
        for key in keys:
            self.counts[key] = self.counts.get(key, 0) + 1
        self._dirty.update(keys)
        refused = [(record, BadRecord("wrong_key", "no key")) for record in records if record.key is None]
        return Folded(len(keys), 0, 0, refused, 0, 0)

    def cut(self) -> Cut:
        dirty, self._dirty = sorted(self._dirty), set()
        return Cut([(key, b"%d" % self.counts[key]) for key in dirty], [], [])

    def change(self, program: ReadyProgram) -> None:
        """Any program counts alike."""

    def user(self, key: bytes) -> State:
        self._dirty.add(key)
        return [self.counts.setdefault(key, 0)]

    def tell(self, outcomes: Rows) -> None:
        """Nothing is told."""

    def users(self) -> list[bytes]:
        return [*self.counts]

    def replace(self, rows: Mapping[bytes, bytes | None]) -> None:
        """No shadow counts like this."""

    def get(self, user: bytes) -> bytes | None:
        return b"%d" % self.counts[user] if user in self.counts else None


def in_memory(number: int, evaluator: Evaluator, catalogs: dict[str, int] | None = None) -> OwnedPartition:
    """A partition of a program without catalogs, though its control record will say that these run."""
    programs = Programs(Program(catalogs=[], ledger=Ledger(), derived="x.derived"))
    replays = Replays("x.replay-assignments", number, evaluator, programs, print)
    replays.restore({}, {})
    replays.catalogs = catalogs or {}
    return OwnedPartition(number, evaluator, replays)


def record(offset: int, key: bytes | None = b"ann") -> PlainRecord:
    return PlainRecord(offset, 0, key, b"")


def chunk(topic: str, start: int, end: int, *offsets: int, stable_end: int | None = None) -> Chunk:
    return Chunk(
        topic, 3, start, end, end if stable_end is None else stable_end, [record(each) for each in offsets]
    )


@pytest.fixture
def partition() -> OwnedPartition:
    made = in_memory(3, Counting(), {"toy": 2})
    made.open({SONGS: 0, LOGINS: 10}, {SONGS: 0, LOGINS: 10})
    return made


def fold(partition: OwnedPartition, chunk: Chunk, now: float = 0.0) -> bool:
    taken = partition.begin(chunk)
    if taken:
        partition.fold(chunk.topic, chunk.records, chunk.end, now)
    return taken


def test_a_snapshot_holds_positions_of_all_topics_and_the_versions_that_ran(partition: OwnedPartition) -> None:
    """Also of the topic that did not move: the group and the control record must know the same topics."""
    fold(partition, chunk(SONGS, 0, 2, 0, 1))

    snapshot = partition.snapshot()

    assert snapshot is not None
    assert snapshot.positions == {SONGS: 2, LOGINS: 10}
    assert snapshot.control == Control(catalogs={"toy": 2}, positions={SONGS: 2, LOGINS: 10}, users=1)
    assert snapshot.cut.states == [(b"ann", b"2")]
    assert +snapshot.tally == {(SONGS, "applied"): 2}


def test_a_topic_that_is_read_elsewhere_keeps_its_recorded_position(partition: OwnedPartition) -> None:
    partition.written(Control(positions={"older": 7, SONGS: 0}), 5)
    fold(partition, chunk(SONGS, 0, 1, 0))

    snapshot = partition.snapshot()

    assert snapshot is not None
    assert snapshot.control.positions == {"older": 7, SONGS: 1, LOGINS: 10}
    assert "older" not in snapshot.positions


ORDERS = "x.replay-assignments"


def test_an_order_is_obeyed_where_the_other_topics_stand_and_what_it_changed_is_in_the_snapshot() -> None:
    partition = in_memory(3, Counting())
    partition.open({SONGS: 5, ORDERS: 0}, {})
    prepare = PlainRecord(0, 0, None, encode_order(Prepare(replay="r", catalogs={})))

    partition.fold(ORDERS, [prepare, record(1)], 2, 0.0)

    snapshot = partition.snapshot()
    assert snapshot is not None
    assert snapshot.control.replays["r"].cut == {SONGS: 5}
    assert snapshot.positions[ORDERS] == 2
    assert [refusal.bad.cause for refusal in snapshot.refusals] == ["bad_order"]
    assert +snapshot.tally == {(ORDERS, "applied"): 1, (ORDERS, "dead_letter"): 1}


def test_what_was_folded_before_a_position_was_set_back_lies_before_an_order() -> None:
    """It will not count again, so a replay must find it in the past. Known also after another restart."""
    partition = in_memory(3, Counting())
    partition.written(Control(positions={SONGS: 9}), 1)
    for _ in range(2):
        partition.open({SONGS: 4, ORDERS: 0}, {})
        fold(partition, chunk(SONGS, 4, 5, 4))
        snapshot = partition.snapshot()
        assert snapshot is not None
        assert (snapshot.control.positions[SONGS], snapshot.control.furthest) == (5, {SONGS: 9})
        partition.written(snapshot.control, 2)

    partition.fold(ORDERS, [PlainRecord(0, 0, None, encode_order(Prepare(replay="r", catalogs={})))], 1, 0.0)

    assert partition.replays.notes["r"].cut == {SONGS: 9}
    fold(partition, chunk(SONGS, 5, 9, 5, 6, 7, 8))
    caught_up = partition.snapshot()
    assert caught_up is not None
    assert caught_up.control.furthest == {}


def test_a_chunk_without_records_moves_the_position(partition: OwnedPartition) -> None:
    """Markers and aborted batches: nothing to fold, but the next chunk begins behind them."""
    fold(partition, chunk(SONGS, 0, 4))

    assert fold(partition, chunk(SONGS, 4, 5, 4))
    snapshot = partition.snapshot()
    assert snapshot is not None
    assert snapshot.positions[SONGS] == 5


def test_nothing_is_cut_when_nothing_moved(partition: OwnedPartition) -> None:
    fold(partition, chunk(SONGS, 0, 1, 0))
    assert partition.snapshot() is not None

    assert partition.snapshot() is None


@pytest.mark.parametrize(("start", "end"), [(3, 4), (1, 4)])
def test_a_gap_or_an_overlap_is_an_error_that_says_where(partition: OwnedPartition, start: int, end: int) -> None:
    fold(partition, chunk(SONGS, 0, 2, 0, 1))

    with pytest.raises(LaurelError, match=f"songs-3 was read up to 2, but the next chunk begins at {start}"):
        partition.begin(chunk(SONGS, start, end))


def test_a_chunk_that_waited_over_a_release_is_left_to_the_next_owner(partition: OwnedPartition) -> None:
    partition.is_open = False

    assert not fold(partition, chunk(SONGS, 0, 1, 0))
    assert partition.snapshot() is None


def test_refused_records_are_kept_with_where_they_were(partition: OwnedPartition) -> None:
    bad = record(0, key=None)
    partition.fold(SONGS, [bad, record(1)], 2, 0.0)

    snapshot = partition.snapshot()

    assert snapshot is not None
    ((topic, number, kept, why),) = snapshot.refusals
    assert (topic, number, kept, why.cause) == (SONGS, 3, bad, "wrong_key")
    assert +snapshot.tally == {(SONGS, "applied"): 1, (SONGS, "dead_letter"): 1}


def test_lag_is_what_lies_behind_the_position(partition: OwnedPartition) -> None:
    fold(partition, chunk(SONGS, 0, 2, 0, 1, stable_end=9))

    assert partition.lags == {SONGS: 7, LOGINS: 0}


def test_slices_meet_and_the_last_ends_where_the_chunk_does() -> None:
    """Offsets have holes; a slice ends where the next record is, so that a release between two loses nothing."""
    made = [
        ([each.offset for each in records], end) for records, end in slices(chunk(SONGS, 0, 20, 0, 1, 5, 6, 12), 2)
    ]

    assert made == [([0, 1], 5), ([5, 6], 12), ([12], 20)]
    assert [*slices(chunk(SONGS, 20, 23), 2)] == [((), 23)]


PACE = Pace(head_s=0.1, backlog_s=1.0, records_max=100)


def test_at_the_head_a_partition_is_due_at_once(partition: OwnedPartition) -> None:
    assert not is_due(partition, PACE, now=5.0)

    fold(partition, chunk(SONGS, 0, 1, 0), now=5.0)

    assert is_due(partition, PACE, now=5.0)


def test_under_backlog_a_cut_waits_for_more(partition: OwnedPartition) -> None:
    fold(partition, chunk(SONGS, 0, 1, 0, stable_end=50_000), now=5.0)
    fold(partition, chunk(SONGS, 1, 2, 1, stable_end=50_000), now=5.8)

    assert not is_due(partition, PACE, now=5.9)
    assert is_due(partition, PACE, now=6.0)


def owned(number: int, behind: int, folded: int = 0) -> OwnedPartition:
    """A partition so far from the end of its log, with so many records folded and not cut."""
    made = in_memory(number, Counting())
    made.open({SONGS: 0}, {SONGS: folded + behind})
    made.fold(SONGS, [record(offset) for offset in range(folded)], folded, 0.0)
    return made


def served(*partitions: OwnedPartition) -> list[int]:
    """Which of them are folded now, if all have something fetched."""
    there = [TopicPartition(SONGS, each.number) for each in partitions]
    return [place.partition for place in in_turn(there, {each.number: each for each in partitions})]


def test_of_partitions_that_are_behind_the_one_nearest_to_its_cut_is_folded() -> None:
    assert served(owned(0, 50_000), owned(1, 50_000, folded=7), owned(2, 50_000, folded=3)) == [1]


def test_between_equals_comes_first_who_was_cut_longest_ago() -> None:
    partitions = [owned(number, 50_000, folded=1) for number in range(3)]
    order = []
    for _ in range(4):
        order += served(*partitions)
        partitions[order[-1]].snapshot()
        partitions[order[-1]].fold(SONGS, [record(1)], 2, 0.0)

    assert order == [0, 1, 2, 0]


def test_partitions_at_the_head_of_their_log_wait_for_nobody() -> None:
    behind, alike = owned(0, 50_000), owned(1, 50_000)

    assert served(behind, owned(2, HEAD_LAG), alike, owned(3, 0)) == [0, 2, 3]
    assert served(behind) == [0]


def test_live_records_and_orders_of_replays_take_turns_and_orders_are_few_each_time() -> None:
    live, orders = TopicPartition(SONGS, 0), [TopicPartition("orders", 0), TopicPartition("orders", 1)]
    turns, partitions = Turns("orders"), {0: owned(0, 10), 1: owned(1, 10)}

    def chosen(*there: TopicPartition) -> Turn:
        return turns.choose(there, 2_000, partitions)

    for _ in range(2):
        assert chosen(live, *orders) == Turn([live], 2_000)
        assert chosen(live, *orders) == Turn(orders, ORDERS_BESIDE_LIVE)
    assert chosen(live) == chosen(live) == Turn([live], 2_000), "where there are no orders, live waits for none"
    assert chosen(*orders) == chosen(*orders) == Turn(orders, ORDERS_AT_ONCE), "and the other way round"


def test_a_partition_that_is_not_ours_yet_is_left_to_the_fold_to_refuse() -> None:
    there = [TopicPartition(SONGS, number) for number in (0, 5)]

    assert in_turn(there, {0: owned(0, 50_000)}) == there


def test_a_partition_that_has_nearly_caught_up_waits_no_longer() -> None:
    assert is_due(owned(0, behind=HEAD_LAG + 1, folded=HEAD_LAG + 1), PACE, now=0.1)
    assert not is_due(owned(0, behind=HEAD_LAG + 1, folded=HEAD_LAG), PACE, now=0.1)


def test_a_partition_that_has_nearly_caught_up_does_not_wait_for_the_orders_of_a_replay() -> None:
    partition = owned(0, behind=HEAD_LAG + 1, folded=HEAD_LAG + 1)
    orders = partition.replays.topic
    partition.positions[orders], partition.stable_ends[orders] = 0, 50_000

    assert is_due(partition, PACE, now=0.1)


def test_a_partition_that_holds_enough_is_committed_before_its_time() -> None:
    enough, less = owned(0, behind=10_000, folded=100), owned(1, behind=10_000, folded=99)

    assert full_ones([enough, less], PACE) == [enough]


def test_the_fullest_is_committed_when_all_partitions_together_hold_too_much() -> None:
    held = [owned(number, behind=10_000, folded=folded) for number, folded in enumerate((60, 90, 80, 70, 99))]

    assert full_ones(held, PACE) == []
    held.append(owned(5, behind=10_000, folded=1))
    assert full_ones(held, PACE) == [held[4]]


def test_a_partition_commits_as_at_the_head_while_a_replay_has_many_orders_for_it() -> None:
    partition = owned(0, behind=0, folded=1)
    orders = partition.replays.topic
    partition.positions[orders], partition.stable_ends[orders] = 0, 50_000

    assert partition.lags[orders] == 50_000
    assert is_due(partition, PACE, now=0.1)


@pytest.mark.parametrize(
    ("takes_s", "interval_s"), [(0, 0.1), (0.03, 0.1), (0.031, 0.15), (0.046, 0.2), (0.4, 0.2)]
)
def test_commits_that_take_long_come_less_often_but_never_less_than_half_as_often(
    takes_s: float, interval_s: float
) -> None:
    assert interval_of(PACE, takes_s) == pytest.approx(interval_s)


def test_how_long_commits_take_is_not_judged_by_a_single_one() -> None:
    assert mean_with(0.01, 0.11) == pytest.approx(0.02)


def test_partitions_are_committed_at_different_moments() -> None:
    moments = {until_next(now=100.0, interval=0.1, phase=0.1 * number / 8) for number in range(8)}

    assert len({round(moment, 4) for moment in moments}) == 8
    assert all(0 < moment <= 0.1 for moment in moments)


@pytest.mark.parametrize(
    ("size", "seconds", "next_size"), [(1_000, SLICE_S, 1_000), (1_000, 1.0, 500), (64, 1.0, 64)]
)
def test_slices_grow_and_shrink_towards_what_the_event_loop_can_wait(
    size: int, seconds: float, next_size: int
) -> None:
    assert fitting_slice(size, seconds) == next_size
    assert fitting_slice(size, 0.0) == min(2 * size, 4_096)
