"""A program made ready to run: worked out once in a process, shared by all of its partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from processor.evaluator.claims import Offer
from processor.evaluator.deferral import Deferral, DeferringBooks
from processor.evaluator.entries import Board
from processor.evaluator.facts import FactBooks
from processor.evaluator.filling import NOTHING, Withheld, current_marks, fillings
from processor.evaluator.metrics import Step
from processor.evaluator.outcomes import LIVE, Derivation, Occasion, Template
from processor.evaluator.plan import Plans
from processor.evaluator.rules import Rules, is_plain
from processor.evaluator.settlement import Books
from processor.evaluator.telling import Fields, templates_of
from schemas.events import EventKey, EventReader, event_key, event_specs, readers
from schemas.program import DEFERRED_SLOT, Program
from schemas.state import fresh_state

Run = tuple[int, Step | None, list[Derivation], Callable[[Any], None] | None]
"""What the fold does with an event of one type: slot of its window, what it moves, what it derives, what scales its
decimals. No NamedTuple, which is unpacked at three times the cost."""


class ReadyProgram:
    """Nothing in it changes while it runs. Raises: BadCatalog when two catalogs contradict each other.

    What is `withheld` has no effect. `settled` asks for books also where thresholds are all there is.
    """

    def __init__(self, program: Program, withheld: Withheld = NOTHING, *, settled: bool = False) -> None:
        self.fillings = fillings(program, withheld)
        self._filling = {named: self.fillings[replay] for replay, metrics in withheld.filling for named in metrics}
        plans = Plans(program, withheld, self._filling)
        self.program, self.boards = program, plans.boards
        self.fresh = fresh_state(program.ledger)
        self.readers = readers(program)
        self._fields = self._fields_by_catalog()
        self.templates = self._templates(LIVE)
        self.repartitioned = program.repartitioned
        self.marks = {topic: program.mark_of(topic) for topic in self.readers}
        self.runs = {topic: _runs(reader, plans, topic) for topic, reader in self.readers.items()}
        self._offers = {
            catalog.catalog: Offer(catalog, catalog.challenges, self.boards[catalog.catalog])
            for catalog in program.catalogs
            if catalog.challenges is not None
        }
        self._fact_books: dict[Occasion, FactBooks] = {}
        has_place = DEFERRED_SLOT in program.ledger.extras  # which a version of before may not have
        self.deferrals = [Deferral(each, program, self.boards) for each in withheld.deferred if has_place]
        self.current_marks = current_marks(withheld)
        plain = not (settled or self.deferrals) and all(map(is_plain, program.catalogs))
        self.books = None if plain else self._books()

    def _books(self) -> Books:
        rules, offers, templates = self._rules(LIVE), self._offers, self.templates
        if self.deferrals:
            return DeferringBooks(rules, offers, templates, self.deferrals)
        return Books(rules, offers, templates)

    def fact_books(self, occasion: Occasion) -> FactBooks:
        """What a replay settles by. Made when it is first asked for."""
        if occasion not in self._fact_books:
            templates = self._templates(occasion)
            self._fact_books[occasion] = FactBooks(self.boards, self._rules(occasion), templates)
        return self._fact_books[occasion]

    def _fields_by_catalog(self) -> dict[str, Fields]:
        specs, structs = event_specs(self.program), _structs(self.readers)
        as_read = {struct: specs[key] for key, struct in structs.items()}
        fields = {}
        for catalog in self.program.catalogs:
            keys = ((event_key(catalog, event, self.program), event) for event in catalog.events)
            declared = {structs[key]: {field.name for field in event.fields} for key, event in keys}
            fields[catalog.catalog] = Fields(as_read, declared)
        return fields

    def _templates(self, occasion: Occasion) -> list[Template]:
        """What outcomes are written by, by the places of the boards."""
        found: list[Template] = []
        for catalog in self.program.catalogs:
            name = catalog.catalog
            found += templates_of(catalog, self.boards[name], self._fields[name], occasion)
        return found

    def _rules(self, occasion: Occasion) -> dict[Board, Rules]:
        """What catalogs that have more than thresholds are settled by."""
        rules = {}
        for catalog in self.program.catalogs:
            board, fields = self.boards[catalog.catalog], self._fields[catalog.catalog]
            filling = {key: each for (name, key), each in self._filling.items() if name == catalog.catalog}
            rules[board] = Rules(catalog, board, fields, filling, occasion)
        return rules


def _runs(reader: EventReader, plans: Plans, topic: str) -> dict[Any, Run]:
    """The runs of a topic's types, by the struct of their whole events and by their place in the reader."""
    runs: dict[Any, Run] = {}
    for key, kind in zip(reader.keys, reader.kinds, strict=True):
        plan = plans.by_event[topic, *key]
        runs[kind.whole] = runs[kind.place] = (plan.event.window, plan.step(), plan.derivations, kind.scale)
    return runs


def _structs(topics: Mapping[str, EventReader]) -> dict[EventKey, type]:
    """What the data of each event type is read as."""
    return {
        (topic, *key): kind.data
        for topic, reader in topics.items()
        for key, kind in zip(reader.keys, reader.kinds, strict=True)
    }
