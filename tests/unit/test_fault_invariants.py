"""The invariants can fail: whatever is tampered with is found, under the right name, and nothing else is."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import resources
from itertools import islice
from typing import Any

import pytest

from bench.reference import Result
from cli.faults.invariants import (
    INVARIANTS,
    Evidence,
    Logs,
    Partitioned,
    expected_of,
    in_turn,
    outcome_ids,
    replay_ends,
)
from cli.faults.load import TOPIC, Load, cause_of, records
from cli.faults.standing import Drained, Standing, Watch
from cli.settings import Settings
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from processor.kafka.dead_letters import dead_letter
from processor.kafka.partition import Refusal
from projections.notification import notification_id
from schemas.catalog import read_catalog
from schemas.program import Ledger, Program
from schemas.records import PlainRecord
from schemas.state import CONTROL_KEY, Control, decode_control, encode_control
from schemas.topics import partition_of

PARTITIONS = 2
DERIVED = "derived"
CATALOG = resources.files("cli.faults").joinpath("catalog.yaml").read_text()
NOW_MS = int(datetime.now(UTC).timestamp() * 1000)


class Rows:
    """A connection that has this answer to everything."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def execute(self, *_: Any) -> Rows:
        return self

    def fetchall(self) -> list[Any]:
        return self.rows


def appended(log: list[Any], key: bytes | None, value: bytes | None, headers: Any = ()) -> None:
    log.append(PlainRecord(len(log), NOW_MS, key, value, headers))


def empty() -> Partitioned:
    return {number: [] for number in range(PARTITIONS)}


def folded() -> tuple[Logs, Program]:
    """What a pipeline without any fault leaves behind."""
    program, _ = compile_catalog(read_catalog(CATALOG, "faults.yaml"), Ledger())
    whole = Program(
        catalogs=[program], ledger=compile_catalog(read_catalog(CATALOG, ""), Ledger())[1], derived=DERIVED
    )
    logs = Logs(*(empty() for _ in Logs._fields))
    for record in islice(records(Load(TOPIC, 1, users=40)), 1500):
        appended(logs.source[partition_of(record.key, PARTITIONS)], record.key, record.value)
    ready = ReadyProgram(whole)
    evaluators = [PartitionEvaluator(ready, number, PARTITIONS) for number in range(PARTITIONS)]
    for topic, read in ((TOPIC, logs.source), (DERIVED, logs.derived)):
        for number, evaluator in enumerate(evaluators):
            for _, part in in_turn({topic: read[number]}, 400):
                fold(evaluator, number, topic, part, logs)
    return logs, whole


def fold(evaluator: PartitionEvaluator, number: int, topic: str, part: Any, logs: Logs) -> None:
    for record, bad in evaluator.fold(topic, part).refused:
        key, value, _, headers = dead_letter(Refusal(topic, number, record, bad))
        appended(logs.dead_letters[number], key, value, headers)
    cut = evaluator.cut()
    for key, value in cut.states:
        appended(logs.changelog[number], key, value)
    for key, value in cut.outcomes:
        appended(logs.outcomes[number], key, value)
    for key, value in cut.derived:
        appended(logs.derived[partition_of(key, PARTITIONS)], key, value)
    if part:
        before = [decode_control(row.value).positions for row in logs.changelog[number] if row.key == CONTROL_KEY]
        positions = {**(before or [{}])[-1], topic: part[-1].offset + 1}
        appended(logs.changelog[number], CONTROL_KEY, encode_control(Control(positions=positions)))


LOGS, PROGRAM = folded()
EXPECTED: Result = expected_of(LOGS.source, CATALOG)


@pytest.fixture
def evidence() -> Evidence:
    """Nothing is wrong with it. Lists are copies, to be tampered with."""
    logs = Logs(*({number: list(log) for number, log in part.items()} for part in LOGS))
    ends = {(TOPIC, number): len(log) for number, log in logs.source.items()}
    ends |= {(DERIVED, number): len(log) for number, log in logs.derived.items()}
    notified = [notification_id(each) for each in outcome_ids(EXPECTED)]
    return Evidence(
        logs=logs,
        program=PROGRAM,
        expected=EXPECTED,
        committed=dict(ends),
        ends=ends,
        acknowledged={hash(record.value) for log in logs.source.values() for record in log},
        watch=Watch(Settings(), TOPIC),
        drained=Drained(1.0, {}),
        delivered=Counter(notified),
        early=[],
        connection=Rows([(each, "done", "default") for each in notified]),
    )


def broken(evidence: Evidence) -> set[str]:
    """I2 asks a real Postgres: the fault tests do."""
    return {name for name, _, check in INVARIANTS if name != "I2" and list(check(evidence))}


def test_a_replay_is_told_once_in_each_partition_and_of_what_it_gave_nobody(evidence: Evidence) -> None:
    """Not one end more, nor one less, nor a message of its awards."""
    silent, *others = outcome_ids(EXPECTED)
    told = [notification_id(each) for each in others]
    ends = [*replay_ends(["r1"], evidence.logs.outcomes)]
    for number, end in enumerate(ends):
        appended(evidence.logs.outcomes[number], b"r1", json.dumps({"id": end}).encode())
    replayed = evidence._replace(
        replays=["r1"],
        silent={silent},
        delivered=Counter(told),
        connection=Rows([(each, "done", "default") for each in told]),
    )

    assert len(ends) == PARTITIONS
    assert broken(replayed) == set()
    assert broken(replayed._replace(replays=[])) == {"I1"}
    assert broken(replayed._replace(silent=frozenset())) == {"I3"}


def test_nothing_is_wrong_with_a_pipeline_that_nothing_happened_to(evidence: Evidence) -> None:
    assert broken(evidence) == set()
    assert EXPECTED.awards
    assert EXPECTED.revocations
    assert any(unlock.times for unlock in EXPECTED.unlocks), "earned again"
    assert EXPECTED.levels_reached
    assert EXPECTED.duplicates
    assert EXPECTED.derived
    assert any(cause_of(record.key) for log in LOGS.source.values() for record in log)


def first(log: Partitioned) -> list[Any]:
    return next(records for records in log.values() if records)


def lose_an_acknowledged_record(evidence: Evidence) -> Evidence:
    return evidence._replace(acknowledged={*evidence.acknowledged, hash(b"never seen")})


def lose_an_outcome(kind: str, evidence: Evidence) -> Evidence:
    outcomes = first(evidence.logs.outcomes)
    del outcomes[next(at for at, record in enumerate(outcomes) if kind in record.value.decode())]
    return evidence


def lose_an_award(evidence: Evidence) -> Evidence:
    return lose_an_outcome("achievement_unlocked", evidence)


def lose_a_revocation(evidence: Evidence) -> Evidence:
    return lose_an_outcome("achievement_revoked", evidence)


def lose_a_level(evidence: Evidence) -> Evidence:
    return lose_an_outcome("level_reached", evidence)


def double_an_outcome(evidence: Evidence) -> Evidence:
    outcomes = first(evidence.logs.outcomes)
    outcomes.append(outcomes[0])
    return evidence


def double_a_derived_event(evidence: Evidence) -> Evidence:
    derived = first(evidence.logs.derived)
    derived.append(derived[0])
    return evidence


def lose_a_notification(evidence: Evidence) -> Evidence:
    evidence.connection.rows.pop()
    return evidence


def leave_a_delivery_open(evidence: Evidence) -> Evidence:
    rows = evidence.connection.rows
    rows[0] = (rows[0][0], "pending", "default")
    return evidence


def deliver_nothing(evidence: Evidence) -> Evidence:
    return evidence._replace(delivered=Counter())


def deliver_early(evidence: Evidence) -> Evidence:
    return evidence._replace(early=["1"])


def lose_a_state(evidence: Evidence) -> Evidence:
    changelog = first(evidence.logs.changelog)
    last = {record.key: place for place, record in enumerate(changelog)}
    key = next(key for key in last if key != CONTROL_KEY)
    changelog[:] = [record for record in changelog if record.key != key]
    return evidence


def bring_back_an_old_state(evidence: Evidence) -> Evidence:
    changelog = first(evidence.logs.changelog)
    versions = defaultdict(list)
    for record in changelog:
        versions[record.key].append(record)
    changelog.append(next(kept[0] for key, kept in versions.items() if len(kept) > 1 and key != CONTROL_KEY))
    return evidence


def step_back(evidence: Evidence) -> Evidence:
    """A position that a reader saw, and later a smaller one."""
    look = Standing({(TOPIC, 0): 5}, {(TOPIC, 0): 9}, {(TOPIC, 0): 9}, {}, 0)
    evidence.watch.take(look)
    evidence.watch.take(look._replace(committed={(TOPIC, 0): 4}))
    return evidence


def commit_what_is_not_there(evidence: Evidence) -> Evidence:
    place = (TOPIC, 0)
    return evidence._replace(ends={**evidence.ends, place: evidence.ends[place] - 1})


def lose_a_dead_letter(evidence: Evidence) -> Evidence:
    first(evidence.logs.dead_letters).pop()
    return evidence


def leave_something_to_do(evidence: Evidence) -> Evidence:
    return evidence._replace(drained=Drained(None, {"processor": 3}))


TAMPERED: list[tuple[Callable[[Evidence], Evidence], set[str]]] = [
    (lose_an_acknowledged_record, {"I0"}),
    (lose_an_award, {"I1"}),
    (lose_a_revocation, {"I1"}),
    (lose_a_level, {"I1"}),
    (double_an_outcome, {"I1"}),
    (double_a_derived_event, {"I1", "I6"}),
    (lose_a_notification, {"I3"}),
    (leave_a_delivery_open, {"I3"}),
    (deliver_nothing, {"I3"}),
    (deliver_early, {"I3"}),
    (lose_a_state, {"I4", "I6"}),
    (bring_back_an_old_state, {"I4", "I6"}),
    (step_back, {"I5"}),
    (commit_what_is_not_there, {"I5"}),
    (lose_a_dead_letter, {"I6"}),
    (leave_something_to_do, {"I8"}),
]


@pytest.mark.parametrize(("tamper", "found"), TAMPERED, ids=[tamper.__name__ for tamper, _ in TAMPERED])
def test_what_is_wrong_is_found_and_named(
    tamper: Callable[[Evidence], Evidence], found: set[str], evidence: Evidence
) -> None:
    assert broken(tamper(evidence)) == found


def test_a_fold_that_is_no_function_of_the_log_is_found(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be with a clock or a random number in it."""
    numbers = iter(range(10**9))
    cut = PartitionEvaluator.cut

    def numbered(evaluator: PartitionEvaluator) -> Any:
        made = cut(evaluator)
        return made._replace(
            outcomes=[(key, value[:-1] + f',"x":{next(numbers)}}}'.encode()) for key, value in made.outcomes]
        )

    monkeypatch.setattr(PartitionEvaluator, "cut", numbered)

    assert broken(evidence) == {"I7"}


def events() -> Iterator[dict[str, Any]]:
    for record in islice(records(Load(TOPIC, 5)), 3000):
        if cause_of(record.key) is None:
            yield json.loads(record.value)


def test_the_load_holds_everything_that_it_promises() -> None:
    """Unknown types, partners, clocks far behind and far ahead, repetitions."""
    found = list(events())

    assert {"played", "rated", "unheard_of"} == {event["type"] for event in found}
    assert any(event["time"].startswith("1970") for event in found)
    assert any(event["time"] > datetime.now(UTC).isoformat() for event in found)
    assert any("partner" in event["data"] for event in found)
    assert max(Counter(event["id"] for event in found).values()) > 1
