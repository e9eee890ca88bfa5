"""Who a plan says would gain something, against the reference fold of the same log by the new version."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import pytest

from bench import reference
from processor.evaluator.compile import compile_catalog
from processor.replay.changes import Unfinished, changes
from processor.replay.ports import Part, Stretch
from processor.replay.wanted import Wanted
from replays.counting import Count
from replays.intent import Intent
from schemas.catalog import read_catalog
from schemas.program import Ledger, Program
from schemas.records import PlainRecord
from schemas.topics import partition_of
from tests.unit.sample import CATALOGS

PARTITIONS = 3
APPENDED_MS = 1_900_000_000_000
EVENTS = 2_500


class Log:
    """A sample's events in the partitions of their users."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.records: dict[int, list[PlainRecord]] = defaultdict(list)
        for said in events:
            key = said["subject"].encode()
            place = self.records[partition_of(key, PARTITIONS)]
            place.append(PlainRecord(len(place), APPENDED_MS, key, json.dumps(said).encode()))

    async def begin(self, topic: str, partition: int) -> int:
        return 0

    async def scan(self, stretch: Stretch, wanted: Wanted) -> AsyncIterator[Part]:
        yield Part(stretch.cut, wanted.among(self.records[stretch.partition]))


class Held:
    """A database in which these awards are held: (user, catalog, reference, scope)."""

    def __init__(self, awards: Collection[tuple[str, str, str, str]]) -> None:
        self._awards = awards

    def execute(self, statement: bytes, wanted: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
        return [award for award in self._awards if f"{award[1]}/{award[2]}" in wanted["references"]]


def events_of(name: str) -> list[dict[str, Any]]:
    packed = (CATALOGS / "samples" / f"{name}.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(packed).splitlines()][:EVENTS]


def without(text: str, keys: Collection[str]) -> str:
    """The version before these achievements could be earned."""
    for key in keys:
        flow, block = f"{{key: {key},", f"- key: {key}\n"
        assert flow in text or block in text, key
        text = text.replace(flow, f"{flow} is_active: false,", 1)
        text = text.replace(block, f"{block}    is_active: false\n", 1)
    return text


def intended(old: str, new: str) -> Intent:
    before, ledger = compile_catalog(read_catalog(old, "old"), Ledger())
    after, ledger = compile_catalog(read_catalog(new, "new"), ledger)
    running, coming = (Program(catalogs=[each], ledger=ledger, derived="derived") for each in (before, after))
    return Intent(after, {}, running, coming, changes(running, coming, Unfinished()), PARTITIONS, [])


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("trackflow", ["rising_star", "first_finish", "team_player", "early_bird"]),
        ("platform", ["5_projects", "first_battle", "10_quizzes", "first_login"]),
        ("learning", ["module_complete", "high_score", "streak_7"]),
        ("badges", ["all_rounder", "collector", "hello"]),
    ],
)
def test_a_plan_counts_what_the_reference_gives(name, keys):
    text = (CATALOGS / f"{name}.yaml").read_text(encoding="utf-8")
    log = events_of(name)
    expected = reference.fold(log, [text])
    intent = intended(without(text, keys), text.replace("version: 1", "version: 2", 1))
    new = {reference for _, reference in intent.changes.muted}
    awards = [award for award in expected.awards if award[2] in new]
    assert awards, "nobody earns any of these"

    counted = count(Log(log), intent, Held([]))

    assert {gain.achievement: (gain.users, gain.awards) for gain in counted.gains if gain.awards} == {
        reference: (len({user for user, _, key, _ in awards if key == reference}), times)
        for reference in new
        if (times := sum(key == reference for _, _, key, _ in awards))
    }
    assert counted.users == len({award[0] for award in awards})


MORE = """
achievements:
  - {key: busy_week, name: Busy, category: projects, when: project_count >= 2, window: {every: week}}
  - {key: either, name: Either, category: projects, when: {any: [project_count >= 3, battle_count >= 2]}}
  - {key: after, name: After, category: projects, when: battle_count >= 1, requires: [first_project]}
"""


def test_weeks_ways_and_requirements_are_counted_as_the_reference_gives_them():
    """What is required is folded, too, and not counted: whoever holds it has it already."""
    old = (CATALOGS / "platform.yaml").read_text(encoding="utf-8")
    new = old.replace("version: 1", "version: 2", 1).replace("\nladders:", f"{MORE}\nladders:")
    log = events_of("platform")
    awards = [each for each in reference.fold(log, [new]).awards if each[2] in ("busy_week", "either", "after")]

    counted = count(Log(log), intended(old, new), Held([]))

    assert {gain.achievement: gain.awards for gain in counted.gains} == Counter(key for _, _, key, _ in awards)
    assert max(Counter(award[:3] for award in awards).values()) > 1, "nobody has two busy weeks"
    assert counted.users == len({user for user, *_ in awards})


def test_who_holds_it_is_not_counted_and_of_some_people_only_they_are():
    text = (CATALOGS / "platform.yaml").read_text(encoding="utf-8")
    log = events_of("platform")
    won = [award for award in reference.fold(log, [text]).awards if award[2] == "first_battle"]
    first, second, *others = (user for user, *_ in won)
    intent = intended(without(text, ["first_battle"]), text.replace("version: 1", "version: 2", 1))

    (gain,) = count(Log(log), intent, Held(won[:2])).gains
    assert (gain.users, gain.points) == (len(others), 10 * len(others))

    (gain,) = count(Log(log), intent, Held(won[:1]), users={first, second, "nobody"}).gains
    assert gain.users == 1


def count(log: Log, intent: Intent, held: Held, users: Collection[str] | None = None) -> Any:
    ends = {
        (topic, partition): len(log.records[partition])
        for topic in intent.changes.types
        for partition in range(PARTITIONS)
    }
    return asyncio.run(Count(intent, users).run(log, ends, held, lambda records: None))
