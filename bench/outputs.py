"""What a run came to: what it wrote, read committed from the broker, as the oracle's lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from bench.oracle import award_line, metrics_line
from broker.reading import read_to_end
from schemas.outcomes import (
    AnyOutcome,
    ChallengeOutcome,
    LevelOutcome,
    Outcome,
    RevokedOutcome,
    decode_any_outcome,
)
from schemas.program import Program
from schemas.records import Record
from schemas.state import CONTROL_KEY, decode_state, fresh_state, metric_values
from schemas.topics import Names

DIFFERENCES_TOLD = 3


async def read_outputs(bootstrap: str, names: Names, program: Program, partitions: int) -> list[str]:
    """All that was told of users, and the last state of each: lines as the oracle's, in order."""
    outcomes = records_of(bootstrap, names.outcomes, partitions)
    lines = [line async for record in outcomes for line in outcome_lines(record)]
    states: dict[bytes, bytes] = {}
    async for record in records_of(bootstrap, names.changelog, partitions):
        if record.key and record.value and record.key != CONTROL_KEY:
            states[record.key] = record.value
    lines += [_metrics(user, row, program) for user, row in states.items()]
    return sorted(lines)


async def records_of(bootstrap: str, topic: str, partitions: int) -> AsyncIterator[Record]:
    places = [(topic, partition) for partition in range(partitions)]
    async for batch in read_to_end(bootstrap, places):
        for record in batch.records:
            yield record


def differences(wanted: Sequence[str], found: Sequence[str]) -> list[str]:
    """The first lines that are missing, or there too often. Shapes: both in order."""
    if wanted == found:
        return []
    due, there = Counter(wanted), Counter(found)
    missing = [f"missing: {line}" for line in sorted(due - there)[:DIFFERENCES_TOLD]]
    return missing + [f"too much: {line}" for line in sorted(there - due)[:DIFFERENCES_TOLD]]


TOLD: dict[type[AnyOutcome], Callable[[Any], str]] = {
    Outcome: lambda told: award_line(told.subject, told.data.achievement, told.data.earned_at),
    RevokedOutcome: lambda told: f"{told.subject} lost {told.data.achievement}",
    LevelOutcome: lambda told: f"{told.subject} reached level {told.data.level}",
    ChallengeOutcome: lambda told: f"{told.subject} completed {told.data.challenge} on {told.data.day}",
}
"""What is told of a user; an answer, and the end of a replay, change nothing about anybody."""


def outcome_lines(record: Record) -> Iterator[str]:
    outcome = decode_any_outcome(record.value or b"")
    if tell := TOLD.get(type(outcome)):
        yield tell(outcome)


def _metrics(user: bytes, row: bytes, program: Program) -> str:
    state = decode_state(row, fresh_state(program.ledger))
    return metrics_line(user.decode(), metric_values(state, program)["bench"])
