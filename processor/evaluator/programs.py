"""The versions of the catalogs that a process has heard of, and their programs, made ready when first run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakValueDictionary

from msgspec.structs import replace

from processor.evaluator.filling import NOTHING, Withheld
from processor.evaluator.ready import ReadyProgram
from schemas.program import AchievementSpec, CatalogRecord, Ledger, Program

Versions = Mapping[str, int]


class Programs:
    """Shared by the partitions of a process. `newest` is what there was when it started."""

    def __init__(self, newest: Program, records: Iterable[CatalogRecord] = ()) -> None:
        self.newest = newest
        self._records = [*records]
        self._ready: WeakValueDictionary[object, ReadyProgram] = WeakValueDictionary()

    def learn(self, records: Iterable[CatalogRecord]) -> None:
        """Take all records of the catalogs topic, oldest first."""
        self._records = [*records]

    @property
    def first(self) -> Versions:
        """What a partition runs that has never run any: the newest, less what a replay is to bring."""
        announced = [(record.catalog, record.version) for record in self._records if record.announced]
        return dict(sorted(announced)) if self._records else versions_of(self.newest)

    def declared(self, versions: Versions) -> set[tuple[str, str]]:
        """(topic, event type) of all that these versions, and those before them, declare of their own sources."""
        return {
            (event.topic, event.type)
            for record in self._records
            for event in record.program.events
            if event.topic is not None and record.version <= versions.get(record.catalog, 0)
        }

    def unknown(self, wanted: Versions) -> list[str]:
        """Which of these versions are not known, as `catalog version 3`."""
        known = {(record.catalog, record.version) for record in self._records}
        if wanted.items() <= versions_of(self.newest).items():
            return []
        return [f"{name} version {number}" for name, number in wanted.items() if (name, number) not in known]

    def program(self, wanted: Versions) -> Program:
        """These versions, with the numbering of the latest of them, whatever was published since."""
        if dict(wanted) == versions_of(self.newest):
            return self.newest
        return program_at(self._records, wanted, self.newest)

    def former(self, catalog: str, reference: str) -> AchievementSpec | None:
        """An achievement as the latest version had it that listed it."""
        programs = (record.program for record in reversed(self._records) if record.catalog == catalog)
        specs = (spec for program in programs for spec in program.achievements)
        return next((spec for spec in specs if spec.reference == reference), None)

    def ready(self, wanted: Versions, withheld: Withheld = NOTHING, *, settled: bool = False) -> ReadyProgram:
        """Raises: BadCatalog when two catalogs contradict each other."""
        key = frozenset(wanted.items()), withheld, settled
        ready = self._ready.get(key)
        if ready is None:
            self._ready[key] = ready = ReadyProgram(self.program(wanted), withheld, settled=settled)
        return ready


def versions_of(program: Program) -> dict[str, int]:
    return {catalog.catalog: catalog.version for catalog in program.catalogs}


def program_at(records: Sequence[CatalogRecord], wanted: Versions, newest: Program) -> Program:
    """These versions, with the numbering of the one that was published last."""
    chosen = [record for record in records if wanted.get(record.catalog) == record.version]
    programs = sorted((record.program for record in chosen), key=lambda program: program.catalog)
    return replace(newest, catalogs=programs, ledger=chosen[-1].ledger if chosen else Ledger())
