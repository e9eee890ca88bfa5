"""What an event costs while the catalog grows: the same metrics, the same events, ever more achievements.

In this process, by the evaluator alone: records in, a cut whenever a checkpoint would be. All achievements beyond
the job's own lie further off than anybody gets, so that every catalog leads to the same unlocks.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.load import TOPIC, Load, values
from bench.stage import ENGINE_CORE, Say, on_core
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from schemas.catalog import read_catalog
from schemas.errors import LaurelError
from schemas.program import AtLeast, Ledger, Program
from schemas.records import PlainRecord, Record

CHUNK = 2_000
CUT_EVERY = 20_000
MATURE = 0.5  # of the events are folded before the clock starts
FAR = 1_000


class Point(NamedTuple):
    """Units: microseconds of CPU per event, the least of all rounds; seconds from program to evaluator."""

    definitions: int
    us_per_event: float
    start_s: float
    unlocks: int


def measure(job: Path, sizes: Iterable[int], load: Load, rounds: int, say: Say) -> list[Point]:
    """A point for each size. Rounds go through all sizes in turn, so that a noisy minute hits each of them."""
    say(f"making {load.events:,} records")
    records = [*_records(load)]
    points: dict[int, list[Point]] = {}
    with on_core(ENGINE_CORE % (os.cpu_count() or 1)):
        for number in range(rounds):
            for size in sizes:
                say(f"round {number + 1} of {rounds}: {size:,} definitions")
                points.setdefault(size, []).append(_point(program_with(job, size), size, records))
    best = [min(each, key=lambda point: point.us_per_event) for each in points.values()]
    if len({point.unlocks for point in best}) > 1:
        raise LaurelError(f"the catalogs led to different unlocks: {best}")
    return best


def _records(load: Load) -> Iterator[Record]:
    return (PlainRecord(offset, 2**42, key, value) for offset, (key, value) in enumerate(values(load)))


def program_with(job: Path, definitions: int) -> Program:
    """The job's program with so many achievements, its own among them."""
    program, ledger = compile_catalog(read_catalog(job.read_text(), job.name), Ledger())
    own, awards = program.achievements, dict(ledger.awards)
    if definitions < len(own):
        raise LaurelError(f"the job itself has {len(own)} achievements: ask for at least as many")
    counts = [metric.key for metric in program.metrics if metric.kind == "count"]
    more = [
        msgspec.structs.replace(own[0], key=f"far_{number}", number=len(awards) + number, when=_far(metric, number))
        for number, metric in enumerate(islice(cycle(counts), definitions - len(own)))
    ]
    awards |= {f"{program.catalog}/{each.key}": each.number for each in more}
    return Program(
        catalogs=[msgspec.structs.replace(program, achievements=[*own, *more])],
        ledger=msgspec.structs.replace(ledger, awards=awards),
        derived="derived",
    )


def _far(metric: str, number: int) -> AtLeast:
    return AtLeast(metric=metric, at=FAR + number)


def _point(program: Program, definitions: int, records: list[Record]) -> Point:
    began = time.process_time()
    evaluator = PartitionEvaluator(ReadyProgram(program), 0, 1)
    start_s = time.process_time() - began
    gc.collect()
    gc.freeze()  # as the worker does once it is restored
    half = int(len(records) * MATURE)
    unlocks = _fold(evaluator, records[:half])
    began = time.process_time()
    unlocks += _fold(evaluator, records[half:])
    spent_s = time.process_time() - began
    gc.unfreeze()
    return Point(definitions, round(spent_s * 1e6 / (len(records) - half), 3), round(start_s, 2), unlocks)


def _fold(evaluator: PartitionEvaluator, records: list[Record]) -> int:
    unlocks = 0
    for start in range(0, len(records), CHUNK):
        unlocks += evaluator.fold(TOPIC, records[start : start + CHUNK]).unlocked
        if start % CUT_EVERY == 0:
            evaluator.cut()
    evaluator.cut()
    return unlocks


def catalog_with(job: Path, definitions: int) -> str:
    """The job's catalog with so many achievements, as somebody would write it, for a run from end to end."""
    program = program_with(job, definitions).catalogs[0]
    entries = [
        f"  - {{key: {each.key}, name: Far, when: {each.when.metric} >= {each.when.at}}}\n"
        for each in program.achievements
        if each.key.startswith("far_") and isinstance(each.when, AtLeast)
    ]
    return f"{job.read_text()}achievements:\n{''.join(entries)}"
