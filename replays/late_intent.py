"""What an operator wants folded late, by what runs and what the log holds: a stretch of a topic again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import NamedTuple

from broker.catalogs import read_records
from broker.controls import read_controls
from broker.topics import partition_counts
from processor.replay.late import Span
from replays.history import Begin, lost_beginnings
from replays.intent import partitions_of, program_at, running_versions
from replays.stretches import spans_of
from schemas.errors import Precondition
from schemas.events import readers
from schemas.program import CatalogProgram, CatalogRecord, Program
from schemas.replays import Notify
from schemas.state import Control
from schemas.topics import Names


class Wish(NamedTuple):
    """What an operator asks for: the records that a topic was given in [since, until), of some users or all."""

    topic: str
    since: datetime
    until: datetime
    users: Sequence[str] | None = None
    id: str | None = None
    notify: Notify = "digest"
    accept_truncated: bool = False


class Intent(NamedTuple):
    """Shapes: catalogs is catalog -> the version that runs; catalog is one that declares the topic; lost are the
    partitions that may have lost a part of the stretch."""

    wish: Wish
    catalogs: dict[str, int]
    program: Program
    catalog: CatalogProgram
    records: Sequence[CatalogRecord]
    controls: Mapping[int, Control]
    spans: Mapping[int, Span]
    lost: list[Begin]


async def intend(bootstrap: str, names: Names, wish: Wish) -> Intent:
    """Changes nothing. Raises: Precondition when there is no such stretch."""
    if wish.since >= wish.until:
        raise Precondition(
            f"the stretch from {wish.since.isoformat()} until {wish.until.isoformat()} is empty: --until is later"
        )
    records, controls = await read_records(bootstrap, names), await read_controls(bootstrap, names)
    versions = running_versions(records, controls.values())
    program = program_at(records, names, versions) if records else None
    if program is not None:
        refuse_topic(program, wish.topic)
    if program is None or not controls:
        raise Precondition(
            f"nothing was folded in namespace '{names.namespace}' yet, so there is nothing to fold again"
        )
    partitions = await partitions_of(bootstrap, names)
    await refuse_other_split(bootstrap, wish.topic, partitions)
    spans, lost = await spans_of(bootstrap, wish.topic, partitions, wish.since, wish.until)
    begins = await lost_beginnings(bootstrap, lost) if lost else []
    return Intent(wish, versions, program, _declaring(program, wish.topic), records, controls, spans, begins)


def refuse_topic(program: Program, topic: str) -> None:
    """Raises: Precondition for a topic whose records nobody folds as they stand there."""
    if topic in program.repartitioned:
        raise Precondition(f"events of {topic} are folded from copies of them: give --topic {program.derived}")
    known = sorted({*readers(program)} - {program.commands})
    if topic not in known:
        close = get_close_matches(topic, known, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"they read {', '.join(known)}"
        raise Precondition(f"no catalog that runs reads a topic '{topic}': {hint}")


async def refuse_other_split(bootstrap: str, topic: str, partitions: int) -> None:
    """Raises: Precondition."""
    count = (await partition_counts(bootstrap, [topic]))[topic]
    if count != partitions:
        raise Precondition(f"topic {topic} has {count} partitions, the state has {partitions}: see `laurel doctor`")


def _declaring(program: Program, topic: str) -> CatalogProgram:
    return next(iter(reading(program, topic)), program.catalogs[0])


def reading(program: Program, topic: str) -> list[CatalogProgram]:
    """The catalogs that declare an event of this topic."""
    return [each for each in program.catalogs if any(event.topic == topic for event in each.events)]
