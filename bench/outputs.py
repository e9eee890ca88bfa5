"""What a run came to: what it wrote, read committed from the broker, as the oracle's lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from bench.oracle import award_line, metrics_line
from broker.reading import read_to_end
from schemas.outcomes import REPLAY_COMPLETED, decode_kind, decode_outcome
from schemas.program import Program
from schemas.records import Record
from schemas.state import CONTROL_KEY, decode_state, fresh_state, metric_values
from schemas.topics import Names

DIFFERENCES_TOLD = 3


async def read_outputs(bootstrap: str, names: Names, program: Program, partitions: int) -> list[str]:
    """Every award told, and the last state of every user: lines as the oracle's, in order."""
    outcomes = records_of(bootstrap, names.outcomes, partitions)
    lines = [_award(record) async for record in outcomes if not _ends_a_replay(record)]
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


def _ends_a_replay(record: Record) -> bool:
    """Which is about nobody."""
    return decode_kind(record.value or b"").type == REPLAY_COMPLETED


def _award(record: Record) -> str:
    outcome = decode_outcome(record.value or b"")
    return award_line(outcome.subject, outcome.data.achievement, outcome.data.earned_at)


def _metrics(user: bytes, row: bytes, program: Program) -> str:
    state = decode_state(row, fresh_state(program.ledger))
    return metrics_line(user.decode(), metric_values(state, program)["bench"])
