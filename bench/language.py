"""What the whole language costs: the same events by the full job, and by a catalog that uses every word beside it.

In this process, by the evaluator alone: records in, a cut whenever a checkpoint would be, its outcomes written. The
derived events of a cut are folded behind it, and count as events. Both folds take turns of a few milliseconds, for
the speed of a machine changes by a half within minutes: what is said of them is their ratio, from cut to cut.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import sub
from pathlib import Path
from statistics import median
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
JOBS = (PLAIN, WHOLE)
DERIVED = "derived"
TURN = 5_000  # records
CUT_EVERY = 20_000
MATURE = 0.5  # of the events are folded before the clock starts
CHECKED_EVENTS = 20_000  # are held against the reference, which is slow
APPENDED_MS = 2**41


class Cost(NamedTuple):
    """Units: microseconds of CPU per event, the median of all stretches between two cuts; outcomes per event."""

    catalog: str
    us_per_event: float
    outcomes_per_event: float
    correct: bool


class Ratio(NamedTuple):
    """How fast the whole language is folded, the plain job being 1, of all stretches between two cuts."""

    median: float
    least: float
    most: float


class Measured(NamedTuple):
    costs: list[Cost]
    ratio: Ratio


class Stretch(NamedTuple):
    """What a fold has done so far, or from one cut to the next. Units: seconds of CPU."""

    events: int
    outcomes: int
    spent_s: float

    def since(self, before: Stretch) -> Stretch:
        return Stretch(*map(sub, self, before))

    @property
    def us_per_event(self) -> float:
        return self.spent_s * 1e6 / self.events


class Fold:
    """One partition with all users, and all that comes out of it. Units: seconds of CPU."""

    def __init__(self, text: str) -> None:
        compiled, ledger = compile_catalog(read_catalog(text, "bench"), Ledger())
        self.program = Program(catalogs=[compiled], ledger=ledger, derived=DERIVED, commands="commands")
        self._evaluator = PartitionEvaluator(ReadyProgram(self.program), 0, 1)
        self.events = self.outcomes = self._derived = 0
        self.spent_s = self._making_s = 0.0
        self.told: list[bytes] = []
        self.keeps = False

    def take_turn(self, records: Sequence[Record], *, cuts: bool) -> None:
        began, made_s = time.process_time(), self._making_s
        self._evaluator.fold(TOPIC, records)
        self.events += len(records)
        if cuts:
            self._cut()
        self.spent_s += time.process_time() - began - (self._making_s - made_s)

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
        self._making_s += time.process_time() - began
        return records

    def _of(self, key: bytes, value: bytes) -> Record:
        self._derived += 1
        return PlainRecord(self._derived, APPENDED_MS, key, value)

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.events, self.outcomes, self.spent_s)

    def metrics(self, users: Iterable[str]) -> dict[str, Any]:
        fresh = fresh_state(self.program.ledger)
        rows = {user: self._evaluator.get(user.encode()) for user in users}
        return {user: metric_values(decode_state(row, fresh), self.program) for user, row in rows.items() if row}


def fold_in_turns(folds: Sequence[Fold], records: Sequence[Record]) -> Iterator[list[Stretch]]:
    """What each fold took, from cut to cut."""
    for start in range(0, len(records), CUT_EVERY):
        before = [fold.stretch for fold in folds]
        end = min(start + CUT_EVERY, len(records))
        for turn in range(start, end, TURN):
            for fold in folds:
                fold.take_turn(records[turn : min(turn + TURN, end)], cuts=turn + TURN >= end)
        yield [fold.stretch.since(other) for fold, other in zip(folds, before, strict=True)]


def measure(load: Load, rounds: int, say: Say) -> Measured:
    """Of the plain job and the whole language."""
    say(f"making {load.events:,} records")
    records = records_of(load)
    stretches: list[list[Stretch]] = []
    with on_core(ENGINE_CORE % (os.cpu_count() or 1)):
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            stretches += _measured(records)
    say("comparing with the reference")
    fewer = Load(min(load.events, CHECKED_EVENTS), users=load.users * CHECKED_EVENTS // load.events or 1)
    jobs = zip(JOBS, zip(*stretches, strict=True), strict=True)
    costs = [cost_of(job.stem, taken, correct=faults(job, fewer) == []) for job, taken in jobs]
    return Measured(costs, ratio_of(stretches))


def cost_of(catalog: str, stretches: Sequence[Stretch], *, correct: bool) -> Cost:
    outcomes, events = (sum(each) for each in zip(*((it.outcomes, it.events) for it in stretches), strict=True))
    taken = median(stretch.us_per_event for stretch in stretches)
    return Cost(catalog, round(taken, 3), round(outcomes / events, 3), correct)


def ratio_of(stretches: Sequence[Sequence[Stretch]]) -> Ratio:
    found = [plain.us_per_event / whole.us_per_event for plain, whole in stretches]
    return Ratio(*(round(each, 3) for each in (median(found), min(found), max(found))))


def records_of(load: Load) -> list[Record]:
    return [PlainRecord(offset, APPENDED_MS, key, value) for offset, (key, value) in enumerate(values(load))]


def _measured(records: list[Record]) -> list[list[Stretch]]:
    """The stretches of a matured state."""
    folds = [Fold(job.read_text()) for job in JOBS]
    thresholds = gc.get_threshold()
    garbage.collect_rarely()  # as the worker does once it is restored
    stretches = [*fold_in_turns(folds, records)]
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    return stretches[int(len(stretches) * MATURE) :]


def faults(job: Path, load: Load) -> list[str]:
    """What differs from the reference: outcomes that are missing or too much, users whose metrics are others."""
    fold, text = Fold(job.read_text()), job.read_text()
    fold.keeps = True
    for _ in fold_in_turns([fold], records_of(load)):
        pass
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
