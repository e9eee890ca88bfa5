"""How far a partition is folded: to where a replay holds it, and never past the namespace that it follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from processor.evaluator.programs import Programs
from processor.kafka.ownership import Ownership
from processor.kafka.pace import Pace
from processor.kafka.partition import OwnedPartition
from processor.kafka.trailing import look
from processor.profile import Profile
from processor.telemetry import Telemetry
from schemas.program import Ledger, Program
from schemas.records import PlainRecord
from schemas.replays import Hold, Release, ReplayOrder, Settle, encode_order
from schemas.topics import Names
from tests.unit.test_processor_partition import LOGINS, SONGS, Counting, chunk, in_memory

ORDERS, DERIVED = "x.replay-assignments", "x.derived"


@pytest.fixture
def partition() -> OwnedPartition:
    made = in_memory(3, Counting())
    made.open({SONGS: 10, LOGINS: 20, DERIVED: 5, ORDERS: 0}, {})
    return made


def obey(partition: OwnedPartition, *orders: ReplayOrder) -> None:
    for order in orders:
        at = partition.positions[ORDERS]
        partition.fold(ORDERS, [PlainRecord(at, 0, None, encode_order(order))], at + 1, 0.0)


def taken(partition: OwnedPartition, topic: str, start: int, end: int, *offsets: int) -> list[int] | None:
    """What is folded of a chunk; None when it is passed over."""
    whole = chunk(topic, start, end, *offsets)
    if not partition.begin(whole):
        return None
    part = partition.within_limit(whole)
    partition.fold(topic, part.records, part.end, 0.0)
    return [record.offset for record in part.records]


def test_without_a_hold_everything_is_folded(partition: OwnedPartition) -> None:
    assert taken(partition, SONGS, 10, 12, 10, 11) == [10, 11]
    assert partition.limit(SONGS) is None


def test_a_held_partition_folds_nothing_more_of_its_sources_and_goes_on_with_what_was_derived(
    partition: OwnedPartition,
) -> None:
    obey(partition, Hold(replay="r"))

    assert taken(partition, SONGS, 10, 12, 10, 11) == []
    assert taken(partition, DERIVED, 5, 7, 5, 6) == [5, 6]
    assert partition.positions == {SONGS: 10, LOGINS: 20, DERIVED: 7, ORDERS: 1}
    note = partition.replays.notes["r"]
    assert (note.phase, note.cut) == ("held", {SONGS: 10, LOGINS: 20})


def test_settled_the_derived_topic_too_stops_exactly_where_the_order_says(partition: OwnedPartition) -> None:
    obey(partition, Hold(replay="r"), Settle(replay="r", derived=7))

    assert taken(partition, DERIVED, 5, 9, 5, 8) == [5]
    assert partition.positions[DERIVED] == 7, "not where the next record is, which the shadow could not know"
    obey(partition, Settle(replay="r", derived=9))
    assert partition.let_go() == [DERIVED]
    assert taken(partition, DERIVED, 7, 9, 8) == [8]


def test_what_was_released_goes_on_where_it_stood_and_stale_chunks_are_passed_over(
    partition: OwnedPartition,
) -> None:
    obey(partition, Hold(replay="r"))
    assert taken(partition, SONGS, 10, 12, 10, 11) == []
    assert taken(partition, SONGS, 12, 14, 12) is None

    obey(partition, Release(replay="r"))

    assert partition.let_go() == [SONGS]
    assert taken(partition, SONGS, 14, 15, 14) is None
    assert taken(partition, SONGS, 10, 12, 10, 11) == [10, 11]


def test_a_hold_that_comes_late_changes_nothing_and_a_new_attempt_holds_again(partition: OwnedPartition) -> None:
    obey(partition, Release(replay="r", attempt=1), Hold(replay="r", attempt=1))
    assert partition.limit(SONGS) is None

    obey(partition, Hold(replay="r", attempt=2), Settle(replay="r", attempt=1, derived=0))

    note = partition.replays.notes["r"]
    assert (note.phase, note.attempt, partition.limit(SONGS)) == ("held", 2, 10)


def test_a_topic_that_begins_while_the_partition_is_held_is_not_begun(partition: OwnedPartition) -> None:
    """Only the new versions read it: a restarted worker does, too, before they run."""
    obey(partition, Hold(replay="r"))
    partition.open({**partition.positions, "new": 0}, {})

    assert taken(partition, "new", 0, 3, 1) == []


def test_what_is_held_is_no_lag(partition: OwnedPartition) -> None:
    """The watchdog ends who has lag and makes no progress."""
    partition.stable_ends = dict.fromkeys(partition.positions, 100)
    obey(partition, Hold(replay="r"))

    assert partition.lags == {DERIVED: 95, ORDERS: 99}
    assert partition.behind[SONGS] == 90


# --- following ---


class Flow:
    def __init__(self) -> None:
        self.said: list[Any] = []

    def hold(self, place: tuple[str, int]) -> None:
        self.said.append(("hold", *place))

    async def go_on(self, place: tuple[str, int], position: int) -> None:
        self.said.append(("go on", *place, position))


def following() -> tuple[Ownership, OwnedPartition, Flow]:
    """A shadow's worker with one open partition."""
    programs = Programs(Program(catalogs=[], ledger=Ledger(), derived="shadow.derived"))
    nobody: Any = None  # nothing is written, and nothing looked for
    ownership = Ownership(
        nobody,
        Names("shadow", follows="live"),
        programs,
        4,
        lambda number: Counting(),
        Pace(0.1, 1.0, 1000),
        Telemetry(Profile()),
        nobody,
        nobody,
    )
    partition = ownership._new(3)
    partition.recall()
    partition.open({SONGS: 0, "shadow.derived": 0, "shadow.replay-assignments": 0}, {})
    ownership.partitions = {3: partition}
    flow = ownership.parking_lot.flow = Flow()
    return ownership, partition, flow


def at(songs: int) -> Any:
    async def committed(places: Any) -> Mapping[tuple[str, int], int]:
        assert list(places) == [(SONGS, 3)], "of its own topics it follows nobody"
        return {(SONGS, 3): songs}

    return committed


async def test_a_shadow_reads_nothing_before_it_knows_how_far_the_other_is() -> None:
    ownership, partition, flow = following()

    await ownership.fold(chunk(SONGS, 0, 4, 0, 1, 2, 3))

    assert (partition.positions[SONGS], flow.said) == (0, [("hold", SONGS, 3)])


async def test_a_shadow_never_passes_what_the_other_has_committed() -> None:
    ownership, partition, flow = following()
    await look(ownership, at(3))
    await ownership.fold(chunk(SONGS, 0, 4, 0, 1, 2, 3))
    assert (partition.positions[SONGS], flow.said) == (3, [("hold", SONGS, 3)])

    await look(ownership, at(3))
    assert flow.said == [("hold", SONGS, 3)]
    await look(ownership, at(9))
    await ownership.fold(chunk(SONGS, 3, 4, 3))

    assert (partition.positions[SONGS], flow.said[1:]) == (4, [("go on", SONGS, 3, 3)])


async def test_what_a_shadow_derives_itself_is_read_as_far_as_it_goes() -> None:
    ownership, partition, _ = following()

    await ownership.fold(chunk("shadow.derived", 0, 2, 0, 1))

    assert partition.positions["shadow.derived"] == 2


def test_a_shadow_has_no_commands_of_its_own() -> None:
    """Whoever drops its topics must not drop those of the namespace that it follows."""
    names = Names("shadow", follows="live")

    assert names.commands == "live.commands"
    assert all(spec.name.startswith("shadow.") for spec in names.specs())
    assert len(names.specs()) == len(Names("live").specs()) - 1
