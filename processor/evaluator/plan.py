"""A program made ready to run: for each event type the few things that an event of it moves."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from processor.evaluator.claims import ClaimStep
from processor.evaluator.entries import Board, Entry
from processor.evaluator.filling import NOTHING, Filling, Withheld, filled
from processor.evaluator.metrics import KINDS, Crossed, Step, Thresholds
from processor.evaluator.metrics.kind import FeedContext
from processor.evaluator.metrics.window import within
from processor.evaluator.outcomes import Derivation, UnlockTemplate
from processor.evaluator.revocation import Falling, falling, watched
from processor.evaluator.scoped import award_step
from schemas.events import Attributes, EventKey, attribute_of, event_key, event_specs
from schemas.program import CatalogProgram, EventSpec, Feed, MetricSpec, Program, Test
from schemas.replays import Named
from schemas.state import State, storage_of

Where = Callable[[Any, Attributes], bool]

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "in": lambda value, wanted: value in wanted,
}


class Move(NamedTuple):
    """One metric that an event moves, if `where` (when there is one) holds."""

    where: Where | None
    step: Step


class Plan(NamedTuple):
    """What an event of one type does. `window` is the slot of its last ids."""

    window: int
    moves: list[Move]
    derivations: list[Derivation]

    def step(self) -> Step | None:
        """All moves in one step; nothing when the type only counts as seen."""
        steps = [move.step if move.where is None else tested(move.where, move.step) for move in self.moves]
        if len(steps) < 2:
            return steps[0] if steps else None
        return together(steps)


def tested(where: Where, move: Step) -> Step:
    """The step, where the test holds."""

    def step(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        return move(state, data, at, event) if where(data, event) else None

    return step


def together(steps: list[Step]) -> Step:
    """One step after the other."""

    def step(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        crossings: Crossed | None = None
        for each in steps:
            crossed = each(state, data, at, event)
            if crossed is not None:
                crossings = crossed if crossings is None else crossings + crossed
        return crossings

    return step


class Plans:
    """The plans of all event types of a program, and the templates of its unlocks by place."""

    def __init__(
        self, program: Program, withheld: Withheld = NOTHING, filling: Mapping[Named, Filling] | None = None
    ) -> None:
        self._filling, self._unmoved = filling or {}, withheld.unmoved
        self.by_event: dict[EventKey, Plan] = {}
        self.templates: list[UnlockTemplate] = []
        self.boards: dict[str, Board] = {}
        self._specs = event_specs(program)
        for catalog in program.catalogs:
            self.boards[catalog.catalog] = Board(catalog, len(self.templates), withheld)
            self._add(catalog, self.boards[catalog.catalog], program)
        for key in self._specs.keys() - self.by_event.keys():  # the command, of no catalog
            self.by_event[key] = Plan(self._specs[key].window, [Move(None, ClaimStep(self._specs[key]))], [])

    def _add(self, catalog: CatalogProgram, board: Board, program: Program) -> None:
        self.templates += [UnlockTemplate(catalog, entry.spec) for entry in board.entries]
        fragile = falling(entry for entry in board.entries if entry.spec.revocable != "no")
        direct = [(entry, feed) for entry in board.entries for feed in entry.spec.on]
        for spec in catalog.events:
            key = event_key(catalog, spec, program)
            plan = self.by_event.setdefault(key, Plan(spec.window, [], []))
            united = self._specs[key]
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
                    yield Move(where_of(event, feed.where), moved)


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
    return [
        Move(where_of(event, feed.where), award_step(entry, event))
        for entry, feed in direct
        if feed.type == event_type
    ]


def where_of(event: EventSpec, tests: list[Test]) -> Where | None:
    """All tests hold; a field that is absent or null passes none."""
    checks = [_check(attribute_of(event, test.field), test) for test in tests]
    if len(checks) < 2:
        return checks[0] if checks else None
    return lambda data, event: all(check(data, event) for check in checks)


def _check(field: str, test: Test) -> Where:
    if test.op == "not":
        return lambda data, event: getattr(data, field) not in (None, event.subject)
    compare, wanted = COMPARE[test.op], test.value

    def check(data: Any, event: Attributes) -> bool:
        value = getattr(data, field)
        return value is not None and compare(value, wanted)

    return check
