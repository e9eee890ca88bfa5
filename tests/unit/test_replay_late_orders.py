"""What a partition's owner makes of records that come late. All states and awards are worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from processor.evaluator import partition
from processor.evaluator.partition import Folded
from schemas.outcomes import Outcome
from schemas.records import PlainRecord
from schemas.replays import Activate, Cancel, Done, End, Late, Named, Prepare, Publish, ReplayNote
from tests.unit.owned_partition import TOPIC, Owned

STRICT = """
catalog: toy
version: 1
events:
  done: {topic: toy, data: {item: string?, amount: integer}}
metrics:
  done: {count: done}
  items: {distinct: done, by: data.item}
achievements:
  - {key: two, name: Two, when: done >= 2}
  - {key: three, name: Three, when: done >= 3}
"""
MILD = STRICT.replace("version: 1", "version: 2").replace("amount: integer", "amount: integer?")
FILLED = MILD.replace("version: 2", "version: 3").replace(
    "achievements:", "  kinds: {distinct: done, by: data.item, normalize: true}\nachievements:"
)
EARLY = STRICT.replace("version: 1", "version: 2").replace(
    "achievements:", "  kinds: {distinct: done, by: data.item, normalize: true}\nachievements:"
)
LATER = EARLY.replace("version: 2", "version: 3").replace("amount: integer", "amount: integer?")
WITH_UNDO = MILD.replace("metrics:", "  undone: {topic: toy, data: {item: string?}}\nmetrics:")
OPEN = Prepare(replay="r", catalogs={})
KINDS: list[Named] = [("toy", "kinds")]


def day(number: int) -> str:
    return f"2026-05-{number:02}T10:00:00Z"


def late(owned: Owned, offset: int, number: int, user: str = "ann", replay: str = "r", **said: Any) -> Folded:
    record = owned.record(offset, "done", day(number), user, **said)
    return owned.order(order_of(record, replay), user)


def order_of(record: PlainRecord, replay: str = "r") -> Late:
    return Late(
        replay=replay,
        topic=TOPIC,
        partition=0,
        offset=record.offset,
        timestamp=record.timestamp,
        value=record.value,
    )


def refused_then(*texts: str) -> Owned:
    """Ann's first event (offset 0) was refused, her second one (offset 1) was counted; then version 2 came."""
    owned = Owned(*(texts or (STRICT, MILD)))
    folded = owned.evaluator.fold(TOPIC, [owned.record(0, "done", day(1), "ann", item="a")])
    assert [bad.cause for _, bad in folded.refused] == ["bad_data"]
    owned.offset = 1
    owned.take("done", day(2), item="b", amount=1)
    owned.order(Publish(catalogs={"toy": 2}))
    return owned


def told(owned: Owned) -> list[tuple[str, datetime, str, str | None, int, bool]]:
    return [
        (
            outcome.data.achievement,
            outcome.data.earned_at,
            outcome.data.origin,
            outcome.data.replay_id,
            outcome.data.evidence.offset,
            outcome.data.announce,
        )
        for outcome in owned.commit()
        if isinstance(outcome, Outcome)
    ]


def test_a_record_that_was_refused_counts_when_it_comes_late_and_its_awards_have_its_own_evidence() -> None:
    """Its date is the latest event of the metric: that of the second, which was there before."""
    owned = refused_then()
    owned.order(OPEN)

    folded = late(owned, 0, 1, item="a")

    assert (folded.applied, folded.unlocked) == (1, 1)
    assert owned.values() == {"done": 2, "items": 2}
    assert told(owned) == [("two", datetime(2026, 5, 2, 10, tzinfo=UTC), "replay", "r", 0, False)]


def test_it_moves_no_mark_so_that_live_events_go_on_where_they_were() -> None:
    owned = refused_then()
    owned.order(OPEN)
    late(owned, 0, 1, item="a")

    owned.take("done", day(3), item="c")

    assert owned.values()["done"] == 3


def test_each_is_announced_when_all_shall_be() -> None:
    owned = refused_then()
    owned.order(Prepare(replay="r", catalogs={}, notify="all"))
    late(owned, 0, 1, item="a")

    assert [announce for *_, announce in told(owned)] == [True]


def test_a_job_that_sends_all_of_it_again_changes_nothing_also_behind_a_restart() -> None:
    owned = refused_then()
    owned.order(OPEN)
    late(owned, 0, 1, item="a")
    owned.restart()

    assert late(owned, 0, 1, item="a").duplicate == 1
    assert owned.values()["done"] == 2


def test_an_event_whose_id_is_known_was_published_again_and_counts_once() -> None:
    owned = refused_then()
    owned.take("done", day(3), item="a", id="e0")
    owned.order(OPEN)

    assert late(owned, 0, 1, item="a").duplicate == 1
    assert owned.values()["done"] == 2


def test_who_publishes_it_again_afterwards_changes_nothing() -> None:
    owned = refused_then()
    owned.order(OPEN)
    late(owned, 0, 1, item="a")

    assert owned.take("done", day(3), item="a", id="e0").duplicate == 1


def test_what_cannot_be_read_becomes_a_dead_letter_once() -> None:
    owned = refused_then()
    owned.order(OPEN)
    broken = order_of(owned.record(0, "done", day(1), "ann", amount="many"))

    assert [bad.cause for _, bad in owned.order(broken, "ann").refused] == ["bad_data"]
    assert owned.order(broken, "ann").duplicate == 1


def test_a_cancelled_one_keeps_what_it_gave_and_gives_no_more() -> None:
    owned = refused_then()
    owned.order(OPEN)
    late(owned, 0, 1, item="a")
    owned.order(Cancel(replay="r"))

    assert late(owned, 3, 4, item="d").skipped == 1
    assert owned.values()["done"] == 2
    assert owned.replays.notes["r"].late == {TOPIC: 0}


def test_it_ends_as_every_replay_does_and_remembers_how_far_it_came() -> None:
    owned = refused_then()
    owned.order(OPEN)
    late(owned, 0, 1, item="a")
    for order in (End(replay="r", users=0), Activate(replay="r"), Done(replay="r")):
        owned.order(order)

    assert owned.phase() == "done"
    assert owned.replays.notes["r"].late == {TOPIC: 0}


def filled(owned: Owned, version: int) -> None:
    """A replay fills `kinds`: with what the log has before offset 2 and can be read by that version."""
    owned.order(Prepare(replay="f", catalogs={"toy": version}, filling=KINDS))
    past = [
        owned.record(0, "done", day(1), "ann", item="a"),
        owned.record(1, "done", day(2), "ann", item="b", amount=1),
    ]
    owned.order(owned.base("f", past, "ann", {"kinds"}), "ann")
    for order in (End(replay="f", users=1), Activate(replay="f"), Done(replay="f")):
        owned.order(order)


def test_a_metric_that_a_replay_filled_with_it_does_not_count_it_again() -> None:
    owned = refused_then(STRICT, MILD, FILLED)
    filled(owned, 3)
    assert owned.values() == {"done": 1, "items": 1, "kinds": 2}

    owned.order(OPEN)
    late(owned, 0, 1, item="a")

    assert owned.values() == {"done": 2, "items": 2, "kinds": 2}
    assert [award for award, *_ in told(owned)] == ["two"]


def test_a_metric_that_was_filled_when_nobody_could_read_it_either_counts_it() -> None:
    owned = refused_then(STRICT, EARLY, LATER)
    filled(owned, 2)
    assert owned.values() == {"done": 1, "items": 1, "kinds": 1}
    owned.order(Publish(catalogs={"toy": 3}))

    owned.order(OPEN)
    late(owned, 0, 1, item="a")

    assert owned.values() == {"done": 2, "items": 2, "kinds": 2}


def test_while_a_metric_fills_what_lies_before_its_cut_is_left_to_its_base() -> None:
    owned = refused_then(STRICT, MILD, FILLED)
    owned.order(Prepare(replay="f", catalogs={"toy": 3}, filling=KINDS))
    owned.order(OPEN)
    late(owned, 0, 1, item="a")
    late(owned, 7, 3, item="c")

    assert owned.values() == {"done": 3, "items": 3, "kinds": 1}, "offset 7 lies behind the cut"


def test_what_a_promoted_reprocessing_has_folded_is_there_already() -> None:
    owned = refused_then()
    owned.replays.notes["full"] = promoted(2)
    owned.order(OPEN)

    assert late(owned, 0, 1, item="a").duplicate == 1
    assert owned.values()["done"] == 1


def promoted(cut: int) -> ReplayNote:
    return ReplayNote(phase="done", promoted=True, cut={TOPIC: cut}, catalogs={"toy": 2})


def test_where_a_type_begins_to_count_is_noted_for_ever() -> None:
    owned = Owned(STRICT, WITH_UNDO)
    for number in range(3):
        owned.evaluator.fold(TOPIC, [owned.record(number, "undone", day(1), "ann")])
    owned.offset = 3
    owned.order(Publish(catalogs={"toy": 2}))
    owned.restart()

    assert owned.replays.unread == {TOPIC: {"undone": 3}}


def test_what_would_make_a_state_too_large_is_refused_and_nothing_of_it_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owned = refused_then()
    owned.order(OPEN)
    size = len(owned.evaluator.get(b"ann") or b"")
    monkeypatch.setattr(partition, "LARGE_BYTES", size)
    monkeypatch.setattr(partition, "STATE_BYTES_MAX", size + 100)

    fates = [late(owned, offset, 1 + offset % 28, item=f"item {offset}") for offset in range(2, 12)]

    assert [bad.cause for _, bad in fates[-1].refused] == ["state_full"]
    assert len(owned.evaluator.get(b"ann") or b"") <= size + 100
    assert owned.values()["done"] == 1 + sum(fate.applied for fate in fates)


def test_an_order_for_another_partition_is_refused() -> None:
    owned = refused_then()
    owned.order(OPEN)
    record = owned.record(0, "done", day(1), "ann", item="a")
    elsewhere = Late(replay="r", topic=TOPIC, partition=1, offset=0, timestamp=record.timestamp, value=record.value)

    assert [bad.cause for _, bad in owned.order(elsewhere, "ann").refused] == ["bad_order"]
