"""A user's state has a bound: an event that would make it larger is refused, and nothing else is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count, islice

import pytest

from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from schemas.catalog import read_catalog
from schemas.program import Ledger, Program
from schemas.records import PlainRecord
from schemas.state import STATE_BYTES_MAX, decode_state, fresh_state, metric_values

TOPIC = "music"
VALUES = 17  # of an event, each of a metric of its own: 17 x 4,096 hashes are more than a state may have
CATALOG = f"""
catalog: wide
version: 1
events:
  played: {{topic: {TOPIC}, data: {{{", ".join(f"v{n}: string" for n in range(VALUES))}}}}}
  rated: {{topic: {TOPIC}}}
metrics:
  plays: {{count: played}}
  ratings: {{count: rated}}
{chr(10).join(f"  d{n}: {{distinct: played, by: data.v{n}}}" for n in range(VALUES))}
ladders:
  - {{metric: plays, steps: [{", ".join(f"{{key: p{at}, name: P, at: {at}}}" for at in (1, 3_000, 4_000, 4_050))}]}}
achievements:
  - {{key: critic, name: Critic, when: ratings >= 5}}
"""
EVENTS = 4_096


def program() -> Program:
    compiled, ledger = compile_catalog(read_catalog(CATALOG, "wide.yaml"), Ledger())
    return Program(catalogs=[compiled], ledger=ledger, derived="derived")


PROGRAM = program()
READY = ReadyProgram(PROGRAM)


def records(beginning: int = 0) -> Iterator[PlainRecord]:
    """Ann plays something new in everything, again and again; now and then Bob rates."""
    for number in count(beginning):
        if number % 50 == 49:
            yield record(number, "bob", "rated", {})
        else:
            yield record(number, "ann", "played", {f"v{n}": f"{number}/{n}" for n in range(VALUES)})


def record(offset: int, user: str, kind: str, data: dict[str, str]) -> PlainRecord:
    envelope = {"specversion": "1.0", "source": "s", "id": f"e{offset}", "type": kind, "subject": user}
    value = json.dumps({**envelope, "time": "2026-01-01T00:00:00Z", "data": data})
    return PlainRecord(offset, 1_780_000_000_000, user.encode(), value.encode())


class Fold:
    """Records folded in pieces, with a cut behind each."""

    def __init__(self) -> None:
        self.evaluator = PartitionEvaluator(READY, 0, 1)
        self.refused: list[tuple[int, str]] = []
        self.outcomes: list[bytes] = []
        self.applied = self.unlocked = 0

    def take(self, log: Iterable[PlainRecord], size: int) -> Fold:
        left = iter(log)
        while piece := list(islice(left, size)):
            folded = self.evaluator.fold(TOPIC, piece)
            self.applied += folded.applied
            self.unlocked += folded.unlocked
            self.refused += [(each.offset, bad.cause) for each, bad in folded.refused]
            self.outcomes += [value for _, value in self.evaluator.cut().outcomes]
        return self

    def row(self, user: str) -> bytes:
        return self.evaluator.get(user.encode()) or b""

    def metrics(self, user: str) -> dict[str, int | None]:
        return metric_values(decode_state(self.row(user), fresh_state(PROGRAM.ledger)), PROGRAM)["wide"]


@pytest.fixture(scope="module")
def whole() -> Fold:
    return Fold().take(islice(records(), EVENTS), EVENTS)


def test_an_event_that_would_make_a_state_too_large_is_refused_and_the_state_stays(whole: Fold) -> None:
    """An event makes it larger by 17 hashes, and by a little more when a number grows by a byte."""
    assert STATE_BYTES_MAX - VALUES * 8 - 32 < len(whole.row("ann")) <= STATE_BYTES_MAX
    assert {cause for _, cause in whole.refused} == {"state_full"}
    assert whole.applied + len(whole.refused) == EVENTS
    first, taken = whole.refused[0][0], whole.metrics("ann")["plays"]
    assert taken == sum(number % 50 != 49 for number in range(first))
    assert len(whole.refused) == sum(number % 50 != 49 for number in range(first, EVENTS))


def test_nothing_of_a_refused_event_stays(whole: Fold) -> None:
    """4,000 plays would have been an award."""
    told = [json.loads(outcome)["data"]["achievement"] for outcome in whole.outcomes]
    assert sorted(told) == ["critic", "p1", "p3000"]
    assert whole.unlocked == 3


def test_other_users_and_events_that_need_no_room_go_on(whole: Fold) -> None:
    assert whole.metrics("bob")["ratings"] == EVENTS // 50

    later = restored(whole).take([record(EVENTS, "ann", "rated", {})], 1)

    assert (later.applied, later.refused) == (1, [])
    assert later.metrics("ann")["ratings"] == 1


def test_what_is_refused_does_not_depend_on_the_pieces_in_which_a_log_comes(whole: Fold) -> None:
    other = Fold().take(islice(records(), EVENTS), 100)

    assert other.refused == whole.refused
    assert other.row("ann") == whole.row("ann")
    assert other.outcomes == whole.outcomes


def test_a_large_state_is_known_again_after_a_restore(whole: Fold) -> None:
    later = restored(whole).take(islice(records(EVENTS), 10), 10)

    assert [offset for offset, _ in later.refused] == [EVENTS + n for n in range(10) if (EVENTS + n) % 50 != 49]
    assert later.row("ann") == whole.row("ann")


def restored(whole: Fold) -> Fold:
    made = Fold()
    made.evaluator.load([(b"ann", whole.row("ann"))])
    return made
