"""What the whole language costs: the same events by the full job, and by a catalog that uses every word beside it.

In this process, by the evaluator alone: records in, a cut whenever a checkpoint would be, its outcomes written. The
derived events of a cut are folded behind it, and count as events.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import TOPIC, Load, values
from bench.reference import Result
from bench.reference import fold as reference_fold
from bench.stage import ENGINE_CORE, Say, on_core
from broker import garbage
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator, Rows
from processor.evaluator.ready import ReadyProgram
from schemas.catalog import read_catalog
from schemas.outcomes import AnyOutcome, LevelOutcome, Outcome, RevokedOutcome, decode_any_outcome
from schemas.program import Ledger, Program
from schemas.records import PlainRecord, Record
from schemas.state import decode_state, fresh_state, metric_values

PLAIN = Path(__file__).with_name("jobs") / "full.yaml"
WHOLE = Path(__file__).with_name("language.yaml")
DERIVED = "derived"
CHUNK = 2_000
CUT_EVERY = 20_000
MATURE = 0.5  # of the events are folded before the clock starts
CHECKED_EVENTS = 20_000  # are held against the reference, which is slow
APPENDED_MS = 2**41


class Cost(NamedTuple):
    """Units: microseconds of CPU per event, the least of all rounds; outcomes per event."""

    catalog: str
    us_per_event: float
    outcomes_per_event: float
    correct: bool


class Fold:
    """One partition with all users, and all that comes out of it. Units: making_s, seconds of CPU."""

    def __init__(self, text: str) -> None:
        compiled, ledger = compile_catalog(read_catalog(text, "bench"), Ledger())
        self.program = Program(catalogs=[compiled], ledger=ledger, derived=DERIVED, commands="commands")
        self._evaluator = PartitionEvaluator(ReadyProgram(self.program), 0, 1)
        self.events = self.outcomes = self._derived = 0
        self.making_s = 0.0
        self.told: list[bytes] = []
        self.keeps = False

    def fold(self, records: Sequence[Record]) -> None:
        for start in range(0, len(records), CHUNK):
            self._evaluator.fold(TOPIC, records[start : start + CHUNK])
            if start % CUT_EVERY == 0:
                self._cut()
        self._cut()
        self.events += len(records)

    def _cut(self) -> None:
        cut = self._evaluator.cut()
        written = [value for _, value in cut.outcomes]
        self.outcomes += len(written)
        if self.keeps:
            self.told += written
        if cut.derived:
            self._evaluator.fold(DERIVED, self._records_of(cut.derived))
            self.events += len(cut.derived)
            self._cut()

    def _records_of(self, derived: Rows) -> list[Record]:
        """As a fetch gives them. What that takes is told apart, for the other records are there from the start."""
        began = time.process_time()
        records: list[Record] = [self._of(key, value) for key, value in derived]
        self.making_s += time.process_time() - began
        return records

    def _of(self, key: bytes, value: bytes) -> Record:
        self._derived += 1
        return PlainRecord(self._derived, APPENDED_MS, key, value)

    def metrics(self, users: Iterable[str]) -> dict[str, Any]:
        fresh = fresh_state(self.program.ledger)
        rows = {user: self._evaluator.get(user.encode()) for user in users}
        return {user: metric_values(decode_state(row, fresh), self.program) for user, row in rows.items() if row}


def measure(load: Load, rounds: int, say: Say) -> list[Cost]:
    """Of the plain job and the whole language. Rounds take turns, so that a noisy minute hits both."""
    say(f"making {load.events:,} records")
    records = records_of(load)
    spent: dict[Path, list[tuple[float, float]]] = {PLAIN: [], WHOLE: []}
    with on_core(ENGINE_CORE % (os.cpu_count() or 1)):
        for number in range(rounds):
            for job, costs in spent.items():
                say(f"round {number + 1} of {rounds}: {job.stem}")
                costs.append(_cost(job, records))
    say("comparing with the reference")
    fewer = Load(min(load.events, CHECKED_EVENTS), users=load.users * CHECKED_EVENTS // load.events or 1)
    return [Cost(job.stem, *min(costs), faults(job, fewer) == []) for job, costs in spent.items()]


def records_of(load: Load) -> list[Record]:
    return [PlainRecord(offset, APPENDED_MS, key, value) for offset, (key, value) in enumerate(values(load))]


def _cost(job: Path, records: list[Record]) -> tuple[float, float]:
    fold = Fold(job.read_text())
    thresholds = gc.get_threshold()
    garbage.collect_rarely()  # as the worker does once it is restored
    half = int(len(records) * MATURE)
    fold.fold(records[:half])
    events, outcomes, making_s = fold.events, fold.outcomes, fold.making_s
    began = time.process_time()
    fold.fold(records[half:])
    spent_s = time.process_time() - began - (fold.making_s - making_s)
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    events, outcomes = fold.events - events, fold.outcomes - outcomes
    return round(spent_s * 1e6 / events, 3), round(outcomes / events, 3)


def ratio(costs: Sequence[Cost]) -> float:
    """How fast the whole language is folded, the plain job being 1."""
    plain, whole = costs
    return round(plain.us_per_event / whole.us_per_event, 2)


def faults(job: Path, load: Load) -> list[str]:
    """What differs from the reference: outcomes that are missing or too much, users whose metrics are others."""
    fold, text = Fold(job.read_text()), job.read_text()
    fold.keeps = True
    fold.fold(records_of(load))
    expected = reference_fold((json.loads(value) for _, value in values(load)), [text])
    found, wanted = Counter(map(line_of, map(decode_any_outcome, fold.told))), Counter(lines_of(expected))
    metrics = fold.metrics(expected.metrics)
    others = [user for user, values in expected.metrics.items() if metrics.get(user) != values]
    return sorted((found - wanted) + (wanted - found)) + others


def line_of(told: AnyOutcome) -> str:
    if isinstance(told, LevelOutcome):
        return f"{told.subject} reached {told.data.level} at {told.data.earned_at}"
    assert isinstance(told, Outcome | RevokedOutcome)
    award = f"{told.data.achievement}{'/' * bool(told.data.tier)}{told.data.tier or ''}"
    if isinstance(told, RevokedOutcome):
        return f"{told.subject} lost {award} {told.data.scope} {told.data.n}"
    return f"{told.subject} earned {award} {told.data.scope} {told.data.n} at {told.data.earned_at}"


def lines_of(expected: Result) -> Iterator[str]:
    for (user, _, level), at in expected.levels_reached.items():
        yield f"{user} reached {level} at {at}"
    for (user, _, award, scope), n in expected.revocations:
        yield f"{user} lost {award} {scope} {n}"
    for ((user, _, award, scope), n), at in expected.unlocks.items():
        yield f"{user} earned {award} {scope} {n} at {at}"
