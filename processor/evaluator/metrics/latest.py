"""latest: a gauge, the value of the event with the greatest (time, id), whenever it arrives.

Slots: value, time, event id.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from schemas.events import Attributes
from schemas.state import State


def make_step(context: FeedContext) -> Step:
    value, time, identity = range(context.metric.slot, context.metric.slot + 3)
    field = context.attribute(context.metric.of or "")
    between, ordered = context.thresholds.between, context.thresholds.ordered

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        seen, known_at = getattr(data, field), state[time]
        if seen is None or (at <= known_at and (at < known_at or event.id < (state[identity] or ""))):
            return None
        before = state[value] or 0
        state[value], state[time], state[identity] = seen, at, event.id
        next_one = bisect_right(ordered, before)
        if next_one == len(ordered) or seen < ordered[next_one]:
            return None
        return between(before, seen, at)

    return step


def merge(earlier: Slots, later: Slots) -> Slots:
    return later if (later[1], later[2] or "") >= (earlier[1], earlier[2] or "") else earlier


KIND = Kind(make_step, merge)
