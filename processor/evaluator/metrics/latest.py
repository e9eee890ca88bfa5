"""latest: a gauge, the value of the event with the greatest (time, id), whenever it arrives.

Slots: value, time, event id.
"""

from __future__ import annotations

from datetime import datetime

from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from schemas.events import Attributes
from schemas.state import State


def make_step(context: FeedContext) -> Step:
    value, time, identity = range(context.metric.slot, context.metric.slot + 3)
    field = context.attribute(context.metric.of or "")
    between, ordered = context.thresholds.between, context.thresholds.ordered

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        seen = getattr(data, field)
        known_at = state[time]
        if seen is None or at < known_at or (at == known_at and event.id < (state[identity] or "")):
            return None
        before = state[value] or 0
        state[value], state[time], state[identity] = seen, at, event.id
        return between(before, seen, at) if ordered and seen > before else None

    return step


def merge(earlier: Slots, later: Slots) -> Slots:
    return later if (later[1], later[2] or "") >= (earlier[1], earlier[2] or "") else earlier


KIND = Kind(make_step, merge)
