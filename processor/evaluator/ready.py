"""A program made ready to run: worked out once in a process, shared by all of its partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from processor.evaluator.claims import Offer
from processor.evaluator.entries import Board
from processor.evaluator.metrics import Step
from processor.evaluator.outcomes import Derivation
from processor.evaluator.plan import Plans
from processor.evaluator.rules import Rules, is_plain
from processor.evaluator.settlement import Books
from processor.evaluator.telling import Fields
from schemas.events import EventKey, EventReader, event_key, event_specs, readers
from schemas.program import Program
from schemas.state import fresh_state

Run = tuple[int, Step | None, list[Derivation], Callable[[Any], None] | None]
"""What the fold does with an event of one type: slot of its window, what it moves, what it derives, what scales its
decimals. No NamedTuple, which is unpacked at three times the cost."""


class ReadyProgram:
    """Nothing in it changes while it runs. Raises: BadCatalog when two catalogs contradict each other."""

    def __init__(self, program: Program) -> None:
        plans = Plans(program)
        self.templates = plans.templates
        self.fresh = fresh_state(program.ledger)
        self.readers = readers(program)
        self.repartitioned = program.repartitioned
        self.marks = {topic: program.mark_of(topic) for topic in self.readers}
        self.runs = {topic: _runs(reader, plans, topic) for topic, reader in self.readers.items()}
        self.books = None if all(map(is_plain, program.catalogs)) else _books(program, plans, self.readers)


def _runs(reader: EventReader, plans: Plans, topic: str) -> dict[Any, Run]:
    """The runs of a topic's types, by the struct of their whole events and by their place in the reader."""
    runs: dict[Any, Run] = {}
    for key, kind in zip(reader.keys, reader.kinds, strict=True):
        plan = plans.by_event[topic, *key]
        runs[kind.whole] = runs[kind.place] = (plan.window, plan.step(), plan.derivations, kind.scale)
    return runs


def _books(program: Program, plans: Plans, topics: Mapping[str, EventReader]) -> Books:
    """What catalogs that have more than thresholds are settled by."""
    specs, structs = event_specs(program), _structs(topics)
    as_read = {struct: specs[key] for key, struct in structs.items()}
    rules: dict[Board, Rules] = {}
    offers: dict[str, Offer] = {}
    for catalog in program.catalogs:
        board = plans.boards[catalog.catalog]
        keys = ((event_key(catalog, event, program), event) for event in catalog.events)
        declared = {structs[key]: {field.name for field in event.fields} for key, event in keys}
        rules[board] = Rules(catalog, board, Fields(as_read, declared))
        if catalog.challenges is not None:
            offers[catalog.catalog] = Offer(catalog, catalog.challenges, board)
    return Books(rules, offers, plans.templates)


def _structs(topics: Mapping[str, EventReader]) -> dict[EventKey, type]:
    """What the data of each event type is read as."""
    return {
        (topic, *key): kind.data
        for topic, reader in topics.items()
        for key, kind in zip(reader.keys, reader.kinds, strict=True)
    }
