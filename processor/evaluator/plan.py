"""A program made ready to run: for each event type the few things that an event of it moves."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from processor.evaluator.claims import ClaimStep
from processor.evaluator.entries import Board, Entry
from processor.evaluator.filling import NOTHING, Filling, Withheld, filled
from processor.evaluator.metrics import KINDS, Crossed, Step, Thresholds
from processor.evaluator.metrics.kind import FeedContext
from processor.evaluator.metrics.window import within
from processor.evaluator.outcomes import Derivation
from processor.evaluator.revocation import Falling, falling, watched
from processor.evaluator.scoped import award_step
from schemas.events import Attributes, EventKey, attribute_of, event_key, event_specs
from schemas.program import CatalogProgram, EventSpec, Feed, MetricSpec, Program, Test
from schemas.replays import Named
from schemas.state import State, storage_of

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "in": lambda value, wanted: value in wanted,
}


class Move(NamedTuple):
    """One metric that an event moves, if all tests hold."""

    tests: list[Test]
    step: Step


class Plan(NamedTuple):
    """What an event of one type does."""

    event: EventSpec
    moves: list[Move]
    derivations: list[Derivation]

    def step(self) -> Step | None:
        """All moves in one step; nothing when the type only counts as seen."""
        alike = groupby(self.moves, lambda move: move.tests)  # so that what is asked twice is tested once
        steps = [step for tests, moves in alike for step in self._steps(tests, [move.step for move in moves])]
        return together(steps) if steps else None

    def _steps(self, tests: list[Test], steps: list[Step]) -> list[Step]:
        return [tested(self.event, tests, together(steps))] if tests else steps


def tested(event: EventSpec, tests: list[Test], move: Step) -> Step:
    """The step, where all tests hold; a field that is absent or null passes none."""
    for test in tests:
        move = _tested(attribute_of(event, test.field), test, move)
    return move


def _tested(field: str, test: Test, move: Step) -> Step:
    if test.op == "not":
        return _of_others(field, move)
    if test.op == "gte":
        return _from_on(field, test.value, move)
    compare, wanted = COMPARE[test.op], test.value

    def step(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        value = getattr(data, field)
        return move(state, data, at, event) if value is not None and compare(value, wanted) else None

    return step


def _from_on(field: str, wanted: Any, move: Step) -> Step:
    """The step, where a field is not below this. Hot: most tests are of this kind, and need no call."""

    def step(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        value = getattr(data, field)
        return move(state, data, at, event) if value is not None and value >= wanted else None

    return step


def _of_others(field: str, move: Step) -> Step:
    """The step, where a field names somebody else than the subject."""

    def step(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        return move(state, data, at, event) if getattr(data, field) not in (None, event.subject) else None

    return step


def together(steps: list[Step]) -> Step:
    """One step after the other."""
    if len(steps) == 1:
        return steps[0]

    first, *others = steps

    def step(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        crossings = first(state, data, at, event)
        for each in others:
            if (crossed := each(state, data, at, event)) is not None:
                crossings = crossed if crossings is None else crossings + crossed
        return crossings

    return step


class Plans:
    """The plans of all event types of a program, and the boards of its catalogs."""

    def __init__(
        self, program: Program, withheld: Withheld = NOTHING, filling: Mapping[Named, Filling] | None = None
    ) -> None:
        self._filling, self._unmoved = filling or {}, withheld.unmoved
        self.by_event: dict[EventKey, Plan] = {}
        self.boards: dict[str, Board] = {}
        self._specs = event_specs(program)
        place = 0
        for catalog in program.catalogs:
            self.boards[catalog.catalog] = board = Board(catalog, place, withheld)
            self._add(catalog, board, program)
            place = board.end
        for key in self._specs.keys() - self.by_event.keys():  # the command, of no catalog
            self.by_event[key] = Plan(self._specs[key], [Move([], ClaimStep(self._specs[key]))], [])

    def _add(self, catalog: CatalogProgram, board: Board, program: Program) -> None:
        fragile = falling(entry for entry in board.entries if entry.spec.revocable != "no")
        direct = [(entry, feed) for entry in board.entries for feed in entry.spec.on]
        for spec in catalog.events:
            key = event_key(catalog, spec, program)
            united = self._specs[key]
            plan = self.by_event.setdefault(key, Plan(united, [], []))
            plan.moves.extend(self._moves(catalog, spec.type, united, board, fragile))
            plan.moves.extend(_awards(spec.type, united, direct))
            plan.derivations.extend(Derivation(catalog.catalog, rule, united) for rule in spec.derive)

    def _moves(
        self,
        catalog: CatalogProgram,
        event_type: str,
        event: EventSpec,
        board: Board,
        fragile: dict[str, list[Falling]],
    ) -> Iterator[Move]:
        movable = (each for each in catalog.metrics if (catalog.catalog, each.key) not in self._unmoved)
        for metric in movable:
            filling = self._filling.get((catalog.catalog, metric.key))
            for feed in [*metric.feeds, *metric.freezes] if metric.key not in board.idle else []:
                if feed.type == event_type:
                    step = _step(catalog, metric, feed, event, board, fragile.get(metric.key))
                    moved = step if filling is None else filled(step, filling)
                    yield Move(feed.where, moved)


def _step(
    catalog: CatalogProgram,
    metric: MetricSpec,
    feed: Feed,
    event: EventSpec,
    board: Board,
    fragile: list[Falling] | None,
) -> Step:
    thresholds = Thresholds(board.waiting[metric.key])
    context = FeedContext(metric, feed, event, thresholds, catalog.timezone)
    step = within(context, KINDS[storage_of(metric)].step(context))
    return watched(step, metric, feed, fragile)


def _awards(event_type: str, event: EventSpec, direct: list[tuple[Entry, Feed]]) -> list[Move]:
    """The awards that an event of this type is."""
    return [Move(feed.where, award_step(entry, event)) for entry, feed in direct if feed.type == event_type]
