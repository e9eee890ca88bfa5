"""The invariants of the design, I1 to I8, held against the naive reference over the very same log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from random import Random
from typing import Any, NamedTuple

from psycopg import Connection

from bench import reference
from bench.reference import Award, Result
from broker.catalogs import read_program
from broker.positions import Positions, group_positions
from broker.reading import read_to_end
from broker.topics import places_of
from cli.comparison import compare
from cli.faults.load import cause_of
from cli.faults.standing import Drained, Watch
from cli.settings import Settings
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from processor.kafka.dead_letters import PREFIX
from projections.notification import notification_id
from schemas.outcomes import CHALLENGE_COMPLETED, LEVEL_REACHED, REPLAY_COMPLETED, REVOKED, UNLOCKED, outcome_id
from schemas.program import Program
from schemas.records import Record
from schemas.state import (
    AWARDS,
    CONTROL_KEY,
    Control,
    awarded_at,
    decode_control,
    decode_state,
    fresh_state,
    metric_values,
)

TOLD_MAX = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
APPLIED_METRICS = ("plays", "ratings", "heard")  # an event that is applied moves exactly one of them
FOLD_SLICES = (97, 1009)

Partitioned = dict[int, list[Record]]

NOTIFIED = b"""
select notification.id::text, notification_delivery.state, notification_delivery.subscriber
from notification left join notification_delivery on notification_delivery.notification_id = notification.id
"""


class Verdict(NamedTuple):
    """One invariant. It holds when nothing differs."""

    name: str
    promise: str
    differences: list[str]


class Logs(NamedTuple):
    """Everything that can be read of the topics by whoever reads committed records, by partition and in order."""

    source: Partitioned
    derived: Partitioned
    outcomes: Partitioned
    changelog: Partitioned
    dead_letters: Partitioned


class Evidence(NamedTuple):
    """What the invariants are held against.

    Shapes: delivered, the ids of notifications as often as somebody took them; early, those taken before their
    award could be seen; None for both when nobody claimed; replays, their ids; silent, the outcomes of those that
    tell nobody.
    """

    logs: Logs
    program: Program
    expected: Result
    committed: Positions
    ends: Positions
    acknowledged: set[int]
    watch: Watch
    drained: Drained
    delivered: Counter[str] | None
    early: Sequence[str]
    connection: Connection
    replays: Sequence[str] = ()
    silent: AbstractSet[str] = frozenset()


async def read_logs(settings: Settings, source: str) -> Logs:
    names = settings.names
    topics = [source, names.derived, names.outcomes, names.changelog, names.dead_letters]
    return Logs(*[await _read(settings.kafka, topic) for topic in topics])


async def _read(kafka: str, topic: str) -> Partitioned:
    places = await places_of(kafka, [topic])
    found: Partitioned = {number: [] for _, number in places}
    async for batch in read_to_end(kafka, places):
        found[batch.partition] += batch.records
    return found


async def read_positions(settings: Settings, source: str) -> tuple[Positions, Positions]:
    """Where the processor's group stands, and where its topics end."""
    names = settings.names
    places = await places_of(settings.kafka, [source, names.derived, names.replay_assignments])
    async with group_positions(settings.kafka, names.processor) as group:
        return await group.committed(places), await group.ends(places)


async def read_evidence(settings: Settings, source: str) -> tuple[Logs, Program, Positions, Positions]:
    return (
        await read_logs(settings, source),
        await read_program(settings.kafka, settings.names),
        *await read_positions(settings, source),
    )


def expected_of(source: Partitioned, catalog: str) -> Result:
    """The reference over the log: what is to be refused aside, each partition in its order."""
    good = (record.value or b"" for record in _all(source) if cause_of(record.key) is None)
    return reference.fold((json.loads(value) for value in good), [catalog])


def verdicts(evidence: Evidence) -> list[Verdict]:
    return [Verdict(name, promise, list(islice(check(evidence), TOLD_MAX))) for name, promise, check in INVARIANTS]


# --- one function an invariant ---


def log_is_whole(evidence: Evidence) -> Iterator[str]:
    there = {hash(record.value) for record in _all(evidence.logs.source)}
    if missing := len(evidence.acknowledged - there):
        yield f"{missing} records were acknowledged to their publisher and are not in the log"


def outcomes_are_exact(evidence: Evidence) -> Iterator[str]:
    found = Counter(_id(record) for record in _all(evidence.logs.outcomes))
    ends = Counter(replay_ends(evidence.replays, evidence.logs.outcomes))
    yield from _differences("outcome", found, Counter(outcome_ids(evidence.expected)) + ends)
    derived = Counter(_id(record) for record in _all(evidence.logs.derived))
    yield from (f"derived event {each} is there {count} times" for each, count in derived.items() if count > 1)
    if len(derived) != evidence.expected.derived:
        yield f"{len(derived)} derived events, in the reference {evidence.expected.derived}"


def read_models_are_exact(evidence: Evidence) -> Iterator[str]:
    yield from compare(evidence.connection, evidence.expected)


def notifications_are_exact(evidence: Evidence) -> Iterator[str]:
    rows = evidence.connection.execute(NOTIFIED).fetchall()
    wanted = Counter(notification_id(id) for id in outcome_ids(evidence.expected) if id not in evidence.silent)
    yield from _differences("notification", Counter(id for id, _, _ in rows), wanted)
    yield from (f"notification {id} has no delivery" for id, _, subscriber in rows if subscriber is None)
    if evidence.delivered is not None:
        yield from (
            f"notification {each} was never delivered" for each in wanted.keys() - evidence.delivered.keys()
        )
        yield from (f"the delivery of {id} is {state}" for id, state, _ in rows if state != "done")
    yield from (f"notification {each} was claimed before its award could be seen" for each in evidence.early)


def changelog_is_enough(evidence: Evidence) -> Iterator[str]:
    states = _states(evidence)
    program, expected = evidence.program, evidence.expected
    values = {user: metric_values(state, program) for user, state in states.items()}
    for user in sorted(values.keys() | expected.metrics.keys()):
        if values.get(user) != expected.metrics.get(user):
            yield f"the state of {user} says {values.get(user)}, the reference {expected.metrics.get(user)}"
    yield from _award_differences(_awards(states, program), expected)


def positions_are_true(evidence: Evidence) -> Iterator[str]:
    yield from evidence.watch.faults
    for number, records in evidence.logs.changelog.items():
        controls = [decode_control(record.value or b"") for record in records if record.key == CONTROL_KEY]
        yield from _steps_back(number, controls)
        last = controls[-1].positions if controls else {}
        for topic, position in last.items():
            if position != (committed := evidence.committed[topic, number]):
                yield f"{topic}-{number}: the changelog says {position}, the group {committed}"
    for place, end in evidence.ends.items():
        if evidence.committed[place] > end:
            yield f"{place} is committed up to {evidence.committed[place]} and ends at {end}"


def every_record_is_accounted_for(evidence: Evidence) -> Iterator[str]:
    """Applied from the states, refused from the dead letters; what is repeated or unknown the reference says."""
    logs, expected = evidence.logs, evidence.expected
    records = sum(1 for _ in _all(logs.source)) + sum(1 for _ in _all(logs.derived))
    refused = sum(1 for _ in _all(logs.dead_letters))
    applied = sum(_applied(state, evidence.program) for state in _states(evidence).values())
    accounted = applied + expected.duplicates + expected.skipped + refused
    if accounted != records:
        yield (
            f"{records} records were read; {applied} applied + {expected.duplicates} duplicates + "
            f"{expected.skipped} skipped + {refused} dead letters are {accounted}"
        )
    yield from _differences(
        "dead letter", Counter(_letters(logs.dead_letters)), Counter(_wanted_letters(logs.source))
    )


def folding_again_gives_the_same(evidence: Evidence) -> Iterator[str]:
    """The log as recorded, twice in one interleaving and once in another."""
    program, logs = evidence.program, evidence.logs
    count, ready = len(logs.source), ReadyProgram(program)
    for number in logs.source:
        topics = {evidence.program.sources[0]: logs.source[number], program.derived: logs.derived[number]}
        one, again, other = (
            Refolded(PartitionEvaluator(ready, number, count), steps)
            for steps in (
                in_turn(topics, FOLD_SLICES[0]),
                in_turn(topics, FOLD_SLICES[0]),
                shuffled(topics, number),
            )
        )
        if (one.states, one.outcomes) != (again.states, again.outcomes):
            yield f"partition {number}: two folds of one interleaving differ in their bytes"
        if one.sets(program) != other.sets(program):
            yield f"partition {number}: another interleaving of the topics gives other awards or metrics"


def lag_returns_to_zero(evidence: Evidence) -> Iterator[str]:
    if evidence.drained.seconds is None:
        yield f"still to do when the time was over: {evidence.drained.lags}"


INVARIANTS: list[tuple[str, str, Callable[[Evidence], Iterator[str]]]] = [
    ("I0", "what was acknowledged to a publisher is in the log", log_is_whole),
    ("I1", "outcomes: each of the reference exactly once, and nothing else", outcomes_are_exact),
    ("I2", "the read models equal the reference", read_models_are_exact),
    (
        "I3",
        "one notification for each outcome, delivered at least once, never before its row",
        notifications_are_exact,
    ),
    ("I4", "the states restored from the changelog alone equal the reference", changelog_is_enough),
    ("I5", "positions only move forward, never past what is durable", positions_are_true),
    ("I6", "applied + duplicates + skipped + dead letters = records read", every_record_is_accounted_for),
    (
        "I7",
        "folding the recorded log again gives the same bytes, otherwise interleaved the same sets",
        folding_again_gives_the_same,
    ),
    ("I8", "after the last fault the lag returns to zero", lag_returns_to_zero),
]


# --- what they are made of ---


class Refolded:
    """A log folded again by the evaluator alone."""

    def __init__(self, evaluator: PartitionEvaluator, steps: Iterable[tuple[str, Sequence[Record]]]) -> None:
        self.states: dict[bytes, bytes | None] = {}
        self.outcomes: list[tuple[bytes, bytes]] = []
        for topic, records in steps:
            evaluator.fold(topic, records)
            cut = evaluator.cut()
            self.states.update(cut.states)
            self.outcomes += cut.outcomes

    def sets(self, program: Program) -> tuple[Counter[str], dict[bytes, Any]]:
        fresh = fresh_state(program.ledger)
        values = {
            user: metric_values(decode_state(row, fresh), program)
            for user, row in self.states.items()
            if row is not None
        }
        return Counter(json.loads(value)["id"] for _, value in self.outcomes), values


def in_turn(topics: Mapping[str, Sequence[Record]], size: int) -> Iterator[tuple[str, Sequence[Record]]]:
    """A slice of each topic after the other."""
    for start in range(0, max(map(len, topics.values())), size):
        yield from ((topic, records[start : start + size]) for topic, records in topics.items())


def shuffled(topics: Mapping[str, Sequence[Record]], seed: int) -> Iterator[tuple[str, Sequence[Record]]]:
    """Slices of the topics in any order, each topic in its own."""
    left = {topic: list(in_turn({topic: records}, FOLD_SLICES[1])) for topic, records in topics.items() if records}
    draw = Random(seed)
    while left:
        topic = draw.choice(sorted(left))
        yield left[topic].pop(0)
        if not left[topic]:
            del left[topic]


def _all(logs: Partitioned) -> Iterator[Record]:
    return (record for records in logs.values() for record in records)


def _id(record: Record) -> str:
    return str(json.loads(record.value or b"")["id"])


def outcome_ids(expected: Result) -> Iterator[str]:
    """Of all that is told: awards, those that were lost again among them, revocations, levels and challenges."""
    for kind, told in ((UNLOCKED, expected.unlocks), (REVOKED, expected.revocations)):
        for (user, catalog, key, scope), n in told:
            key, _, tier = key.partition("/")
            yield outcome_id(kind, catalog, key, user, tier=tier or None, scope=scope, n=n)
    for user, catalog, level in expected.levels_reached:
        yield outcome_id(LEVEL_REACHED, catalog, "level", user, scope=str(level))
    for user, catalog, challenge, day in expected.challenges:
        yield outcome_id(CHALLENGE_COMPLETED, catalog, challenge, user, scope=day)


def replay_ends(replays: Iterable[str], partitions: Iterable[int]) -> Iterator[str]:
    """Each is told once in each partition."""
    for replay in replays:
        yield from (outcome_id(REPLAY_COMPLETED, "", replay, "", scope=f"{number}") for number in partitions)


def _differences(what: str, found: Counter[Any], wanted: Counter[Any]) -> Iterator[str]:
    for each, count in (wanted - found).items():
        yield f"{what} {each} is missing" + (f" {count} times" if count > 1 else "")
    for each, count in (found - wanted).items():
        yield f"{what} {each} is there {count} times too often"


def _states(evidence: Evidence) -> dict[str, list[Any]]:
    """The last value of every key of the changelog, and nothing else."""
    fresh = fresh_state(evidence.program.ledger)
    rows = {record.key: record.value for record in _all(evidence.logs.changelog)}
    return {
        (key or b"").decode(): decode_state(row, fresh)
        for key, row in rows.items()
        if key != CONTROL_KEY and row is not None
    }


def _awards(states: Mapping[str, list[Any]], program: Program) -> dict[Award, datetime]:
    numbered = [(each.catalog, entry.key, entry.number) for each in program.catalogs for entry in each.achievements]
    return {
        (user, catalog, key, ""): EPOCH + timedelta(microseconds=at)
        for user, state in states.items()
        for catalog, key, number in numbered
        if (at := awarded_at(state[AWARDS], number)) is not None
    }


def _award_differences(found: Mapping[Award, datetime], expected: Result) -> Iterator[str]:
    """An award that hangs on derived events is compared without its date: these arrive in any order."""
    for award in sorted(found.keys() | expected.awards.keys()):
        is_dated = award not in expected.undated
        here, there = found.get(award), expected.awards.get(award)
        if (here is None) != (there is None) or (is_dated and here != there):
            yield f"in the states award {award} is of {here}, in the reference of {there}"


def _applied(state: list[Any], program: Program) -> int:
    (values,) = metric_values(state, program).values()
    return sum(values[metric] or 0 for metric in APPLIED_METRICS)


def _steps_back(number: int, controls: Sequence[Control]) -> Iterator[str]:
    for before, after in pairwise(controls):
        for topic, position in before.positions.items():
            if after.positions.get(topic, -1) < position:
                yield f"the changelog of partition {number} goes back from {before.positions} to {after.positions}"


def _letters(dead_letters: Partitioned) -> Iterator[tuple[str, int, str, bytes | None, bytes | None]]:
    """Partition and offset of the original, its cause, key and value."""
    for record in _all(dead_letters):
        told = {name.removeprefix(PREFIX): (value or b"").decode() for name, value in record.headers}
        yield told["partition"], int(told["offset"]), told["class"], record.key, record.value


def _wanted_letters(source: Partitioned) -> Iterator[tuple[str, int, str, bytes | None, bytes | None]]:
    for number, records in source.items():
        for record in records:
            if (cause := cause_of(record.key)) is not None:
                yield str(number), record.offset, cause, record.key, record.value
