"""A promotion anywhere in a log makes what folding the whole log by the new version makes, and goes on so.

Logs, catalogs with everything that the language has, the older version, and where the promotion comes are random.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

import pytest
from hypothesis import event, given, settings

from bench.reference import Award
from schemas.outcomes import encode_outcome
from schemas.program import XP, Program, comparisons
from schemas.replays import Hold, Policy, Promote, Settle, decode_order
from schemas.state import AWARDS, awarded_at, decode_control, decode_state, fresh_state
from schemas.zones import moment_of
from tests.unit.random_languages import CONSTRUCTS
from tests.unit.random_logs import SEEDS, Said, random_log
from tests.unit.replaying import Partition, Versions, values_of
from tests.unit.test_replay_equals_whole_fold import successions, told, usable

EXAMPLES = settings().max_examples


def promote(live: Partition, shadow: Partition, policy: Policy) -> None:
    """As the owner does it, who may die behind every checkpoint."""
    live.versions.publish(shadow.versions.records[1].source, announced=False)
    live.order(None, Hold(replay="r"))
    live.order(None, Settle(replay="r", derived=0))
    live.obey()
    live.order(None, Promote(replay="r", shadow="s", catalogs={"one": 2}, policy=policy))
    record = live.orders[-1].record
    order = decode_order(record.value or b"")
    assert isinstance(order, Promote)
    live._programs.learn(live.versions.records)
    takeover = live._replays.takeover(order, record, live._positions, decode_control(shadow.control))
    rows = dict(shadow.states)
    for user in dict.fromkeys([*live._evaluator.users(), *rows]):
        takeover.replace(user, live._evaluator.get(user), rows.get(user))
    for outcome in shadow.outcomes:
        takeover.hear(outcome.subject.encode(), encode_outcome(outcome))
    for outcome in live.outcomes:
        takeover.endings.recall(outcome.subject.encode(), encode_outcome(outcome))
    takeover.endings.tell_scopes()
    assert [*takeover.endings.unsaid] == []
    assert [*takeover.untold] == [], "states and outcomes of a shadow say the same"
    live._replays.prepared = takeover
    live.obey()
    assert decode_control(live.control).replays["r"].phase == "done"


def values(partition: Partition, program: Program) -> dict[tuple[str, str, str], object]:
    """XP aside, which an award that stays keeps."""
    rows = {user: row for user, row in dict(partition.states).items() if row is not None}
    return {key: value for key, value in values_of(rows, program).items() if key[2] != XP}


def say(log: list[Said], *partitions: Partition) -> None:
    for said in log:
        for partition in partitions:
            partition.say(said)


@pytest.mark.parametrize("policy", ["keep", "revoke"])
@settings(max_examples=max(5, EXAMPLES // 10))
@given(seed=SEEDS, texts=successions(CONSTRUCTS, only_grows=False))
def test_a_promotion_makes_what_a_fold_from_zero_makes(policy: Policy, seed: int, texts: tuple[str, str]) -> None:
    usable(*texts)
    chance, log = Random(seed), random_log(seed)
    live, shadow = Partition(Versions(texts[:1]), chance), Partition(Versions(texts), chance)
    live.restarts = chance.random() < 0.5
    middle = chance.randint(0, len(log))
    say(log[:middle], live, shadow)
    early, new = told(live.outcomes).awards, shadow.versions.program({"one": 2})
    by_xp = {each.reference for each in new.catalogs[0].achievements if hangs_on_xp(new, each.reference)}

    promote(live, shadow, policy)

    got, expected = told(live.outcomes).awards, told(shadow.outcomes).awards
    assert values(live, new) == values(shadow, new)
    assert {*expected} <= {*got}
    more = {award for award in {*got} - {*expected} if award[2] not in by_xp}
    assert more <= {*early}, "nothing is given that a fold from zero does not give"
    assert policy == "keep" or not more, "all that a fold from zero does not give is taken back, scopes too"
    assert policy == "revoke" or {*early} <= {*got}, "nothing is lost"
    for award, at in expected.items():
        assert award in early or award[2] in by_xp or got[award] == at, award
    assert all(got[award] == at for award, at in early.items() if award in got), "what was held keeps its date"
    assert held(live, new) == {award: at for award, at in got.items() if award[2] in unscoped(new)}
    event(f"gained: {bool({*got} - {*early})}, only here: {bool({*early} - {*expected})}")
    say(log[middle:], live, shadow)
    assert values(live, new) == values(shadow, new)
    assert live.complaints == []


def unscoped(program: Program) -> dict[str, int]:
    """Achievements that are given once: reference -> number."""
    return {each.reference: each.number for each in program.catalogs[0].achievements if each.scopes is None}


def held(partition: Partition, program: Program) -> dict[Award, datetime]:
    """What the states say."""
    rows = {user.decode(): row for user, row in dict(partition.states).items() if row is not None}
    states = {user: decode_state(row, fresh_state(program.ledger)) for user, row in rows.items()}
    return {
        (user, "one", reference, ""): moment_of(at)
        for user, state in states.items()
        for reference, number in unscoped(program).items()
        if (at := awarded_at(state[AWARDS], number)) is not None
    }


def hangs_on_xp(program: Program, reference: str) -> bool:
    """XP of what stays may give what the shadow has not given."""
    specs = {each.reference: each for each in program.catalogs[0].achievements}
    spec = specs[reference]
    waits = any(each.metric == XP for each in comparisons(spec.when))
    return waits or any(hangs_on_xp(program, each) for each in spec.requires if each in specs)
