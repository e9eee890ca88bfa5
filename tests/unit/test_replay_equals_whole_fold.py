"""A replay while events come makes what folding the whole log from zero under the new version makes.

Logs, catalogs, what the older version lacked, when the replay is prepared and activated, and when the owner dies
are random. The job is the real one, over a partition in memory; the owner is the evaluator with its orders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from random import Random
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from bench.reference import Award
from processor.evaluator.partition import PartitionEvaluator
from processor.replay.changes import Changes
from processor.replay.ports import Status
from schemas.catalog import RefusedCatalog
from schemas.outcomes import decode_any_outcome
from schemas.program import XP, Program, comparisons
from schemas.replays import Named, Publish
from tests.unit.driving import Changelog
from tests.unit.random_languages import CONSTRUCTS, languages
from tests.unit.random_logs import SEEDS, Said, random_log
from tests.unit.replaying import (
    Course,
    Partition,
    Versions,
    changes_to,
    folded_from_zero,
    replayed,
    task_of,
    values_of,
)

EXAMPLES = settings().max_examples  # of the profile: --hypothesis-profile says how long this may take
# Claims depend on when they are made; what only grows is never lost; XP asks for a full replay.
WITHOUT = {"challenged", "revocable", "leveled"}


def mentions(entry: Said, names: Sequence[str]) -> bool:
    return any(re.search(rf'["\s]{name}["\s>]', json.dumps(entry)) for name in names)


def requires_any(entry: Said, keys: set[str]) -> bool:
    return any(each.partition("/")[0] in keys for each in entry.get("requires", []))


@st.composite
def older(draw: st.DrawFn, text: str) -> str:
    """A version before this one: without some metrics, achievements, steps and types, and harder here and there."""
    said: Said = json.loads(text)
    gone = draw(st.lists(st.sampled_from(sorted(said["metrics"])), max_size=2, unique=True))
    said["metrics"] = {key: metric for key, metric in said["metrics"].items() if key not in gone}
    said["ladders"] = [each for each in said["ladders"] if each["metric"] not in gone]
    for each in said["ladders"]:
        each["steps"] = each["steps"][: draw(st.integers(1, 5))]
    if said.get("levels", {}).get("of") in gone:
        del said["levels"]
    entries = said["achievements"]
    lost = {each["key"] for each in entries if mentions(each, gone) or not draw(st.integers(0, 3))}
    for _ in entries:
        lost |= {each["key"] for each in entries if requires_any(each, lost)}
    said["achievements"] = [each for each in entries if each["key"] not in lost]
    for each in said["achievements"]:
        if isinstance(each.get("when"), str) and draw(st.booleans()):
            each["when"] = re.sub(r">= (\d)$", lambda found: f">= {int(found[1]) + 1}", each["when"])
    counted = json.dumps([said["metrics"], entries, said.get("xp")])
    unused = [each for each in ("beta", "gamma") if f'"{each}"' not in counted]
    if unused and draw(st.booleans()):
        del said["events"][unused[0]]
    return json.dumps(said, ensure_ascii=False)


@st.composite
def successions(draw: st.DrawFn, constructs: Sequence[str], only_grows: bool) -> tuple[str, str]:
    new = draw(languages(constructs, only_grows=only_grows))
    old = draw(older(new))
    return old, json.dumps(json.loads(new) | {"version": 2}, ensure_ascii=False)


def usable(*texts: str) -> None:
    for text in texts:
        try:
            Versions([text])
        except RefusedCatalog as refused:
            event(f"refused: {refused.findings[0].what[:60]}")
            assume(False)


def _has_new_types(old: str, new: str) -> bool:
    """Nobody remembers the ids of an event whose type is new: there, none comes twice."""
    return json.loads(old)["events"].keys() != json.loads(new)["events"].keys()


def told(outcomes: Sequence[Any]) -> Changelog:
    changelog = Changelog()
    for outcome in outcomes:
        changelog.take(outcome)
    return changelog


def outcomes_of(evaluator: PartitionEvaluator) -> list[Any]:
    return [decode_any_outcome(value) for _, value in evaluator.cut().outcomes]


Names = AbstractSet[Named]


def hanging_on(program: Program, names: Names) -> Names:
    """What requires one of these, directly or not, and they themselves."""
    found = set(names)
    for catalog in program.catalogs:
        for _ in catalog.achievements:
            found |= {
                (catalog.catalog, spec.reference)
                for spec in catalog.achievements
                if any((catalog.catalog, each) in found for each in spec.requires)
            }
    return found


def waiting_for_xp(program: Program) -> Names:
    """XP that a replay gives may come later than the event for which it is given."""
    return {
        (catalog.catalog, spec.reference)
        for catalog in program.catalogs
        for spec in catalog.achievements
        if any(each.metric == XP for each in comparisons(spec.when))
    }


def kept(program: Program, found: Changes) -> Names:
    """What users keep from before although the new version would not have given it then, or at all."""
    sets = {
        (each.catalog, spec.reference) for each in program.catalogs for spec in each.achievements if spec.all_of
    }
    return sets | set(found.harder) | set(found.removed)


class Trial:
    """A partition that ran the older version for a while."""

    def __init__(self, seed: int, texts: tuple[str, str]) -> None:
        usable(*texts)
        self.chance = Random(seed)
        self.log = random_log(seed, unique=_has_new_types(*texts))
        self.partition = Partition(Versions(texts[:1]), self.chance)
        self.say(self.chance.randint(0, len(self.log)))
        self.partition.restarts = self.chance.random() < 0.5
        self.partition.versions.publish(texts[1], announced=False)
        self.found, self.new = changes_to(self.partition, {"one": 2})
        event(self.found.kind)
        assume(self.found.kind != "full")

    def say(self, count: int) -> None:
        for said in self.log[:count]:
            self.partition.say(said)
        self.log = self.log[count:]

    def replay(self, course: Course, replay: str = "r", **more: Any) -> Status:
        """Publish what has no past; carry out what has one."""
        found, _ = changes_to(self.partition, {"one": 2})
        if found.kind == "nothing":
            self.partition.order(None, Publish(catalogs={"one": 2}))
            self.partition.obey()
            return "done"
        task = task_of(found, self.new, replay, **more)
        status, self.log = replayed(self.partition, task, self.log, self.chance, course)
        return status

    def end(self, dated: bool) -> None:
        """The rest of the log; then all is as if folded from zero."""
        early = set(told(self.partition.before).awards)
        self.say(len(self.log))
        zero = folded_from_zero(self.new, self.partition.log)
        expected, got = told(outcomes_of(zero)), told(self.partition.outcomes)
        rows = {user: row for user, row in dict(self.partition.states).items() if row is not None}
        zero_rows = {user: row for user in rows if (row := zero.get(user)) is not None}
        assert values_of(rows, self.new) == values_of(zero_rows, self.new)
        surplus = set(got.awards) - set(expected.awards)
        assert {award[1:3] for award in surplus} <= kept(self.new, self.found)
        assert surplus <= early
        assert set(expected.awards) <= set(got.awards)
        assert set(expected.levels_reached) <= set(got.levels_reached)
        if dated:
            self._assert_dates(early, expected.awards, got.awards)

    def _assert_dates(self, early: set[Award], expected: dict[Award, datetime], got: dict[Award, datetime]) -> None:
        changed = {award[1:3] for award in early} & set(self.found.muted)  # what is held keeps its date
        undated = hanging_on(self.new, kept(self.new, self.found) | waiting_for_xp(self.new) | changed)
        for award, at in expected.items():
            is_kept = award in early or award[1:3] in undated - changed
            assert is_kept or got[award] == at, award


@pytest.mark.parametrize("construct", [each for each in CONSTRUCTS if each not in WITHOUT])
def test_what_only_grows_is_awarded_with_its_dates_while_events_come(construct: str) -> None:
    @settings(max_examples=max(1, EXAMPLES // 4))
    @given(SEEDS, successions([construct], only_grows=True))
    def prove(seed: int, texts: tuple[str, str]) -> None:
        trial = Trial(seed, texts)
        assert trial.replay(Course()) == "done"
        trial.end(dated=True)

    prove()


@settings(max_examples=EXAMPLES // 2)
@given(SEEDS, successions([], only_grows=True), st.booleans(), st.integers(1, 2))
def test_processes_of_the_job_that_die_or_are_two_change_nothing(
    seed: int, texts: tuple[str, str], dies: bool, at_once: int
) -> None:
    trial = Trial(seed, texts)
    assert trial.replay(Course(dies=dies, at_once=at_once)) == "done"
    trial.end(dated=True)


@settings(max_examples=EXAMPLES // 2)
@given(SEEDS, successions(["sets", "seasonal"], only_grows=True), st.integers(1, 4))
def test_a_replay_that_was_cancelled_leaves_nothing_that_the_next_one_does_not_take_away(
    seed: int, texts: tuple[str, str], sends: int
) -> None:
    trial = Trial(seed, texts)
    assume(trial.found.kind != "nothing")
    status = trial.replay(Course(cancelled_after=sends))
    event(status)
    if status == "cancelled":
        trial.say(trial.chance.randint(0, len(trial.log)))
        assert trial.replay(Course(), "again") == "done"
    trial.end(dated=True)


@pytest.mark.parametrize("construct", ["bridged", "tiered", "seasonal", "periodic", "sets", "revocable"])
def test_what_may_go_back_is_awarded_to_whom_a_fold_from_zero_gives_it(construct: str) -> None:
    @settings(max_examples=max(1, EXAMPLES // 4))
    @given(SEEDS, successions([construct], only_grows=False))
    def prove(seed: int, texts: tuple[str, str]) -> None:
        trial = Trial(seed, texts)
        assert trial.replay(Course()) == "done"
        trial.end(dated=False)

    prove()
