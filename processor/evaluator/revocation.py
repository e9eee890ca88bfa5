"""When awards are lost: which conditions a metric that went back may have broken, and whether they still hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from processor.evaluator.entries import Entry
from processor.evaluator.metrics import Crossed, Step
from schemas.events import Attributes
from schemas.program import All, AtLeast, Condition, Feed, MetricSpec, comparisons
from schemas.state import AWARDS, State, award_of, awarded_at, storage_of, value_reader

Held = Callable[[State], bool]
MetricsByKey = dict[str, MetricSpec]


class Falling(NamedTuple):
    """An award that a metric's fall below `at` may end."""

    at: int
    entry: Entry


class Fall(NamedTuple):
    """A metric went back, and these awards may be lost."""

    entries: list[Entry]


def falling(entries: Iterable[Entry]) -> dict[str, list[Falling]]:
    """What may fall, by the metric."""
    found: dict[str, list[Falling]] = defaultdict(list)
    for entry in entries:
        for comparison in comparisons(entry.spec.when):
            found[comparison.metric].append(Falling(comparison.at, entry))
    return dict(found)


def broken(candidates: Iterable[Falling], before: int, after: int) -> list[Entry]:
    """The entries with a threshold in (after, before]."""
    return [each.entry for each in candidates if after < each.at <= before]


def may_go_back(metric: MetricSpec, feed: Feed) -> bool:
    """Whether such an event can make the metric less."""
    return feed.sign < 0 or metric.kind in ("latest", "sum") or bool(metric.freezes)


def watched(step: Step, metric: MetricSpec, feed: Feed, candidates: list[Falling] | None) -> Step:
    """The step; when it takes the metric back, what may be lost is crossed too."""
    if not candidates or not may_go_back(metric, feed):
        return step
    read, slot = value_reader(metric), metric.slot

    def watch(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        before = read(state, slot) or 0
        crossed = step(state, data, at, event)
        after = read(state, slot) or 0
        lost = broken(candidates, before, after) if after < before else []
        return [*(crossed or ()), (Fall(lost), at)] if lost else crossed

    lowest = min(each.at for each in candidates)
    return _watched_from(lowest, step, watch, slot) if storage_of(metric) in ("count", "sum") else watch


def _watched_from(lowest: int, step: Step, watch: Step, slot: int) -> Step:
    """Of a difference: below all thresholds there is nothing to lose. Hot: almost everybody is there."""
    plus, minus = slot, slot + 1

    def guard(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        if state[plus] - state[minus] < lowest:
            return step(state, data, at, event)
        return watch(state, data, at, event)

    return guard


class Standing:
    """Whether an award still stands on what it was given for.

    Shapes: `holds` judges its condition alone, by the values of now.
    """

    def __init__(self, entry: Entry, metrics: MetricsByKey, numbers: dict[str, int]) -> None:
        self._required = [(reference, numbers[reference]) for reference in entry.spec.requires]
        self._when, self._metrics = entry.spec.when, metrics
        self.holds = holding(entry.spec.when, metrics)

    def lost_requirements(self, state: State) -> list[str]:
        awards = state[AWARDS]
        return [reference for reference, number in self._required if awarded_at(awards, number) is None]

    def never_earned(self, state: State) -> bool:
        """Whether something it requires was not, so that it cannot have been given."""
        return any(award_of(state[AWARDS], number) is None for _, number in self._required)

    def missing(self, state: State) -> AtLeast:
        """The first comparison that does not hold."""
        return _missing(self._when, self._metrics, state)


def holding(condition: Condition, metrics: MetricsByKey) -> Held:
    if isinstance(condition, AtLeast):
        metric, wanted = metrics[condition.metric], condition.at
        read, slot = value_reader(metric), metric.slot
        return lambda state: (read(state, slot) or 0) >= wanted
    parts = [holding(part, metrics) for part in condition.of]
    if isinstance(condition, All):
        return lambda state: all(part(state) for part in parts)
    return lambda state: any(part(state) for part in parts)


def _missing(condition: Condition, metrics: MetricsByKey, state: State) -> AtLeast:
    if isinstance(condition, AtLeast):
        return condition
    broken_part = next(part for part in condition.of if not holding(part, metrics)(state))
    return _missing(broken_part, metrics, state)
