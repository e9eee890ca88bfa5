"""Decided where that is easy, settled where not, and behind other users' records: a record comes to the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.language import PLAIN, WHOLE, records_of
from bench.load import TOPIC, Load
from processor.evaluator.compile import compile_catalog
from processor.evaluator.entries import Won
from processor.evaluator.partition import Cut, PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.revocation import Fall
from processor.evaluator.settlement import Crossings
from schemas.catalog import read_catalog
from schemas.program import Ledger, Program
from schemas.records import Record
from schemas.state import State

CROWDED = """
# Many wait for the same few thresholds, and give what makes others wait no longer.
catalog: bench
version: 1
tiers: [bronze, silver]
categories: [{key: all, title: All}, {key: apart, title: Apart}]
events:
  song_released: {topic: bench.activity, data: {song_id: string, artist: string, points: integer}}
  comment_posted: {topic: bench.activity, data: {points: integer}}
  song_played: {topic: bench.activity, data: {artist: string}}
metrics:
  songs: {count: song_released}
  points: {sum: song_released, of: data.points}
  surplus: {count: song_released, minus: comment_posted}
  played: {count: song_played}
  latest: {latest: comment_posted, of: data.points}
xp: [{on: song_released, amount: 7}, {on: song_played, amount: 1}, {on: awards}]
levels: {of: xp, curve: [0, 7, 14, 20, 27, 35, 49, 50, 70, 100, 101, 102, 150, 200, 260, 400]}
achievements:
  - {key: one, name: One, category: all, when: songs >= 1, xp: 7}
  - {key: one_too, name: One too, category: all, when: songs >= 1, context: {song: data.song_id}, xp: 13}
  - {key: ten, name: Ten, category: all, when: points >= 10, requires: [one]}
  - {key: rich, name: Rich, category: all, when: xp >= 50, xp: 20}
  - {key: richer, name: Richer, category: all, when: xp >= 70, context: {song: data.song_id}, xp: 40}
  - {key: fourth, name: Fourth, category: all, when: level >= 4, xp: 1}
  - {key: eighth, name: Eighth, category: all, when: level >= 8, requires: [rich]}
  - {key: ahead, name: Ahead, category: all, when: surplus >= 1, revocable: true, xp: 5}
  - {key: both, name: Both, category: all, when: {all: [songs >= 2, points >= 20]}, xp: 30}
  - {key: either, name: Either, category: all, when: {any: [songs >= 3, played >= 2]}}
  - {key: follows, name: Follows, category: all, requires: [both, either], when: songs >= 1}
  - key: topper
    name: Topper
    category: all
    on: song_released
    where: {data.points: {gte: 15}}
    scope: data.artist
    xp: 3
  - {key: month, name: Month, category: all, when: played >= 2, window: {every: month}, xp: 2}
  - {key: whole, name: Whole, category: all, all_of: {category: all}, xp: 9}
  - {key: back, name: Back, category: apart, when: surplus >= 1, revocable: true, xp: 11}
  - {key: back_too, name: Back, category: apart, when: surplus >= 2, revocable: true, context: {s: data.song_id}}
  - {key: high, name: High, category: apart, when: latest >= 9, revocable: announced}
  - {key: higher, name: Higher, category: apart, when: {any: [latest >= 12, played >= 30]}, revocable: true, xp: 2}
  - {key: highest, name: Highest, category: apart, when: latest >= 15}
  - {key: after_high, name: After high, category: apart, when: latest >= 12, requires: [high, back]}
  - {key: after_topper, name: After topper, category: apart, when: songs >= 2, requires: [topper], xp: 21}
  - {key: week, name: Week, category: apart, when: songs >= 1, window: {every: week}}
  - {key: loud, name: Loud, category: apart, on: comment_posted, where: {data.points: {gte: 18}}, xp: 4}
  - key: maker
    name: Maker
    category: all
    conditions: {songs: songs, points: points}
    tiers: [{tier: bronze, at: {songs: 1, points: 5}, xp: 6}, {tier: silver, at: {songs: 3, points: 30}, xp: 50}]
"""


@pytest.mark.parametrize("text", [WHOLE.read_text(), CROWDED], ids=["language", "crowded"])
def test_what_is_decided_on_the_spot_is_what_a_settlement_would_have_come_to(text: str) -> None:
    records = records_of(Load(6_000, users=60))

    decided, settled = folded(made_ready(text), [records]), folded(all_settled(made_ready(text)), [records])

    assert len(decided.outcomes) > 300
    assert_equal(decided, settled)


@pytest.mark.parametrize("text", [WHOLE.read_text(), CROWDED], ids=["language", "crowded"])
def test_what_one_metric_takes_away_by_going_back_is_decided_with_all_that_hangs_on_it(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready, left, hanging = made_ready(text), [], []
    assert ready.books is not None
    decide = ready.books.decide

    def watched(state: State, crossings: Crossings, data: Any) -> tuple[Won, Crossings]:
        won, more = decide(state, crossings, data)
        if [type(crossed) for crossed, _ in crossings] == [Fall]:
            left.extend(more)
            hanging.extend(won[1:])
        return won, more

    monkeypatch.setattr(ready.books, "decide", watched)
    folded(ready, [records_of(Load(6_000, users=60))])

    assert left == []
    assert len(hanging) > 10


@pytest.mark.parametrize(
    "text", [PLAIN.read_text(), WHOLE.read_text(), CROWDED], ids=["full", "language", "crowded"]
)
def test_what_is_decided_behind_other_users_records_is_what_it_came_to_at_its_own(text: str) -> None:
    records = records_of(Load(6_000, users=60))

    in_chunks, one_by_one = (folded(made_ready(text), each) for each in ([records], [[each] for each in records]))

    assert len(in_chunks.outcomes) > 300
    assert_equal(in_chunks, one_by_one)


def assert_equal(cut: Cut, other: Cut) -> None:
    assert [*cut.outcomes] == [*other.outcomes]
    assert cut.states == other.states


def made_ready(text: str) -> ReadyProgram:
    compiled, ledger = compile_catalog(read_catalog(text, "bench"), Ledger())
    return ReadyProgram(Program(catalogs=[compiled], ledger=ledger, derived="derived", commands="commands"))


def all_settled(ready: ReadyProgram) -> ReadyProgram:
    assert ready.books is not None
    ready.books.decide = lambda state, crossings, data: ([], crossings)  # type: ignore[method-assign]
    return ready


def folded(ready: ReadyProgram, chunks: Sequence[Sequence[Record]]) -> Cut:
    evaluator = PartitionEvaluator(ready, 0, 1)
    for records in chunks:
        evaluator.fold(TOPIC, records)
    return evaluator.cut()
