"""Records that come late: what read their place in the log then could not count them, what runs now can.

They are folded as if they arrived now, in the order of the log. What they give has the evidence of their own place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from processor.evaluator.programs import Programs, Versions
from schemas.errors import BadRecord
from schemas.events import EventReader, readers
from schemas.records import Record
from schemas.replays import Named, ReplayNote


class Counted:
    """What has a late record in it already, because it was folded anew by rules that could read it."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._readers: dict[frozenset[tuple[str, int]], Mapping[str, EventReader]] = {}

    def is_whole(self, notes: Iterable[ReplayNote], topic: str, record: Record) -> bool:
        """Whether all states have it: a full reprocessing was promoted that had folded it."""
        return any(note.promoted and self._has(note, topic, record) for note in notes)

    def metrics(self, notes: Iterable[ReplayNote], topic: str, record: Record) -> frozenset[Named]:
        """Those that a replay fills, or has filled, with a past that this record belongs to."""
        fills = (note for note in notes if note.filling and note.phase != "cancelled")
        return frozenset(name for note in fills if self._has(note, topic, record) for name in note.filling)

    def _has(self, note: ReplayNote, topic: str, record: Record) -> bool:
        return record.offset < note.cut.get(topic, 0) and self._reads(note.catalogs, topic, record)

    def _reads(self, versions: Versions, topic: str, record: Record) -> bool:
        reader = self._readers_of(versions).get(topic)
        try:
            return reader is not None and reader.read(record) is not None
        except BadRecord:
            return False

    def _readers_of(self, versions: Versions) -> Mapping[str, EventReader]:
        key = frozenset(versions.items())
        if key not in self._readers:
            self._readers[key] = readers(self._programs.program(versions))
        return self._readers[key]


def first_read(programs: Programs, before: Versions, after: Versions) -> set[tuple[str, str]]:
    """(topic, event type) of what these versions declare, and no version that may have run before them did."""
    return programs.declared(after) - programs.declared(before)
