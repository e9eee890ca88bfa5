"""What every metric kind gives, and the thresholds that wait for it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from schemas.events import Attributes, attribute_of
from schemas.program import EventSpec, Feed, MetricSpec
from schemas.state import State

Data = Any
Crossed = list[tuple[Any, datetime]]  # (what waits for a threshold, when it was crossed)
Step = Callable[[State, Data, datetime, Attributes], Crossed | None]
Slots = tuple[Any, ...]


class Thresholds:
    """What waits for which values of a metric.

    A count moves by one, so it looks up the value it reached; what jumps asks for all between two values.
    """

    def __init__(self, waiting: Mapping[int, Any]) -> None:
        self.reached = dict(waiting)
        self.ordered = sorted(waiting)

    def values_between(self, before: int, after: int) -> list[int]:
        """The thresholds in (before, after]."""
        ordered = self.ordered
        low = bisect_right(ordered, before)
        if low == len(ordered) or ordered[low] > after:
            return []
        return ordered[low : bisect_right(ordered, after, low)]

    def between(self, before: int, after: int, at: datetime) -> Crossed | None:
        """What waits for the thresholds in (before, after], each crossed at this time. Hot: there is seldom any."""
        ordered, reached = self.ordered, self.reached
        low = bisect_right(ordered, before)
        high = bisect_right(ordered, after, low)
        if high == low + 1:
            return [(reached[ordered[low]], at)]
        return [(reached[value], at) for value in ordered[low:high]] or None


class FeedContext(NamedTuple):
    """All that a step is made of: a metric, one event type that feeds it, and what waits for its value."""

    metric: MetricSpec
    feed: Feed
    event: EventSpec
    thresholds: Thresholds
    zone: str

    def attribute(self, field: str) -> str:
        """The attribute of this event's data that holds a declared field."""
        return attribute_of(self.event, field)

    def type_of(self, field: str) -> str:
        """The type of a declared field of this event."""
        return next(each.type for each in self.event.fields if each.name == field)


class Kind(NamedTuple):
    """A metric kind: how one event is applied, and how two stretches of a log are joined.

    What of its slots follows from the others and from what else the metric says is left open by `merge`, and
    reckoned anew by `settle`.
    """

    step: Callable[[FeedContext], Step]
    merge: Callable[[Slots, Slots], Slots]
    settle: Callable[[State, MetricSpec], None] | None = None
