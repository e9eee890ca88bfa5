"""A catalog's text, read, compiled and folded: every construct from what an author writes to what users get."""

from __future__ import annotations

from typing import Any

import pytest

from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.program import Ledger, Program
from tests.unit.written_program import COMMANDS, Fold, told

HEAD = """
catalog: toy
version: 1
timezone: Europe/Paris
events:
  done: {topic: toy, data: {item: string?, title: string?, amount: integer?}}
  undone: {topic: toy, data: {item: string?}}
  seen: {topic: toy, data: {amount: integer?}}
  frozen: {topic: toy}
metrics:
  dones: {count: done, minus: undone}
  views: {count: seen}
  days: {streak: done, every: day}
"""


def folded(text: str) -> Fold:
    catalog = read_catalog(HEAD + text, "toy.yaml")
    program, ledger = compile_catalog(catalog, Ledger())
    return Fold(Program(catalogs=[program], ledger=ledger, derived="x.derived", commands=COMMANDS))


def after(fold: Fold, *kinds: str, **said: Any) -> list[str]:
    """What came out of these events, one a minute."""
    return [each for kind in kinds for each in told(fold.take(kind, **said))]


def test_tiers_with_named_conditions_and_context() -> None:
    fold = folded("""
achievements:
  - key: solver
    name: Solver
    conditions: {solved: dones, looked: views}
    tiers: [{tier: bronze, at: {solved: 1}}, {tier: gold, at: {solved: 2, looked: 1}}]
    context: {last: data.title}
""")

    assert after(fold, "done", "done") == ["+solver/bronze"]
    (gold,) = fold.take("seen")
    assert told([gold]) == ["+solver/gold"]
    assert gold.data.context == {"last": None}  # type: ignore[union-attr]


def test_awards_straight_from_events_with_scope_and_metadata() -> None:
    fold = folded("""
achievements:
  - key: module
    name: Module
    on: done
    where: {data.amount: {gte: 90}}
    scope: data.item
    metadata: {title: data.title}
    message: "You finished {title}!"
    description: Finish a module
  - {key: any_module, name: Any, requires: module, when: views >= 1}
""")

    (first,) = fold.take("done", item="m1", title="Tea", amount=95)
    assert told([first]) == ["+module m1"]
    assert first.data.message == "You finished Tea!"  # type: ignore[union-attr]
    assert after(fold, "done", item="m1", amount=99) == []
    assert after(fold, "seen") == ["+any_module"]


def test_seasons_and_periods() -> None:
    fold = folded("""
achievements:
  - {key: summer, name: Summer, when: dones >= 2, window: {from: 2026-06-01, until: 2026-09-01}}
  - {key: weekly, name: Weekly, when: dones >= 2, window: {every: week}}
""")

    assert after(fold, "done", "done", at="2026-05-30T10:00:00Z") == ["+weekly 2026-W22"]
    assert after(fold, "done", at="2026-05-31T22:00:00Z") == []  # midnight in Paris: Monday, 1 June
    assert after(fold, "done", at="2026-06-01T10:00:00Z") == ["+summer", "+weekly 2026-W23"]


def test_sets_xp_levels_and_what_gives_xp_for_a_level() -> None:
    fold = folded("""
xp: [{on: done, amount: 40}, {on: seen, amount: data.amount}, {on: awards}]
levels: {of: xp, curve: {triangular: 50}, name: "Stage {level}"}
categories: [{key: start, title: Start}, {key: sets, title: Sets}]
achievements:
  - {key: one, name: One, category: start, when: dones >= 1, points: 10}
  - {key: look, name: Look, category: start, when: views >= 1, xp: 5}
  - {key: started, name: Started, category: sets, all_of: {category: start}, xp: 45}
  - {key: risen, name: Risen, category: sets, when: level >= 2, xp: 1}
""")

    assert after(fold, "done") == ["+one"]  # 40 + 10
    outcomes = fold.take("seen", amount=0)
    assert told(outcomes) == ["+look", "+started", "+risen", "level 2"]  # 5 + 45 makes 100, one more for `risen`
    level: Any = outcomes[-1].data
    assert (level.name, level.value, level.next_start) == ("Stage 2", 101, 300)


def test_awards_that_are_taken_back_with_what_hung_on_them() -> None:
    fold = folded("""
achievements:
  - {key: first, name: First, when: dones >= 1, revocable: announced}
  - {key: after, name: After, when: views >= 1, requires: first}
""")

    assert after(fold, "seen", "done") == ["+first", "+after"]
    lost = fold.take("undone")
    assert told(lost) == ["-first", "-after"]
    assert [outcome.data.announce for outcome in lost] == [True, False]  # type: ignore[union-attr]
    assert after(fold, "done") == ["+first #1", "+after #1"]


def test_grace_and_freezes() -> None:
    fold = folded("""
  kind_days: {streak: seen, every: day, grace: 1}
  cold_days: {streak: undone, every: day, freezes: frozen}
achievements:
  - {key: kind, name: Kind, when: kind_days >= 2}
  - {key: cold, name: Cold, when: cold_days >= 2}
""")

    assert after(fold, "seen", at="2026-05-01T10:00:00Z") == []
    assert after(fold, "seen", at="2026-05-03T10:00:00Z") == ["+kind"]
    assert after(fold, "undone", "frozen", at="2026-05-01T10:00:00Z") == []
    assert after(fold, "undone", at="2026-05-03T10:00:00Z") == ["+cold"]


def test_one_type_may_be_an_active_day_and_a_freeze_at_once() -> None:
    """Every day earns the freeze that bridges the next gap of one day, and no more."""
    fold = folded("""
  earned_days: {streak: seen, every: day, freezes: seen}
achievements: [{key: three, name: Three, when: earned_days >= 3}]
""")

    assert after(fold, "seen", at="2026-05-01T10:00:00Z") == []
    assert after(fold, "seen", at="2026-05-05T10:00:00Z") == []  # three days missed, one freeze there
    assert after(fold, "seen", at="2026-05-07T10:00:00Z") == []
    assert after(fold, "seen", at="2026-05-09T10:00:00Z") == ["+three"]


def test_challenges() -> None:
    fold = folded("""
challenges:
  per_day: 1
  list: [{key: two, type: practice, description: Two, when: dones >= 2, every: day, xp: 30}]
levels: {of: xp, curve: [0, 30]}
achievements: [{key: one, name: One, when: dones >= 100}]
""")
    after(fold, "done", "done", at="2026-05-05T10:00:00Z")

    assert told(fold.claim("2026-05-05T21:59:59Z", challenge="two")) == ["done two", "accepted", "level 2"]
    assert told(fold.claim("2026-05-05T22:00:00Z", challenge="two", day="2026-05-05")) == ["refused expired"]


def test_a_version_that_learns_more_goes_on_from_the_states_of_the_one_before() -> None:
    """What was counted stays; what is new begins at nothing, and a level is told from the first one on."""
    before = """
achievements: [{key: one, name: One, when: dones >= 1}]
"""
    after_it = """
xp: [{on: done, amount: 60}, {on: awards}]
levels: {of: xp, curve: [0, 50, 100]}
achievements:
  - {key: one, name: One, when: dones >= 1, revocable: true}
  - {key: three, name: Three, when: dones >= 3, requires: one, xp: 40}
"""
    old, ledger = compile_catalog(read_catalog(HEAD + before, "toy.yaml"), Ledger())
    new, grown = compile_catalog(
        read_catalog((HEAD + after_it).replace("version: 1", "version: 2"), "toy.yaml"), ledger
    )
    first = Fold(Program(catalogs=[old], ledger=ledger, derived="x.derived", commands=COMMANDS))
    assert after(first, "done", "done") == ["+one"]

    fold = Fold(Program(catalogs=[new], ledger=grown, derived="x.derived", commands=COMMANDS))
    fold.evaluator.load([(b"ann", first.evaluator.get(b"ann"))])
    fold.offset = first.offset

    assert after(fold, "done") == ["+three", "level 2", "level 3"]  # 60 for the event and 40 for the award
    assert after(fold, "undone", "undone", "undone") == ["-one", "-three"]


def test_a_plain_catalog_beside_one_with_more_gives_the_same_awards_as_alone() -> None:
    plain = (
        HEAD.replace("toy\nversion", "plain\nversion")
        + """
achievements:
  - {key: one, name: One, when: dones >= 1}
  - {key: both, name: Both, when: {all: [dones >= 2, views >= 1]}}
  - {key: late, name: Late, when: views >= 2, requires: both}
"""
    )
    more = (
        HEAD
        + """
achievements: [{key: lost, name: Lost, when: dones >= 1, revocable: true}]
"""
    )
    kinds = ["done", "seen", "undone", "done", "done", "seen", "done"]

    assert awards_of("plain", kinds, plain) == awards_of("plain", kinds, plain, more)
    assert awards_of("toy", kinds, more) == awards_of("toy", kinds, plain, more) == ["+lost", "-lost", "+lost #1"]


def awards_of(catalog: str, kinds: list[str], *texts: str) -> list[str]:
    """What a catalog's users get, whichever others are read beside it."""
    programs, ledger = [], Ledger()
    for text in texts:
        program, ledger = compile_catalog(read_catalog(text, "toy.yaml"), ledger)
        programs.append(program)
    fold = Fold(Program(catalogs=programs, ledger=ledger, derived="x.derived", commands=COMMANDS))
    outcomes = [outcome for kind in kinds for outcome in fold.take(kind)]
    return told(outcome for outcome in outcomes if outcome.source == f"laurel/{catalog}")


@pytest.mark.parametrize("public", [True, False])
def test_the_default_visibility_of_an_award_goes_with_it(public: bool) -> None:
    entry = f"{{key: one, name: One, when: dones >= 1, is_public: {str(public).lower()}}}"
    (outcome,) = folded(f"achievements: [{entry}]\n").take("done")

    assert outcome.data.is_public is public  # type: ignore[union-attr]
