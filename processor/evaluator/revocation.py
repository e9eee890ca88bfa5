"""When awards are lost: which conditions a metric that went back may have broken, and whether they still hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from processor.evaluator.entries import Entry
from processor.evaluator.metrics import Crossed, Step
from schemas.events import Attributes
from schemas.outcomes import AwardReason, MetricReason, Reason
from schemas.program import All, AtLeast, Condition, Feed, MetricSpec, comparisons
from schemas.state import AWARDS, State, award_of, awarded_at, storage_of, value_reader

Shortfall = Callable[[State], MetricReason | None]
Chains = Mapping[str, list[Reason]]
"""Why awards were lost in a record, by their references."""
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

    Shapes: `below` judges its condition alone, by the values of now: the first comparison that does not hold.
    """

    def __init__(self, entry: Entry, metrics: MetricsByKey, numbers: dict[str, int]) -> None:
        self._required = [(each, numbers[each], award_reason(each)) for each in entry.spec.requires]
        self.below = shortfall(entry.spec.when, metrics)

    def holds(self, state: State) -> bool:
        return self.below(state) is None

    def lost_requirements(self, state: State) -> list[str]:
        awards = state[AWARDS]
        return [reference for reference, number, _ in self._required if awarded_at(awards, number) is None]

    def broken_chain(self, state: State, chains: Chains) -> list[Reason] | None:
        """Of the first award it requires that was lost in this record; one never held is a later version's wish."""
        for reference, number, reason in self._required:
            if reference in chains and awarded_at(state[AWARDS], number) is None:
                return [*chains[reference], reason]
        return None

    def never_earned(self, state: State) -> bool:
        """Whether something it requires was not, so that it cannot have been given."""
        return any(award_of(state[AWARDS], number) is None for _, number, _ in self._required)


def shortfall(condition: Condition, metrics: MetricsByKey) -> Shortfall:
    if isinstance(condition, AtLeast):
        return _comparison(condition, metrics[condition.metric])
    parts = [shortfall(part, metrics) for part in condition.of]
    return _first(parts) if isinstance(condition, All) else _unless_any_holds(parts)


def _comparison(condition: AtLeast, metric: MetricSpec) -> Shortfall:
    read, slot, key, needed = value_reader(metric), metric.slot, condition.metric, condition.at

    def below(state: State) -> MetricReason | None:
        value = read(state, slot) or 0
        return None if value >= needed else MetricReason(metric=key, value=value, needed=needed)

    return below


def _first(parts: list[Shortfall]) -> Shortfall:
    return lambda state: next((below for part in parts if (below := part(state)) is not None), None)


def _unless_any_holds(parts: list[Shortfall]) -> Shortfall:
    def below(state: State) -> MetricReason | None:
        found = [part(state) for part in parts]
        return None if None in found else found[0]

    return below


def award_reason(reference: str) -> AwardReason:
    key, _, tier = reference.partition("/")
    return AwardReason(achievement=key, tier=tier or None)
