"""What a run came to: its outcomes and its changelog, read committed from the broker, as the oracle's lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from bench.oracle import award_line, metrics_line
from broker.reading import read_to_end
from schemas.outcomes import decode_outcome
from schemas.program import Program
from schemas.records import Record
from schemas.state import CONTROL_KEY, decode_state, fresh_state, metric_values
from schemas.topics import Names


class Outputs(NamedTuple):
    """Shapes: lines as the oracle's, in order; repeated counts awards that stand in the topic more than once."""

    lines: list[str]
    awards: int
    repeated: int


async def read_outputs(bootstrap: str, names: Names, program: Program, partitions: int) -> Outputs:
    awards = [_award(record) async for record in _records(bootstrap, names.outcomes, partitions)]
    states: dict[bytes, bytes] = {}
    async for record in _records(bootstrap, names.changelog, partitions):
        if record.key and record.value and record.key != CONTROL_KEY:
            states[record.key] = record.value
    lines = awards + [_metrics(user, row, program) for user, row in states.items()]
    return Outputs(sorted(lines), len(awards), len(awards) - len(set(awards)))


async def _records(bootstrap: str, topic: str, partitions: int) -> AsyncIterator[Record]:
    places = [(topic, partition) for partition in range(partitions)]
    async for batch in read_to_end(bootstrap, places):
        for record in batch.records:
            yield record


def _award(record: Record) -> str:
    outcome = decode_outcome(record.value or b"")
    return award_line(outcome.subject, outcome.data.achievement, outcome.data.earned_at)


def _metrics(user: bytes, row: bytes, program: Program) -> str:
    state = decode_state(row, fresh_state(program.ledger))
    return metrics_line(user.decode(), metric_values(state, program)["bench"])
