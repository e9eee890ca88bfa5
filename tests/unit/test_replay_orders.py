"""What a partition's owner makes of the orders of a replay. All states and awards are worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from processor.evaluator.deferral import DEFERRED_BYTES_MAX
from schemas.outcomes import Outcome, ReplayOutcome, RevokedOutcome, unlocked_id
from schemas.replays import (
    Activate,
    Base,
    ByEvent,
    Cancel,
    Crossing,
    Done,
    End,
    Fact,
    Facts,
    LostScope,
    LostScopes,
    Named,
    Prepare,
    Publish,
    Revoke,
    Threshold,
)
from schemas.state import AWARDS, Control, awarded_at
from tests.unit.owned_partition import TOPIC, Owned
from tests.unit.written_program import told

FIRST = """
catalog: toy
version: 1
events:
  done: {topic: toy, data: {item: string?, amount: integer?}}
metrics:
  done: {count: done}
achievements:
  - {key: three, name: Three, when: done >= 3, points: 5}
"""
PLAIN = (
    FIRST.replace("version: 1", "version: 2").replace(
        "achievements:", "  items: {distinct: done, by: data.item}\nachievements:"
    )
    + """
  - {key: two, name: Two, when: done >= 2, points: 7}
  - {key: pair, name: Pair, when: items >= 2}
"""
)
WITH_AMOUNT = PLAIN.replace("achievements:", "  amount: {latest: done, of: data.amount}\nachievements:")
THIRD = PLAIN.replace("version: 2", "version: 3").replace("key: two,", "key: deux,")
MUTED: list[Named] = [("toy", "two"), ("toy", "pair")]
FILLING: list[Named] = [("toy", "items")]
PREPARE = Prepare(replay="r", catalogs={"toy": 2}, muted=MUTED, filling=FILLING)


def at(day: int) -> str:
    return f"2026-05-{day:02}T10:00:00Z"


def moment(day: int) -> datetime:
    return datetime(2026, 5, day, 10, tzinfo=UTC)


def micros(day: int) -> int:
    return int(moment(day).timestamp()) * 1_000_000


def fact(offset: int, day: int, *crossings: Crossing, user: str = "ann", **said: Any) -> Fact:
    record = Owned.record(offset, said.pop("kind", "done"), at(day), user, **said)
    return Fact(
        topic=TOPIC,
        partition=0,
        offset=offset,
        timestamp=record.timestamp,
        value=record.value or b"",
        crossings=list(crossings),
    )


def reached(metric: str, threshold: int, day: int, value: int | None = None) -> Threshold:
    return Threshold(catalog="toy", metric=metric, at=threshold, value=value or threshold, crossed_at=micros(day))


def started(*texts: str) -> Owned:
    """A partition whose user has done two things before the replay began."""
    owned = Owned(*(texts or (FIRST, PLAIN)))
    owned.take("done", at(1), item="a")
    owned.take("done", at(2), item="b")
    owned.commit()
    owned.order(PREPARE)
    return owned


def past_of(owned: Owned) -> Base:
    records = [owned.record(0, "done", at(1), "ann", item="a"), owned.record(1, "done", at(2), "ann", item="b")]
    return owned.base("r", records, "ann", {"items"})


def activated(*texts: str) -> Owned:
    owned = started(*texts)
    owned.order(past_of(owned), "ann")
    owned.order(End(replay="r", users=1))
    owned.order(Activate(replay="r"))
    assert owned.phase() == "active"
    return owned


def activate(owned: Owned, *muted: str) -> None:
    """A replay that brings these, and of which no facts have come yet."""
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=[*MUTED, *(("toy", each) for each in muted)]))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))


FACTS = Facts(
    replay="r",
    facts=[fact(1, 2, reached("done", 2, 2), reached("items", 2, 2), item="b")],
)


# --- versions ---


def test_a_new_version_runs_from_its_order_on_and_an_older_one_is_passed_over() -> None:
    owned = Owned(FIRST, PLAIN, THIRD)
    owned.take("done", item="a")
    assert owned.order(Publish(catalogs={"toy": 3})).applied == 1
    owned.take("done", item="b")

    assert owned.order(Publish(catalogs={"toy": 2})).duplicate == 1
    assert owned.replays.catalogs == {"toy": 3}
    assert owned.values() == {"done": 2, "items": 1}
    assert told(owned.commit()) == ["+deux"]
    assert owned.outcomes[0].data.catalog_version == 3  # type: ignore[union-attr]


def test_a_partition_knows_the_versions_that_its_first_event_was_folded_by() -> None:
    """Also one that ran an older version before: that one has counted nothing."""
    owned = Owned(FIRST, PLAIN)
    owned._start(Control())
    assert owned.replays.began == {"toy": 2}
    owned._start(Control(catalogs={"toy": 1}, began={"toy": 1}))
    owned.order(Publish(catalogs={"toy": 2}))
    assert owned.replays.began == {"toy": 2}

    owned = Owned(FIRST, PLAIN)
    owned.replays.began = {"toy": 1}
    owned.take("done", item="a")
    owned.order(Publish(catalogs={"toy": 2}))
    owned.restart()

    assert (owned.replays.catalogs, owned.replays.began) == ({"toy": 2}, {"toy": 1})


def test_what_was_unlocked_before_a_new_version_is_told_as_it_was_then() -> None:
    """Unlocks are rendered when they are read; the program may be another one by then."""
    owned = Owned(FIRST, PLAIN)
    for day in (1, 2, 3):
        owned.take("done", at(day))
    owned.order(Publish(catalogs={"toy": 2}))
    owned.take("done", at(4), user="bo")
    owned.take("done", at(5), user="bo")

    assert [(each.data.achievement, each.data.catalog_version) for each in owned.commit()] == [  # type: ignore[union-attr]
        ("three", 1),
        ("two", 2),
    ]


def test_events_of_a_topic_that_the_running_version_does_not_know_are_skipped() -> None:
    owned = Owned(FIRST, PLAIN)

    folded = owned.evaluator.fold("elsewhere", [owned.record(0, "done", at(1), "ann")])

    assert (folded.skipped, len(owned.evaluator)) == (1, 0)


def test_a_version_that_nobody_published_is_a_dead_letter_and_changes_nothing() -> None:
    owned = Owned(FIRST, PLAIN)

    for order in (Publish(catalogs={"toy": 9}), Prepare(replay="r", catalogs={"toy": 9})):
        ((_, bad),) = owned.order(order).refused
        assert (bad.cause, "toy version 9" in str(bad)) == ("bad_order", True)
    assert (owned.replays.catalogs, owned.replays.notes) == ({"toy": 1}, {})


@pytest.mark.parametrize("value", [None, b"", b"\x81", b"\x81\xa4type\xa4jump"])
def test_an_order_that_cannot_be_read_is_a_dead_letter(value: bytes | None) -> None:
    owned = Owned(FIRST)

    ((_, bad),) = owned.raw_order(value).refused

    assert bad.cause == "bad_order"


# --- prepare, base, end, activate ---


def test_from_prepare_on_what_is_muted_is_not_given_and_what_fills_counts_from_the_cut() -> None:
    owned = started()
    owned.take("done", at(3), item="c")

    assert owned.replays.notes["r"].cut == {TOPIC: 2}
    assert owned.values() == {"done": 3, "items": 1}
    assert told(owned.commit()) == ["+three"]


def test_a_second_prepare_changes_nothing() -> None:
    owned = started()
    owned.take("done", at(3), item="c")

    assert owned.order(PREPARE).duplicate == 1
    assert owned.replays.notes["r"].cut == {TOPIC: 2}


def test_a_base_joins_what_was_counted_since_the_cut() -> None:
    """a and b before the cut, b and c since: three different ones."""
    owned = started()
    owned.take("done", at(3), item="b")
    owned.take("done", at(4), item="c")

    assert owned.order(past_of(owned), "ann").applied == 1
    assert owned.values()["items"] == 3
    assert owned.replays.notes["r"].users == 1


def test_a_base_may_come_before_the_live_part_and_a_second_one_changes_nothing() -> None:
    owned = started()
    owned.order(past_of(owned), "ann")
    owned.take("done", at(3), item="c")

    assert owned.order(past_of(owned), "ann").duplicate == 1
    assert owned.values()["items"] == 3
    assert owned.replays.notes["r"].users == 1


def test_a_user_without_a_state_gets_one_with_the_base() -> None:
    """Possible where the state was never made: the types were unknown when the events came."""
    owned = started()

    owned.order(Base(replay="r", slots=past_of(owned).slots), "bo")

    assert owned.values("bo") == {"done": 0, "items": 2}


def test_it_is_ready_when_all_bases_are_there_whichever_comes_first() -> None:
    owned = started()
    owned.order(End(replay="r", users=1))
    assert owned.phase() == "filling"

    owned.order(past_of(owned), "ann")

    assert owned.phase() == "ready"
    assert owned.order(End(replay="r", users=1)).duplicate == 1


def test_without_metrics_to_fill_the_end_alone_makes_it_ready() -> None:
    owned = Owned(FIRST, PLAIN)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=[("toy", "two")]))

    owned.order(End(replay="r", users=0))

    assert owned.phase() == "ready"


def test_an_activate_that_comes_too_early_is_complained_about_and_changes_nothing() -> None:
    owned = started()

    assert owned.order(Activate(replay="r")).skipped == 1
    assert owned.order(Activate(replay="unheard")).skipped == 1

    assert (owned.phase(), set(owned.replays.notes)) == ("filling", {"r"})
    assert owned.complaints == [
        "activate came for replay 'r', which is filling",
        "activate came for replay 'unheard', which is not known",
    ]


def test_from_activate_on_nothing_is_muted_and_crossings_count_on_the_whole_value() -> None:
    """bo has one item from before the cut, and gets the pair with the next one, live."""
    owned = started()
    owned.order(past_of(owned), "ann")
    records = [owned.record(0, "done", at(1), "bo", item="a")]
    owned.order(owned.base("r", records, "bo", {"items"}), "bo")
    owned.order(End(replay="r", users=2))
    owned.take("done", at(3), user="bo", item="b")
    owned.order(Activate(replay="r"))
    owned.take("done", at(4), user="bo", item="c")

    assert owned.replays.notes["r"].active_at == {TOPIC: 3}
    assert owned.values("bo") == {"done": 2, "items": 3}
    assert owned.commit() == [], "the pair was reached before activate; two waits for its fact"

    pair = fact(2, 3, reached("items", 2, 3), user="bo", item="b")
    owned.order(Facts(replay="r", facts=[pair], last=True), "bo")

    found = [(each.data.achievement, each.time, each.data.origin) for each in owned.commit()]  # type: ignore[union-attr]
    assert found == [("pair", moment(3), "replay"), ("two", moment(4), "live")]


def test_a_base_that_is_not_of_the_replays_metrics_is_a_dead_letter() -> None:
    owned = started()

    ((_, bad),) = owned.order(Base(replay="r", slots={3: [1]}), "ann").refused
    assert (bad.cause, owned.replays.notes["r"].users) == ("bad_order", 0)
    ((_, keyless),) = owned.order(past_of(owned)).refused
    assert "key" in str(keyless)


# --- cancel ---


def test_a_prepare_behind_its_cancel_changes_nothing() -> None:
    owned = Owned(FIRST, PLAIN)
    owned.order(Cancel(replay="r"))

    assert owned.order(PREPARE).duplicate == 1
    assert (owned.phase(), owned.replays.catalogs) == ("cancelled", {"toy": 1})


def test_what_a_cancelled_replay_left_is_neither_counted_nor_given_until_another_takes_it_over() -> None:
    """Live since the first cut: b, c. Nothing while nobody fills: d. Live since the second: e."""
    owned = started()
    owned.take("done", at(3), item="b")
    owned.take("done", at(3), item="c")
    owned.order(Cancel(replay="r"))
    owned.take("done", at(4), item="d")
    assert owned.values()["items"] == 2
    assert told(owned.commit()) == ["+three"]

    owned.order(Prepare(replay="s", catalogs={"toy": 2}, muted=MUTED, filling=FILLING))
    owned.take("done", at(5), item="e")

    assert owned.values()["items"] == 1
    assert (owned.replays.notes["r"].filling, owned.replays.notes["r"].muted) == ([], [])
    assert owned.order(past_of(owned), "ann").skipped == 1, "the base of a cancelled replay"


def test_a_base_takes_out_what_a_cancelled_replay_left_of_a_user_who_has_not_moved_since() -> None:
    owned = started()
    owned.take("done", at(3), item="z")
    owned.order(Cancel(replay="r"))
    owned.order(Prepare(replay="s", catalogs={"toy": 2}, muted=MUTED, filling=FILLING))

    owned.order(Base(replay="s", slots=past_of(owned).slots), "ann")

    assert owned.values()["items"] == 2


def test_a_cancel_is_too_late_once_it_is_active() -> None:
    owned = activated()

    assert owned.order(Cancel(replay="r")).skipped == 1
    assert owned.phase() == "active"


WITH_XP = (
    FIRST.replace("version: 1", "version: 2").replace("achievements:", "xp: [{on: awards}]\nachievements:")
    + "  - {key: four, name: Four, when: done >= 4, points: 2}\n"
)


def test_awards_move_xp_that_fills_as_events_do_and_none_that_a_cancelled_replay_left() -> None:
    """The third thing gives 5 XP, the fourth 2 that nobody counts. Of the past there are 20."""
    owned = Owned(FIRST, WITH_XP)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, filling=[("toy", "xp")]))
    for day in (1, 2, 3):
        owned.take("done", at(day))
    assert owned.values()["xp"] == 5
    owned.order(Cancel(replay="r"))
    owned.take("done", at(4))
    assert (owned.values()["xp"], told(owned.commit())) == (5, ["+three", "+four"])

    owned.order(Prepare(replay="s", catalogs={"toy": 2}, filling=[("toy", "xp")]))
    (xp,) = (each for each in owned.program.catalogs[0].metrics if each.key == "xp")
    owned.order(Base(replay="s", slots={xp.slot: [20, 0, moment(1)]}), "ann")

    assert owned.values()["xp"] == 20


TRAVELLING = FIRST.replace("version: 1", "version: 2").replace(
    "achievements:", "  days: {streak: done, every: day}\nachievements:"
)


def test_a_streak_goes_on_over_the_cut_and_over_the_date_line() -> None:
    """The first in Pago Pago, 11 hours behind, before the cut; the third and fourth in Apia, 13 hours ahead, since:
    for this traveller there was no second. Only both parts together tell so."""
    owned = Owned(FIRST, TRAVELLING)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, filling=[("toy", "days")]))
    owned.take("done", "2026-05-03T10:00:00+13:00", timezone="Pacific/Apia")
    owned.take("done", "2026-05-04T10:00:00+13:00", timezone="Pacific/Apia")
    assert owned.values()["days"] == 2

    past = [owned.record(0, "done", "2026-05-01T10:00:00-11:00", "ann", timezone="Pacific/Pago_Pago")]
    owned.order(owned.base("r", past, "ann", {"days"}), "ann")

    assert owned.values()["days"] == 3


# --- facts ---


def test_facts_give_what_was_crossed_before_with_its_own_date_and_evidence_and_once() -> None:
    """A catalog with thresholds alone has no books; they are made for the facts."""
    owned = activated()
    assert owned.order(FACTS, "ann").unlocked == 2

    two, pair = owned.commit()
    assert told([two, pair]) == ["+two", "+pair"]
    assert isinstance(two, Outcome)
    assert (two.time, two.data.earned_at) == (moment(2), moment(2))
    assert (two.data.evidence.offset, two.data.evidence.event_id) == (1, "e1")
    assert (two.data.progress_at_unlock, two.data.points, two.data.catalog_version) == (2, 7, 2)
    assert (two.data.origin, two.data.replay_id, two.data.announce) == ("replay", "r", False)

    assert owned.order(FACTS, "ann").unlocked == 0
    assert owned.commit() == []


def test_a_replay_that_tells_all_announces_its_awards() -> None:
    owned = Owned(FIRST, PLAIN)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=[("toy", "two")], notify="all"))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))

    owned.order(FACTS, "ann")

    assert [each.data.announce for each in owned.commit()] == [True, True]  # type: ignore[union-attr]


def test_what_live_events_cross_waits_for_the_last_of_the_users_facts_which_win() -> None:
    owned = activated()
    owned.take("done", at(3), user="bo", item="a")
    owned.take("done", at(4), user="bo", item="b")
    owned.take("done", at(5), user="bo", item="c")
    assert told(owned.commit()) == ["+three"], "it was never muted"

    owned.order(Facts(replay="r", facts=[fact(1, 2, reached("items", 2, 2), user="bo")]), "bo")
    assert told(owned.commit()) == ["+pair"]
    owned.restart()
    owned.order(Facts(replay="r", last=True), "bo")

    (two,) = owned.commit()
    assert isinstance(two, Outcome)
    assert (two.data.achievement, two.time, two.data.evidence.offset) == ("two", moment(4), 3)
    assert (two.data.origin, two.data.replay_id, two.data.announce) == ("live", None, True)
    owned.take("done", at(6), user="bo", item="d")
    assert owned.order(Facts(replay="r", last=True), "bo").unlocked == 0


def test_what_live_events_crossed_of_whom_there_are_no_facts_is_given_when_all_are_there() -> None:
    owned = activated()
    owned.take("done", at(3), user="bo", item="a")
    owned.take("done", at(4), user="bo", item="b")
    owned.restart()

    assert owned.order(Done(replay="r")).unlocked == 2
    two, pair, done = owned.commit()
    assert (told([two, pair]), two.time, pair.time) == (["+two", "+pair"], moment(4), moment(4))
    assert isinstance(done, ReplayOutcome), "after all that it is about"
    owned.take("done", at(5), user="cy", item="a")
    owned.take("done", at(6), user="cy", item="b")
    assert told(owned.commit()) == ["+two", "+pair"], "nothing waits any more"


ON_ITS_OWN = (
    PLAIN
    + """
  - {key: begun, name: Begun, on: done, scope: data.item}
  - {key: either, name: Either, when: {any: [done >= 2, items >= 2]}}
  - {key: all, name: All, all_of: catalog}
"""
)


def test_what_one_event_gives_or_one_of_several_conditions_has_the_date_of_the_past() -> None:
    """Live has item a a second time, and the second of all; the past had both before. What takes all has the date
    of the third thing, which was never muted, behind the facts."""
    owned = Owned(FIRST, ON_ITS_OWN)
    references = ("two", "pair", "begun", "either", "all")
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=[("toy", each) for each in references]))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))
    for day in (3, 4, 5):
        owned.take("done", at(day), item="a")
    assert told(owned.commit()) == ["+three"]

    event = ByEvent(catalog="toy", achievement="begun", scope="a", crossed_at=micros(1))
    verdict = ByEvent(catalog="toy", achievement="either", scope="", crossed_at=micros(2))
    past = [
        fact(0, 1, event, item="a"),
        fact(1, 2, reached("done", 2, 2), reached("items", 2, 2), verdict, item="b"),
    ]
    owned.order(Facts(replay="r", facts=past, last=True), "ann")

    dates = {each.data.achievement: (each.time, each.data.origin) for each in owned.commit()}  # type: ignore[union-attr]
    assert dates == {
        "begun": (moment(1), "replay"),
        "two": (moment(2), "replay"),
        "pair": (moment(2), "replay"),
        "either": (moment(2), "replay"),
        "all": (moment(5), "replay"),
    }


def test_of_several_conditions_that_live_crosses_the_first_dates_an_award_whichever_is_remembered() -> None:
    """The third thing is remembered, for what was never muted; that there are two items waits for the facts."""
    either = "  - {key: either, name: Either, when: {any: [items >= 2, done >= 3]}}\n"
    owned = Owned(FIRST, PLAIN + either)
    activate(owned, "either")
    for day, item in ((3, "a"), (4, "b"), (5, "c")):
        owned.take("done", at(day), item=item)
    assert told(owned.commit()) == ["+three"]

    owned.order(Facts(replay="r", last=True), "ann")

    dates = {each.data.achievement: (each.time, each.data.evidence.offset) for each in owned.commit()}  # type: ignore[union-attr]
    assert dates["either"] == (moment(4), 1)


def test_several_conditions_that_held_with_a_live_record_give_their_award_though_they_do_not_now() -> None:
    """The amount was enough on day 4, and is not on day 5, when the user's facts come."""
    enough = "  - {key: enough, name: Enough, when: {all: [amount >= 5, done >= 2]}}\n"
    owned = Owned(FIRST, WITH_AMOUNT + enough)
    activate(owned, "enough")
    for day, some in ((3, 1), (4, 7), (5, 2)):
        owned.take("done", at(day), amount=some)
    owned.commit()

    owned.order(Facts(replay="r", last=True), "ann")

    dates = {each.data.achievement: each.time for each in owned.commit()}  # type: ignore[union-attr]
    assert dates["enough"] == moment(4)


def test_a_live_record_gives_what_requires_an_award_of_the_past_though_its_own_condition_has_passed() -> None:
    """When the amount is enough, nobody knows yet that there were two things before."""
    enough = "  - {key: enough, name: Enough, when: amount >= 5, requires: [two]}\n"
    owned = Owned(FIRST, WITH_AMOUNT + enough)
    activate(owned, "enough")
    for user in ("ann", "bo"):
        owned.take("done", at(4), user=user, amount=7)
        owned.take("done", at(5), user=user, amount=2)
    owned.commit()

    past = Facts(replay="r", facts=[fact(1, 2, reached("done", 2, 2))], last=True)
    owned.order(past, "ann")
    owned.order(Facts(replay="r", last=True), "bo")

    given = {(each.subject, each.data.achievement): each.time for each in owned.commit()}  # type: ignore[union-attr]
    assert given["ann", "enough"] == moment(4)
    assert ("bo", "enough") not in given, "when bo had two things, the amount was not enough any more"


def test_more_than_a_user_may_have_waiting_is_settled_at_once() -> None:
    owned = Owned(FIRST, PLAIN)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=[("toy", "two")]))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))
    owned.take("done", at(3), note="x" * DEFERRED_BYTES_MAX)
    owned.take("done", at(4), note="x" * DEFERRED_BYTES_MAX)

    assert told(owned.commit()) == ["+two"]


def test_facts_without_crossings_make_the_user_one_that_is_written() -> None:
    owned = activated()
    owned.commit()

    owned.order(Facts(replay="r"), "ann")

    assert [user for user, _ in owned.evaluator.cut().states] == [b"ann"]


def test_facts_before_activate_give_nothing_and_those_after_done_only_what_is_missing() -> None:
    owned = started()
    assert owned.order(FACTS, "ann").skipped == 1
    assert owned.complaints == ["facts came for replay 'r', which is filling"]
    owned.order(past_of(owned), "ann")
    owned.order(End(replay="r", users=1))
    owned.order(Activate(replay="r"))
    owned.order(Done(replay="r"))

    assert owned.order(FACTS, "ann").unlocked == 2


def test_a_fact_that_is_no_event_here_is_a_dead_letter_and_nothing_of_its_order_is_given() -> None:
    owned = activated()
    strange = fact(0, 1, reached("done", 2, 1), kind="jumped")

    ((_, bad),) = owned.order(Facts(replay="r", facts=[*FACTS.facts, strange]), "ann").refused

    assert (bad.cause, owned.commit()) == ("bad_order", [])


RICH = """
catalog: toy
version: 2
events:
  done: {topic: toy, data: {item: string?, amount: integer?}}
metrics:
  done: {count: done}
  amount: {sum: done, of: data.amount}
xp: [{on: awards}]
levels: {of: xp, curve: [0, 100, 200]}
achievements:
  - {key: three, name: Three, when: done >= 3, points: 5}
  - key: saver
    name: Saver
    conditions: {amount: amount}
    tiers: [{tier: bronze, at: {amount: 10}, xp: 60}, {tier: silver, at: {amount: 20}, xp: 60}]
  - {key: both, name: Both, when: {all: [done >= 2, amount >= 15]}}
  - {key: after, name: After, when: done >= 1, requires: [both]}
  - {key: of_item, name: "Item {item}", on: done, scope: data.item, metadata: {item: data.item}}
"""


def test_tiers_levels_scopes_and_compound_conditions_complete_by_facts() -> None:
    """12 on the first day, 10 on the second: bronze, then silver, both and what requires it. Two tiers are 120 XP,
    and the awards of three times 10 points (no XP of their own, but their points count as XP) 30: level 2."""
    owned = Owned(FIRST, RICH)
    references = ("saver/bronze", "saver/silver", "both", "after", "of_item")
    muted: list[Named] = [("toy", reference) for reference in references]
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=muted, filling=[("toy", "amount")]))
    past = [owned.record(0, "done", at(1), "ann", amount=12), owned.record(1, "done", at(2), "ann", amount=10)]
    owned.order(owned.base("r", past, "ann", {"amount"}), "ann")
    owned.order(End(replay="r", users=1))
    owned.order(Activate(replay="r"))

    def item(name: str, day: int) -> ByEvent:
        return ByEvent(catalog="toy", achievement="of_item", scope=name, crossed_at=micros(day))

    first = fact(0, 1, item("a", 1), reached("done", 1, 1), reached("amount", 10, 1, 12), item="a", amount=12)
    second = fact(
        1,
        2,
        *(item("b", 2), reached("done", 2, 2), reached("amount", 15, 2, 22), reached("amount", 20, 2, 22)),
        item="b",
        amount=10,
    )
    owned.order(Facts(replay="r", facts=[first, second]), "ann")

    outcomes = owned.commit()
    assert told(outcomes) == [
        *("+of_item a", "+saver/bronze"),
        *("+of_item b", "+saver/silver", "+both", "+after", "level 2"),
    ]
    by_key = {each.data.achievement: each.data for each in outcomes if isinstance(each, Outcome)}
    assert [by_key[key].earned_at for key in ("saver", "both", "after")] == [moment(2)] * 3
    assert by_key["of_item"].name == "Item {item}"
    assert by_key["of_item"].metadata == {"item": "b"}
    assert by_key["saver"].progress_at_unlock == 22
    assert all(each.data.origin == "replay" for each in outcomes)  # type: ignore[union-attr]
    assert owned.values()["xp"] == 2 * 60 + 4 * 10


def test_a_verdict_of_the_fold_from_zero_gives_an_award_whatever_the_values_are_now() -> None:
    owned = activated()
    verdict = ByEvent(catalog="toy", achievement="pair", scope="", crossed_at=micros(1))

    owned.order(Facts(replay="r", facts=[fact(0, 1, verdict, user="bo")]), "bo")

    assert told(owned.commit()) == ["+pair"]
    assert awarded_at(owned.state("bo")[AWARDS], number_of(owned, "pair")) == micros(1)


def test_an_award_whose_verdict_is_still_to_come_is_given_by_no_record_before_it() -> None:
    """What it hangs on may be held by now, and was not then."""
    owned = activated()

    owned.order(Facts(replay="r", facts=FACTS.facts, judged=[("toy", "pair")]), "ann")
    assert "+pair" not in told(owned.commit())
    verdict = ByEvent(catalog="toy", achievement="pair", scope="", crossed_at=micros(3))
    owned.order(Facts(replay="r", facts=[fact(2, 3, verdict)], judged=[("toy", "pair")]), "ann")

    assert told(owned.commit()) == ["+pair"]
    assert awarded_at(owned.state("ann")[AWARDS], number_of(owned, "pair")) == micros(3)


def number_of(owned: Owned, reference: str) -> int:
    specs = owned.program.catalogs[0].achievements
    return next(spec.number for spec in specs if spec.reference == reference)


UNDOABLE = FIRST.replace("done: {topic: toy,", "undone: {topic: toy}\n  done: {topic: toy,").replace(
    "{count: done}", "{count: done, minus: undone}"
)
WITH_UNDO = (
    UNDOABLE.replace("version: 1", "version: 2")
    + """
  - {key: two, name: Two, when: done >= 2}
  - {key: pair, name: Pair, when: done >= 2, revocable: true}
"""
)


def test_a_crossing_counts_though_the_metric_went_back_since_unless_the_award_can_be_lost() -> None:
    owned = Owned(UNDOABLE, WITH_UNDO)
    for kind in ("done", "done", "undone"):
        owned.take(kind)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=MUTED))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))

    owned.order(Facts(replay="r", facts=[fact(1, 2, reached("done", 2, 2))]), "ann")

    assert told(owned.commit()) == ["+two"]


@pytest.mark.parametrize("is_past", [True, False])
def test_what_is_lost_and_earned_again_before_the_facts_come_has_the_later_date_and_number(is_past: bool) -> None:
    """As a fold from zero ends: of the times before nobody is told, but they count."""
    owned = Owned(UNDOABLE, WITH_UNDO)
    owned.take("done", at(1))
    if is_past:
        owned.take("done", at(2))
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=MUTED))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))
    for day, kind in enumerate(["undone", "done", "undone", "done"] if is_past else ["done", "undone", "done"], 3):
        owned.take(kind, at(day))

    pair = ByEvent(catalog="toy", achievement="pair", scope="", crossed_at=micros(2))
    past = [fact(1, 2, reached("done", 2, 2), pair)] if is_past else []
    owned.order(Facts(replay="r", facts=past, last=True), "ann")

    given = {each.data.achievement: (each.time, each.data.n) for each in owned.commit()}  # type: ignore[union-attr]
    again = ("pair", (moment(6), 2)) if is_past else ("pair", (moment(5), 1))
    assert given == dict([again, ("two", (moment(2 if is_past else 3), 0))])
    owned.take("undone", at(8))
    assert told(owned.commit()) == ["-pair #2" if is_past else "-pair #1"]


def test_what_is_lost_before_the_facts_come_is_told_when_it_is_earned_the_next_time_and_counted() -> None:
    owned = Owned(UNDOABLE, WITH_UNDO)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=MUTED))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))
    for day, kind in enumerate(["done", "done", "undone", "done", "undone"], 1):
        owned.take(kind, at(day))

    owned.order(Facts(replay="r", last=True), "ann")

    assert told(owned.commit()) == ["+two"]
    owned.take("done", at(8))
    assert told(owned.commit()) == ["+pair #2"]


# --- revoke, done ---


def test_an_award_that_the_operators_policy_ends_is_told_with_the_version_and_can_be_held_no_more() -> None:
    """Two is in no version any more, and pair was earned since by the rule that runs."""
    owned = Owned(FIRST, PLAIN, THIRD, runs=2)
    owned.take("done", at(1), item="a")
    owned.take("done", at(2), item="b")
    owned.order(Prepare(replay="r", catalogs={"toy": 3}, muted=[("toy", "deux")]))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))
    owned.commit()

    for _ in range(2):
        owned.order(Revoke(replay="r", awards=[("toy", "two"), ("toy", "pair"), ("toy", "nothing")]), "ann")

    (revoked,) = owned.commit()
    assert isinstance(revoked, RevokedOutcome)
    assert (revoked.data.achievement, revoked.data.n, revoked.data.replay_id) == ("two", 0, "r")
    assert [reason.catalog_version for reason in revoked.data.reasons] == [3]  # type: ignore[union-attr]
    assert awarded_at(owned.state()[AWARDS], owned.program.ledger.awards["toy/two"]) is None
    assert owned.complaints == ["no achievement 'nothing' was ever in catalog 'toy', to be revoked"] * 2


def test_of_an_award_with_scopes_single_ones_can_be_taken_and_earned_anew() -> None:
    rich = RICH.replace("version: 2", "version: 1")
    owned = Owned(rich, RICH)
    for day, item in enumerate("aabc", 1):
        owned.take("done", at(day), item=item)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))
    owned.commit()
    before = owned.values()["xp"] or 0

    lost = [LostScope(scope=scope, n=0, earned_at=micros(day)) for scope, day in (("a", 1), ("b", 3))]
    for _ in range(2):
        scopes = [LostScopes(catalog="toy", achievement="of_item", scopes=lost)]
        owned.order(Revoke(replay="r", awards=[], scopes=scopes), "ann")

    found = owned.commit()
    assert told(found) == ["-of_item a", "-of_item b"]
    assert [each.data.award_id for each in found] == [  # type: ignore[union-attr]
        unlocked_id("toy", "of_item", "ann", scope=scope) for scope in "ab"
    ]
    assert owned.values()["xp"] == before - 2 * 10
    owned.order(Done(replay="r"))
    owned.restart()
    for item in "abc":
        owned.take("done", at(5), item=item)
    assert told(owned.commit()) == ["+of_item a #1", "+of_item b #1"]


def test_what_was_taken_back_can_be_earned_anew_also_where_thresholds_are_all_there_is() -> None:
    owned = Owned(UNDOABLE, WITH_UNDO.replace(", revocable: true", ""))
    for kind in ("done", "done"):
        owned.take(kind)
    owned.order(Prepare(replay="r", catalogs={"toy": 2}, muted=MUTED))
    owned.order(End(replay="r", users=0))
    owned.order(Activate(replay="r"))
    owned.order(Facts(replay="r", facts=[fact(1, 2, reached("done", 2, 2))]), "ann")
    owned.take("undone")
    owned.order(Revoke(replay="r", awards=[("toy", "two")]), "ann")
    owned.order(Done(replay="r"))
    owned.restart()

    owned.take("done")

    assert told(owned.commit()) == ["+two #1"]


def test_done_is_told_once_and_only_when_it_was_active() -> None:
    owned = activated()
    for _ in range(2):
        owned.order(Done(replay="r"))

    (completed,) = owned.commit()
    assert isinstance(completed, ReplayOutcome)
    assert (completed.data.replay_id, completed.data.notify, completed.data.catalogs) == ("r", "digest", {"toy": 2})
    note = owned.replays.notes["r"]
    assert (note.phase, note.active_at, note.muted) == ("done", {}, [])
    assert (note.cut, note.filling) == ({TOPIC: 2}, FILLING), "what was filled has all that lies before its cut"


def test_of_replays_that_are_done_the_last_hundred_are_remembered() -> None:
    owned = Owned(FIRST, PLAIN)
    for number in range(103):
        for order in (Prepare, Activate, Done):
            if order is Activate:
                owned.order(End(replay=f"r{number}", users=0))
            owned.order(
                order(replay=f"r{number}", catalogs={"toy": 2}) if order is Prepare else order(replay=f"r{number}")
            )  # type: ignore[call-arg]

    assert list(owned.replays.notes) == [f"r{number}" for number in range(3, 103)]


# --- the whole course ---


@pytest.mark.parametrize("crash", range(9))
def test_a_restart_anywhere_in_a_replay_goes_on_exactly(crash: int) -> None:
    """The control record and the states say all there is."""
    assert course(crash) == course(-1)


def course(crash: int) -> tuple[object, ...]:
    owned = Owned(FIRST, PLAIN)
    owned.take("done", at(1), item="a")
    owned.take("done", at(2), item="b")
    steps = [
        lambda: owned.order(PREPARE),
        lambda: owned.take("done", at(3), item="c"),
        lambda: owned.order(past_of(owned), "ann"),
        lambda: owned.order(End(replay="r", users=1)),
        lambda: owned.take("done", at(4), user="bo", item="b"),
        lambda: owned.order(Activate(replay="r")),
        lambda: owned.order(FACTS, "ann"),
        lambda: owned.take("done", at(5), user="bo", item="c"),
        lambda: owned.order(Done(replay="r")),
    ]
    for number, step in enumerate(steps):
        if number == crash:
            owned.restart()
        step()
    owned.commit()
    return owned.state(), owned.state("bo"), owned.outcomes, owned.replays.notes, owned.replays.catalogs
