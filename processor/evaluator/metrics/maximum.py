"""max: the greatest value a field ever had. Slots: value, time."""

from __future__ import annotations

from datetime import datetime

from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from schemas.events import Attributes
from schemas.state import State


def make_step(context: FeedContext) -> Step:
    value, time = context.metric.slot, context.metric.slot + 1
    field = context.attribute(context.metric.of or "")
    between = context.thresholds.between

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        seen = getattr(data, field)
        if seen is None:
            return None
        if at > state[time]:
            state[time] = at
        before = state[value]
        if before is not None and seen <= before:
            return None
        state[value] = seen
        return between(before or 0, seen, state[time])

    return step


def merge(earlier: Slots, later: Slots) -> Slots:
    values = [value for value in (earlier[0], later[0]) if value is not None]
    return max(values, default=None), max(earlier[1], later[1])


KIND = Kind(make_step, merge)
