"""What becomes of a partition's states when a shadow's take their place, against a fold from zero. No server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from schemas.errors import LaurelError
from schemas.outcomes import Outcome, RevokedOutcome, encode_outcome, unlocked_id
from schemas.records import PlainRecord
from schemas.replays import (
    Hold,
    Notify,
    Policy,
    Promote,
    Publish,
    Rehearse,
    Release,
    ReplayOrder,
    Settle,
    encode_order,
)
from schemas.state import AWARDS, LOST, Control, award_of, decode_control, encode_control
from tests.unit.owned_partition import APPENDED, TOPIC, Owned
from tests.unit.written_program import milliseconds

OLD = """
catalog: toy
version: 1
events:
  sung: {topic: toy, data: {song: string, points: integer?}}
  unsung: {topic: toy, data: {song: string}}
  met: {topic: toy, data: {place: string}}
metrics:
  sung: {count: sung, minus: unsung}
  songs: {distinct: sung, by: data.song}
achievements:
  - {key: one, name: One, when: songs >= 1, xp: 10}
  - {key: two, name: Two, when: songs >= 2}
  - {key: three, name: Three, when: songs >= 3, xp: 100}
  - {key: keen, name: Keen, when: sung >= 2, revocable: true}
  - {key: at, name: At, on: met, scope: data.place}
xp: [{on: awards}]
levels: {of: xp, curve: [0, 10, 60, 110]}
"""
NEW = (
    OLD.replace("version: 1", "version: 2")
    .replace("songs: {distinct: sung, by: data.song}", "songs: {distinct: sung, by: data.song, normalize: true}")
    .replace("  - {key: two, name: Two, when: songs >= 2}\n", "  - {key: two, name: Two, when: sung >= 2}\n")
    .replace("xp: [{on: awards}]", "xp: [{on: awards}, {on: sung, amount: 25}]")
)
Said = tuple[str, str, str, dict[str, Any]]
LOG: list[Said] = [
    ("sung", "2026-05-01T10:00:00Z", "ann", {"song": "a"}),
    ("sung", "2026-05-02T10:00:00Z", "ann", {"song": "A"}),
    ("sung", "2026-05-03T10:00:00Z", "ann", {"song": "b"}),
    ("met", "2026-05-03T11:00:00Z", "ann", {"place": "rome"}),
    ("unsung", "2026-05-04T10:00:00Z", "ann", {"song": "b"}),
    ("sung", "2026-05-05T10:00:00Z", "bob", {"song": "x"}),
    ("sung", "2026-05-06T10:00:00Z", "bob", {"song": "x"}),
    ("unsung", "2026-05-07T10:00:00Z", "bob", {"song": "x"}),
]
MORE: list[Said] = [
    ("sung", "2026-06-01T10:00:00Z", "bob", {"song": "y"}),
    ("sung", "2026-06-02T10:00:00Z", "ann", {"song": "c"}),
    ("sung", "2026-06-03T10:00:00Z", "eve", {"song": "e"}),
]


OLD_AGAIN = OLD.replace("version: 1", "version: 3")


def told(*log: Said, runs: int = 1) -> Owned:
    owned = Owned(OLD, NEW, OLD_AGAIN, runs=runs)
    say(owned, *log)
    return owned


def say(owned: Owned, *log: Said) -> None:
    for kind, at, user, data in log:
        owned.take(kind, at, user, **data)
    owned.commit()


def settle(live: Owned, replay: str = "r") -> None:
    live.order(Hold(replay=replay))
    live.order(Settle(replay=replay, derived=0))


def promote(
    live: Owned,
    shadow: Owned,
    policy: Policy = "keep",
    notify: Notify = "digest",
    *,
    replay: str = "r",
    version: int = 2,
) -> None:
    """All of it, as the owner does it, but for the checkpoint."""
    order = Promote(replay=replay, shadow="s", catalogs={"toy": version}, policy=policy, notify=notify)
    prepare(live, shadow, order)
    live.order(order)


def prepare(live: Owned, shadow: Owned, order: Promote) -> None:
    record = PlainRecord(live.orders, milliseconds(APPENDED), None, encode_order(order))
    assert live.replays.promotion(record) == order
    control = Control(
        catalogs=shadow.replays.catalogs, positions={TOPIC: shadow.offset}, replays=shadow.replays.notes
    )
    try:
        takeover = live.replays.takeover(order, record, {TOPIC: live.offset}, control)
    except LaurelError as refused:
        live.replays.prepared = str(refused)
    else:
        for user in dict.fromkeys([*live.evaluator.users(), *shadow.evaluator.users()]):
            takeover.replace(user, live.evaluator.get(user), shadow.evaluator.get(user))
        since = takeover.goes_on_from
        heard = [*shadow.outcomes[since or 0 :], *(live.outcomes if since is not None else ())]
        for outcome in heard:
            takeover.hear(outcome.subject.encode(), encode_outcome(outcome))
        takeover.told = len(shadow.outcomes)
        for outcome in live.outcomes:
            takeover.endings.recall(outcome.subject.encode(), encode_outcome(outcome))
        takeover.endings.tell_scopes()
        assert [*takeover.untold] == []
        assert [*takeover.endings.unsaid] == []
        live.replays.prepared = takeover


def promoted(live: Owned, shadow: Owned, policy: Policy = "keep", notify: Notify = "digest") -> list[Any]:
    """What is told of it."""
    settle(live)
    promote(live, shadow, policy, notify)
    return live.commit()


def go_on(shadow: Owned, live: Owned) -> None:
    """From the states of before the promotion."""
    kept = live.replays.kept
    assert kept is not None
    assert (kept.shadow, kept.control.catalogs) == ("s", {"toy": 1})
    shadow._changelog.update(kept.rows)
    shadow._start(decode_control(encode_control(kept.control)))


def held(owned: Owned, user: str = "ann") -> dict[str, tuple[str, int]]:
    """What a user holds: when it was earned, and how often it was lost before."""
    numbers = {each.reference: each.number for each in owned.program.catalogs[0].achievements}
    found = {key: award_of(owned.state(user)[AWARDS], number) for key, number in numbers.items()}
    return {
        key: (datetime.fromtimestamp(each.at / 1e6, UTC).date().isoformat(), each.revoked)
        for key, each in found.items()
        if each is not None and each.at != LOST
    }


def names(outcomes: list[Any], kind: str) -> list[str]:
    said = [each for each in outcomes if each.type == kind]
    return [f"{each.subject} {getattr(each.data, 'achievement', None) or each.data.level}" for each in said]


def test_values_are_those_of_folding_from_zero_and_stay_so() -> None:
    """Also behind it, when both go on with the same events."""
    live, shadow = told(*LOG), told(*LOG, runs=2)
    assert live.values() != shadow.values(), "the rules differ"

    promoted(live, shadow)
    assert live.values("bob") == shadow.values("bob")
    assert shadow.values() == {"sung": 2, "songs": 2, "xp": 3 * 25 + 4 * 10}
    assert live.values() == shadow.values() | {"xp": 3 * 25 + 4 * 10 + 100}, "and that of the award she keeps"

    say(live, *MORE)
    say(shadow, *MORE)
    for user in ("bob", "eve"):
        assert live.values(user) == shadow.values(user)
        assert {*held(live, user)} >= {*held(shadow, user)}


def test_what_is_gained_is_told_as_the_shadow_told_it_and_what_was_held_keeps_its_date() -> None:
    """By hand: ann had `two` by her second song on May 2, bob gets it for what he sung on May 6."""
    live, shadow = told(*LOG), told(*LOG, runs=2)
    assert held(live)["three"] == ("2026-05-03", 0)

    outcomes = promoted(live, shadow, notify="all")

    assert names(outcomes, "achievement_unlocked") == ["bob two"]
    (gained,) = [each for each in outcomes if isinstance(each, Outcome)]
    (theirs,) = [
        each
        for each in shadow.outcomes
        if isinstance(each, Outcome) and (each.subject, each.data.achievement) == ("bob", "two")
    ]
    assert (gained.id, gained.time, gained.data.evidence) == (theirs.id, theirs.time, theirs.data.evidence)
    assert (gained.data.origin, gained.data.replay_id, gained.data.announce) == ("replay", "r", True)
    assert held(live, "bob")["two"] == ("2026-05-06", 0)
    assert held(live)["two"] == ("2026-05-02", 0)
    assert outcomes[-1].type == "replay_completed"


def test_levels_that_nobody_was_told_of_are_told_once() -> None:
    """By hand: ann has 140 XP here and 115 there, both level 4; bob has 10, level 2, and 70 there, level 3."""
    live, shadow = told(*LOG), told(*LOG, runs=2)

    outcomes = promoted(live, shadow)

    assert names(outcomes, "level_reached") == ["bob 3"]


@pytest.mark.parametrize("policy", ["keep", "legacy"])
def test_what_the_new_rules_do_not_give_stays_with_its_xp(policy: Policy) -> None:
    live, shadow = told(*LOG), told(*LOG, runs=2)
    assert "three" not in held(shadow)

    outcomes = promoted(live, shadow, policy)

    assert names(outcomes, "achievement_revoked") == []
    assert held(live)["three"] == ("2026-05-03", 0)
    assert live.values()["xp"] == (shadow.values()["xp"] or 0) + 100


def test_what_the_new_rules_do_not_give_is_taken_back_where_that_is_the_policy_and_can_be_earned_anew() -> None:
    live, shadow = told(*LOG), told(*LOG, runs=2)

    outcomes = promoted(live, shadow, "revoke")

    assert names(outcomes, "achievement_revoked") == ["ann three"]
    (lost,) = [each for each in outcomes if isinstance(each, RevokedOutcome)]
    assert lost.data.award_id == unlocked_id("toy", "three", "ann")
    assert (lost.data.n, lost.data.origin, lost.data.reasons[0].catalog_version) == (0, "replay", 2)
    assert "three" not in held(live)
    assert live.values() == shadow.values()
    say(live, MORE[1])
    assert held(live)["three"] == ("2026-06-02", 1), "the third song, and another award than the lost one"


def test_an_award_that_was_lost_here_is_another_one_when_it_is_gained() -> None:
    """The id of the first was told here, and taken back: telling it again would change nothing for anybody."""
    harder = NEW.replace("when: sung >= 2, revocable", "when: songs >= 1, revocable")
    live, shadow = Owned(OLD, harder), Owned(OLD, harder, runs=2)
    say(live, *LOG)
    say(shadow, *LOG)
    assert "keen" not in held(live, "bob")
    assert held(shadow, "bob")["keen"] == ("2026-05-05", 0)

    outcomes = promoted(live, shadow)

    (gained,) = [each for each in outcomes if isinstance(each, Outcome) and each.data.achievement == "keen"]
    assert (gained.subject, gained.data.n, gained.id) == ("bob", 1, unlocked_id("toy", "keen", "bob", n=1))
    assert held(live, "bob")["keen"] == ("2026-05-05", 1)
    assert (held(live)["keen"], held(shadow)["keen"]) == (("2026-05-02", 0), ("2026-05-01", 0)), "own dates"


def test_scopes_that_were_told_are_not_told_again_and_stay() -> None:
    live, shadow = told(*LOG), told(*LOG, runs=2)

    assert "ann at" not in names(promoted(live, shadow), "achievement_unlocked")
    say(live, ("met", "2026-06-09T10:00:00Z", "ann", {"place": "rome"}))
    assert live.commit() == []


def test_who_has_a_state_on_one_side_only() -> None:
    """Here only: what was told stays, nothing else does. There only: all of it is new."""
    live, shadow = told(*LOG), told(*LOG[5:], MORE[2], runs=2)
    shadow.offset = live.offset

    outcomes = promoted(live, shadow)

    assert {*held(live, "ann")} == {"one", "two", "three", "keen", "at"}
    assert live.values("ann")["songs"] == 0
    assert "eve one" in names(outcomes, "achievement_unlocked")
    assert live.values("eve") == shadow.values("eve")


def test_who_has_held_nothing_here_and_is_nobody_there_goes() -> None:
    live, shadow = told(("unsung", "2026-05-04T10:00:00Z", "ann", {"song": "b"})), told(runs=2)
    shadow.offset = live.offset

    promoted(live, shadow)

    assert live.evaluator.get(b"ann") is None


def test_a_shadow_that_stands_elsewhere_changes_nothing_and_a_later_promote_may_go_well() -> None:
    live, shadow = told(*LOG), told(*LOG[:-1], runs=2)
    settle(live)
    before = {user: live.evaluator.get(user) for user in live.evaluator.users()}

    promote(live, shadow)

    note = live.replays.notes["r"]
    assert (note.phase, live.replays.catalogs) == ("settled", {"toy": 1})
    assert note.refused == "the shadow does not stand where this partition is held, in toy: 7 of 8"
    assert {user: live.evaluator.get(user) for user in live.evaluator.users()} == before
    assert live.commit() == []
    say(shadow, LOG[-1])
    promote(live, shadow)
    assert live.phase() == "done"


def test_a_shadow_of_other_versions_is_refused() -> None:
    live, shadow = told(*LOG), told(*LOG, runs=1)
    settle(live)

    promote(live, shadow)

    assert live.replays.notes["r"].refused == "the shadow has run {'toy': 1}, not {'toy': 2}"


def test_an_order_without_what_was_read_of_the_shadow_changes_nothing() -> None:
    live = told(*LOG)
    settle(live)

    live.order(Promote(replay="r", shadow="s", catalogs={"toy": 2}))

    assert (live.phase(), live.commit()) == ("settled", [])


def test_a_rehearsal_says_what_speaks_against_it_and_else_prepares_the_promotion() -> None:
    live, calm, shadow = told(*LOG), told(*LOG), told(*LOG[:-1], runs=2)
    settle(live)
    rehearsal = Rehearse(replay="r", shadow="s", catalogs={"toy": 2})

    prepare(live, shadow, rehearsal)
    live.order(rehearsal)
    refused = live.replays.notes["r"].refused
    assert refused == "the shadow does not stand where this partition is held, in toy: 7 of 8"
    say(shadow, LOG[-1])
    prepare(live, shadow, rehearsal)
    live.order(rehearsal)

    note = live.replays.notes["r"]
    assert (note.phase, note.refused, live.replays.catalogs, live.commit()) == ("settled", None, {"toy": 1}, [])
    live.order(Promote(replay="r", shadow="s", catalogs={"toy": 2}))
    assert (live.phase(), len(live.commit())) == ("done", len(promoted(calm, shadow)))


@pytest.mark.parametrize("between", [Settle(replay="r", derived=0), Publish(catalogs={"toy": 1})])
def test_what_was_rehearsed_is_worth_nothing_behind_another_order(between: ReplayOrder) -> None:
    """What runs here, or how far it is folded, may be another then."""
    live, shadow = told(*LOG), told(*LOG, runs=2)
    settle(live)
    rehearsal = Rehearse(replay="r", shadow="s", catalogs={"toy": 2})
    prepare(live, shadow, rehearsal)
    live.order(rehearsal)

    live.order(between)
    live.order(Promote(replay="r", shadow="s", catalogs={"toy": 2}))

    assert (live.phase(), live.replays.notes["r"].refused) == ("settled", "nothing of its shadow was read")


def test_a_second_promote_changes_nothing_and_neither_does_a_release() -> None:
    live, shadow = told(*LOG), told(*LOG, runs=2)
    promoted(live, shadow)

    live.order(Promote(replay="r", shadow="s", catalogs={"toy": 2}))
    live.order(Release(replay="r"))

    assert (live.phase(), live.commit()) == ("done", [])


def test_an_owner_that_dies_before_the_checkpoint_begins_anew_and_comes_to_the_same() -> None:
    calm, live, shadow = told(*LOG), told(*LOG), told(*LOG, runs=2)
    expected = promoted(calm, shadow)
    settle(live)
    live.commit()
    committed = encode_control(Control(catalogs=live.replays.catalogs, replays=live.replays.notes))
    promote(live, shadow)

    live._start(decode_control(committed))  # nothing of it was committed
    assert live.phase() == "settled"
    live.orders -= 1  # the order is read again
    promote(live, shadow)

    assert live.commit() == expected
    assert {user: live.evaluator.get(user) for user in live.evaluator.users()} == {
        user: calm.evaluator.get(user) for user in calm.evaluator.users()
    }


def test_an_owner_that_dies_behind_the_checkpoint_goes_on_by_the_new_rules() -> None:
    live, shadow = told(*LOG), told(*LOG, runs=2)
    promoted(live, shadow)

    live.restart()

    note = live.replays.notes["r"]
    assert (note.phase, note.promoted, note.cut[TOPIC], note.catalogs) == ("done", True, 8, {"toy": 2})
    assert live.replays.limit(TOPIC) is None
    say(live, *MORE)
    say(shadow, *MORE)
    assert live.values("bob") == shadow.values("bob")


@pytest.mark.parametrize("policy", ["keep", "revoke"])
def test_the_states_of_before_go_on_in_the_shadow_as_if_nothing_had_been_promoted(policy: Policy) -> None:
    calm, live, shadow = told(*LOG), told(*LOG), told(*LOG, MORE[2], runs=2)
    shadow.offset = live.offset
    promoted(live, shadow, policy)

    go_on(shadow, live)
    assert shadow.evaluator.get(b"eve") is None, "she was known to the shadow alone"
    say(shadow, *MORE)
    say(calm, *MORE)

    for user in ("ann", "bob", "eve"):
        assert shadow.evaluator.get(user.encode()) == calm.evaluator.get(user.encode())


def test_the_way_back_leads_to_what_would_be_without_the_promotion() -> None:
    """By hand: `three` was taken from ann with the promotion; she gets it back with the day of her third song."""
    calm, live, shadow = told(*LOG), told(*LOG), told(*LOG, runs=2)
    promoted(live, shadow, "revoke")
    assert "three" not in held(live)
    go_on(shadow, live)
    for each in (calm, live, shadow):
        say(each, *MORE[:1], *MORE[2:])
    shadow.order(Publish(catalogs={"toy": 3}))
    settle(live, "back")

    promote(live, shadow, "revoke", notify="all", replay="back", version=3)

    outcomes = live.commit()
    (first,) = [each for each in calm.outcomes if isinstance(each, Outcome) and each.data.achievement == "three"]
    (again,) = [each for each in outcomes if isinstance(each, Outcome)]
    assert (again.subject, again.data.evidence, again.data.earned_at) == (
        "ann",
        first.data.evidence,
        first.data.earned_at,
    )
    assert (again.data.n, again.id) == (1, unlocked_id("toy", "three", "ann", n=1)), "the first was taken back"
    assert (live.phase("back"), live.replays.catalogs) == ("done", {"toy": 3})
    for user in ("ann", "bob", "eve"):
        assert live.values(user) == calm.values(user)
        assert {*held(live, user)} == {*held(calm, user)}


def test_a_way_back_that_takes_nothing_leaves_what_was_gained_meanwhile() -> None:
    """By hand: bob's `two` is of the new rules, which count what he has sung twice."""
    live, shadow = told(*LOG), told(*LOG, runs=2)
    promoted(live, shadow)
    go_on(shadow, live)
    shadow.order(Publish(catalogs={"toy": 3}))
    settle(live, "back")

    promote(live, shadow, replay="back", version=3)

    assert [each.type for each in live.commit()] == ["replay_completed"]
    assert held(live, "bob")["two"] == ("2026-05-06", 0)
    assert live.values("bob")["xp"] == 10 + 10, "by `one`, and by what he keeps"


MET = OLD.replace("scope: data.place}", "scope: data.place, xp: 7}").replace(
    "xp: [{on: awards}]", "  - {key: seen, name: Seen, when: sung >= 1, requires: [at], xp: 3}\nxp: [{on: awards}]"
)
ROME = MET.replace("version: 1", "version: 2").replace("on: met,", "on: met, where: {data.place: rome},")
MET_AGAIN = MET.replace("version: 1", "version: 3")
TRIPS: list[Said] = [
    ("sung", "2026-05-01T10:00:00Z", "ann", {"song": "a"}),
    ("met", "2026-05-02T10:00:00Z", "ann", {"place": "rome"}),
    ("met", "2026-05-03T10:00:00Z", "ann", {"place": "oslo"}),
    ("met", "2026-05-04T10:00:00Z", "ann", {"place": "bonn"}),
    ("sung", "2026-05-05T10:00:00Z", "bob", {"song": "a"}),
    ("met", "2026-05-06T10:00:00Z", "bob", {"place": "oslo"}),
]


def travelled(runs: int = 1) -> Owned:
    owned = Owned(MET, ROME, MET_AGAIN, runs=runs)
    say(owned, *TRIPS)
    return owned


def scopes(outcomes: list[Any], kind: str = "achievement_revoked") -> list[tuple[str, str, str, int, str]]:
    """Of awards with scopes: whose, which, of what scope and number, and of which day."""
    return [
        (each.subject, each.data.achievement, each.data.scope, each.data.n, f"{each.data.earned_at:%d}")
        for each in outcomes
        if each.type == kind
    ]


def test_single_scopes_are_taken_back_by_their_words_and_with_the_last_one_what_requires_the_award() -> None:
    """By hand: only rome counts now. ann keeps it, and `seen`; bob has nothing left but `one`."""
    live, shadow = travelled(), travelled(runs=2)

    outcomes = promoted(live, shadow, "revoke")

    assert sorted(scopes(outcomes)) == [
        ("ann", "at", "bonn", 0, "04"),
        ("ann", "at", "oslo", 0, "03"),
        ("bob", "at", "oslo", 0, "06"),
        ("bob", "seen", "", 0, "06"),
    ]
    lost = {(each.subject, each.data.achievement): each for each in outcomes if isinstance(each, RevokedOutcome)}
    assert lost["bob", "at"].data.award_id == unlocked_id("toy", "at", "bob", scope="oslo")
    assert [type(each).__name__ for each in lost["bob", "at"].data.reasons] == ["CatalogReason"]
    of_version, of_award = lost["bob", "seen"].data.reasons
    assert (of_version.catalog_version, of_award.achievement) == (2, "at"), "it hung on the other one"
    assert lost["bob", "at"].data.origin == "replay"
    assert ({*held(live)}, held(live)["at"]) == ({"one", "at", "seen"}, ("2026-05-02", 1))
    assert {*held(live, "bob")} == {"one"}
    for user in ("ann", "bob"):
        assert live.values(user) == shadow.values(user), "XP too"
    say(live, ("met", "2026-06-01T10:00:00Z", "bob", {"place": "rome"}))
    assert scopes(live.outcomes[-2:], "achievement_unlocked") == [
        ("bob", "at", "rome", 1, "01"),
        ("bob", "seen", "", 1, "01"),
    ]


@pytest.mark.parametrize("policy", ["keep", "legacy"])
def test_scopes_that_stay_have_given_their_xp_each_and_are_noted_where_they_are_to_be_marked(
    policy: Policy,
) -> None:
    """By hand: ann has 10 for her song, 3 for `seen`, and 7 for each of three places."""
    live, shadow = travelled(), travelled(runs=2)
    before = {user: live.values(user) for user in ("ann", "bob")}

    assert scopes(promoted(live, shadow, policy)) == []

    assert before["ann"]["xp"] == 10 + 3 + 3 * 7
    assert {user: live.values(user) for user in ("ann", "bob")} == before
    assert live.replays.notes["r"].unmet == ([("toy", "at"), ("toy", "seen")] if policy == "legacy" else [])


def test_scopes_that_were_taken_come_back_under_another_number_on_the_way_back() -> None:
    live, shadow = travelled(), travelled(runs=2)
    promoted(live, shadow, "revoke")
    go_on(shadow, live)
    shadow.order(Publish(catalogs={"toy": 3}))
    settle(live, "back")

    promote(live, shadow, "revoke", replay="back", version=3)

    assert sorted(scopes(live.commit(), "achievement_unlocked")) == [
        ("ann", "at", "bonn", 1, "04"),
        ("ann", "at", "oslo", 1, "03"),
        ("bob", "at", "oslo", 1, "06"),
        ("bob", "seen", "", 1, "06"),
    ]
    say(live, ("met", "2026-06-01T10:00:00Z", "bob", {"place": "oslo"}))
    assert live.commit() == [], "he has it"


def test_an_award_of_an_achievement_that_is_no_more_keeps_its_xp_or_goes() -> None:
    gone = OLD.replace("version: 1", "version: 2").replace(
        "  - {key: three, name: Three, when: songs >= 3, xp: 100}\n", ""
    )
    for policy in ("keep", "revoke"):
        live, shadow = Owned(OLD, gone), Owned(OLD, gone, runs=2)
        for each in (live, shadow):
            say(each, *LOG)
        before = live.values()["xp"]

        lost = scopes(promoted(live, shadow, policy))

        assert lost == ([] if policy == "keep" else [("ann", "three", "", 0, "03")])
        assert before is not None
        assert live.values()["xp"] == before - (0 if policy == "keep" else 100)
