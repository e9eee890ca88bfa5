"""A source whose publishers partition in another way: its events count as if they had come to the right place."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.parking import take_note
from cli.events import Judge
from processor.evaluator.compile import compile_catalog
from processor.evaluator.copies import Copy
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from processor.kafka.fetch import Chunk
from processor.kafka.following import follow, in_lane
from schemas.catalog import read_catalog
from schemas.events import readers
from schemas.lanes import lane_of, place_of
from schemas.notes import Suspect, encode_note
from schemas.origins import ORIGIN, Origin, origin_header, origin_of
from schemas.program import Ledger, Program
from schemas.records import Headers, PlainRecord
from schemas.state import decode_state, metric_values
from schemas.topics import partition_of

PARTITIONS, THEIRS = 4, 7
APPENDED_MS = 1_780_000_000_000
DERIVED = "x.derived"
TEXT = """
catalog: toy
version: 1
HEADER
events:
  played:
    topic: plays
    data: {piece: string, partner: string?}
    derive: [{type: heard, subject: data.partner, unless_self: true, data: {piece: data.piece}}]
  login: {topic: site}
metrics:
  plays: {count: played}
  pieces: {distinct: played, by: data.piece}
  listened: {count: heard}
  logins: {count: login}
achievements:
  - {key: five, name: Five, when: plays >= 5}
"""


def program(header: str = "topics: {plays: {repartition: true}}", ledger: Ledger | None = None) -> Program:
    compiled, grown = compile_catalog(read_catalog(TEXT.replace("HEADER", header), "toy.yaml"), ledger or Ledger())
    return Program(catalogs=[compiled], ledger=grown, derived=DERIVED)


def event(user: str = "ann", **said: Any) -> bytes:
    whole = {"specversion": "1.0", "source": "/music", "type": "played", "time": "2026-03-04T05:06:07Z", "id": "e1"}
    return json.dumps(whole | {"subject": user, "data": {"piece": "fugue"}} | said).encode()


def record(value: bytes | None, offset: int = 0, key: bytes | None = None, headers: Headers = ()) -> PlainRecord:
    return PlainRecord(offset, APPENDED_MS, key, value, headers)


class Space:
    """All partitions of a namespace: what one gives to the derived topic comes to another."""

    def __init__(self, running: Program) -> None:
        self.program = running
        ready = ReadyProgram(running)
        self.evaluators = [PartitionEvaluator(ready, number, PARTITIONS) for number in range(PARTITIONS)]
        self._ends: dict[int, int] = defaultdict(int)
        self.outcomes: list[bytes] = []

    def fold(self, topic: str, partition: int, records: Sequence[PlainRecord]) -> None:
        lane, number = lane_of(topic, partition, PARTITIONS)
        assert not self.evaluators[number].fold(lane, records).refused
        self.pass_on()

    def pass_on(self) -> None:
        sent: list[tuple[bytes, bytes] | Copy] = []
        for each in self.evaluators:
            cut = each.cut()
            self.outcomes += [value for _, value in cut.outcomes]
            sent += [*cut.derived, *cut.copies]
        for row in sent:
            number = partition_of(row[0], PARTITIONS)
            self._ends[number] += 1
            headers = row[3] if len(row) == 4 else ()
            folded = self.evaluators[number].fold(DERIVED, [record(row[1], self._ends[number], row[0], headers)])
            assert not folded.refused
        if sent:
            self.pass_on()

    def values(self, users: Iterable[str]) -> dict[str, Mapping[str, int | None]]:
        return {user: self._values(user.encode()) for user in users}

    def _values(self, user: bytes) -> Mapping[str, int | None]:
        row = self.evaluators[partition_of(user, PARTITIONS)].get(user)
        state = decode_state(row, ReadyProgram(self.program).fresh) if row else ReadyProgram(self.program).fresh
        return metric_values(state, self.program)["toy"]


@given(st.integers(0, 2**32))
def test_what_it_comes_to_is_what_the_same_events_come_to_in_their_places(seed: int) -> None:
    """Whatever partitions and keys the publishers have. Awards are compared but for their evidence."""
    dice = random.Random(seed)
    users = [f"user-{number}" for number in range(8)]
    events = [
        (dice.choice(users), {"piece": f"p{dice.randrange(4)}", "partner": dice.choice([None, *users])})
        for _ in range(60)
    ]
    direct, copied = Space(program(header="")), Space(program())
    for number, (user, data) in enumerate(events):
        value = event(user, id=f"e{number}", data=data)
        key = user.encode()
        direct.fold("plays", partition_of(key, PARTITIONS), [record(value, number, key)])
        theirs, strange = dice.randrange(THEIRS), dice.choice([None, b"", b"nobody", key])
        copied.fold("plays", theirs, [record(value, number, strange)])

    assert copied.values(users) == direct.values(users)
    assert awards(copied) == awards(direct)


def awards(space: Space) -> list[dict[str, Any]]:
    told = [json.loads(value) for value in space.outcomes]
    for each in told:
        assert each["data"].pop("evidence")["topic"] == (DERIVED if space.program.repartitioned else "plays")
        each["data"].pop("catalog_sha256")
    return sorted(told, key=lambda each: each["id"])


def copy(value: bytes, key: bytes | None = None, headers: Headers = ()) -> Copy:
    (made,) = folded("plays/6", record(value, 12, key, headers))
    return made


def folded(lane: str, *records: PlainRecord) -> Sequence[Copy]:
    evaluator = PartitionEvaluator(ReadyProgram(program()), 2, PARTITIONS)
    counts = evaluator.fold(lane, records)
    assert (counts.copied, counts.applied) == (len(records), 0)
    return evaluator.cut().copies


def test_a_copy_is_the_event_as_it_was_under_its_user_with_word_of_where_it_was() -> None:
    """Its id and source stay, so a retry that comes by another partition counts once."""
    key, value, _, headers = copy(event(), key=b"a session")

    assert (key, value) == (b"ann", event())
    assert origin_of(headers) == Origin("plays", 6, 12, APPENDED_MS)


def test_a_copy_of_an_event_in_binary_mode_is_structured() -> None:
    """So it needs no headers of its publisher, which may be of any size."""
    said = {"specversion": "1.0", "id": "e1", "source": "/music", "type": "played", "subject": "ann"}
    headers = [(f"ce_{name}", value.encode()) for name, value in (said | {"time": "2026-03-04T05:06:07Z"}).items()]

    _, value, _, marks = copy(b'{"piece": "fugue"}', headers=[*headers, ("trace", b"x" * 10_000)])

    assert json.loads(value) == json.loads(event())
    assert [name for name, _ in marks] == [ORIGIN]


def test_an_event_of_a_type_that_nobody_declares_is_copied_too() -> None:
    """A later version may declare it; the derived topic then has its whole past."""
    assert copy(event(type="paused"))[0] == b"ann"


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (None, "null_value"),
        (b"{", "malformed_json"),
        (b'{"id": "\xff"}', "invalid_utf8"),
        (event(subject=""), "bad_envelope"),
        (event(subject="\x00control"), "bad_envelope"),
        (event(data={"piece": "x" * 300_000}), "too_large"),
    ],
)
def test_what_has_no_user_or_is_no_event_is_refused_where_it_was_published(value: bytes | None, cause: str) -> None:
    evaluator = PartitionEvaluator(ReadyProgram(program()), 2, PARTITIONS)

    counts = evaluator.fold("plays/6", [record(value, 12)])

    assert [(each.offset, bad.cause) for each, bad in counts.refused] == [(12, cause)]
    assert (counts.copied, evaluator.cut().copies) == (0, [])


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (event(data={}), "bad_data"),
        (event(timezone="Mars/Base"), "bad_zone"),
        (event(time="2027-03-04T05:06:07Z"), "bad_time"),
    ],
)
def test_a_copy_is_judged_as_its_original_would_be(value: bytes, cause: str) -> None:
    """By the time at which the original was appended, however late its copy was made."""
    _, _, _, headers = copy(value)
    ann = PartitionEvaluator(ReadyProgram(program()), partition_of(b"ann", PARTITIONS), PARTITIONS)

    counts = ann.fold(DERIVED, [record(value, 1, b"ann", headers)._replace(timestamp=2 * APPENDED_MS)])

    assert [bad.cause for _, bad in counts.refused] == [cause]


def test_neither_a_copy_nor_a_derived_event_passes_for_the_other() -> None:
    """A publisher may say `laurel/toy` as its source, and call a type as a derived one is called."""
    reader = readers(program())[DERIVED]
    value = event(source="laurel/toy", type="heard")
    origin = [origin_header(Origin("plays", 6, 12, APPENDED_MS))]
    derived = reader.read(record(value, key=b"ann"))

    assert derived is not None
    assert reader.keys[derived[0]] == ("laurel/toy", "heard")
    assert reader.read(record(value, key=b"ann", headers=origin)) is None
    assert reader.read(record(event(), key=b"ann")) is None
    copied = reader.read(record(event(source="laurel/toy"), key=b"ann", headers=origin))
    assert copied is not None
    assert reader.keys[copied[0]] == ("plays", "played")


@pytest.mark.parametrize("said", [b"", b"plays/1/2", b"plays/a/2/3", b"\xff/1/2/3", None])
def test_a_header_that_no_worker_has_written_says_nothing(said: bytes | None) -> None:
    assert origin_of([(ORIGIN, said)]) is None


def test_a_topic_that_becomes_repartitioned_keeps_its_numbers() -> None:
    """What was counted stays, ids are remembered, and each partition is read on from where it was."""
    before = program(header="")
    after = program(ledger=before.ledger)

    assert after.ledger == before.ledger
    assert [each.slot for each in after.catalogs[0].metrics] == [each.slot for each in before.catalogs[0].metrics]
    assert lane_of("plays", 3, PARTITIONS) == ("plays", 3)


def test_a_program_without_derived_events_reads_the_derived_topic_for_copies() -> None:
    assert program().sources == ["plays", "site", DERIVED]
    assert readers(program()).keys() == {"site", DERIVED}


@given(st.integers(0, 200), st.integers(1, 64))
def test_a_lane_is_one_partition_of_one_topic(partition: int, partitions: int) -> None:
    lane, number = lane_of("plays", partition, partitions)

    assert number == partition % partitions
    assert place_of(lane, number) == ("plays", partition)


def test_a_chunk_of_a_partition_that_the_states_do_not_have_goes_to_the_owner_of_its_lane() -> None:
    chunk = Chunk("plays", 6, 10, 15, 15, ())

    assert in_lane(chunk, PARTITIONS) == chunk._replace(topic="plays/6", partition=2)
    assert in_lane(chunk._replace(partition=3), PARTITIONS) == chunk._replace(partition=3)


class Member:
    def __init__(self, **actives: list[int]) -> None:
        self.actives = actives


@pytest.mark.parametrize("theirs", [1, 3, 5, 7, 64])
def test_partitions_of_another_number_follow_those_of_the_states(theirs: int) -> None:
    """However they were spread, and also to a member that had none; a spare member gets none."""
    members = [
        Member(states=[0, 2], site=[0, 2], plays=[*range(theirs)]),
        Member(states=[1, 3], site=[1, 3]),
        Member(states=[], site=[], plays=[]),
    ]

    follow(members, "states")

    assert [each.actives["plays"] for each in members] == [
        [number for number in range(theirs) if number % PARTITIONS in (0, 2)],
        [number for number in range(theirs) if number % PARTITIONS in (1, 3)],
        [],
    ]
    assert [each.actives["site"] for each in members] == [[0, 2], [1, 3], []]


def test_what_a_worker_notes_of_a_lane_is_told_of_its_place() -> None:
    found: dict[tuple[str, int], Any] = {}
    note = Suspect(topic="plays/6", start=7, end=8, exits=3, error="KeyError")

    take_note(found, 2, record(encode_note(note)))

    assert [place_of(*lane) for lane in found] == [("plays", 6)]


def test_lines_of_a_repartitioned_topic_are_judged_before_they_are_published() -> None:
    judge = Judge(program(), APPENDED_MS)

    good, bad = judge.judge(1, event()), judge.judge(2, event(data={}))

    assert (good.fate, good.topic) == ("applied", "plays")
    assert (bad.fate, bad.cause) == ("refused", "bad_data")
