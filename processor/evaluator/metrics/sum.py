"""sum: the total of a field; `minus` types take theirs away. Slots: plus, minus, time.

A total saturates at VALUE_MAX, far beyond any that integers of 2**53 add up to in practice.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

from processor.evaluator.metrics.bounds import keep_out
from processor.evaluator.metrics.count import merge as merge_counts
from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from schemas.events import Attributes
from schemas.state import VALUE_MAX, State


def make_step(context: FeedContext) -> Step:
    plus, minus, time = range(context.metric.slot, context.metric.slot + 3)
    moved = plus if context.feed.sign > 0 else minus
    field = context.attribute(context.metric.of or "")
    between, ordered = context.thresholds.between, context.thresholds.ordered

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        amount = getattr(data, field)
        if amount is None:
            return None
        before = state[plus] - state[minus]  # perhaps below 0, as no threshold is
        total = state[moved] + amount
        state[moved] = total if -VALUE_MAX <= total <= VALUE_MAX else saturated(total)
        if at > state[time]:
            state[time] = at
        after = state[plus] - state[minus]
        next_one = bisect_right(ordered, before)
        if next_one == len(ordered) or after < ordered[next_one]:
            return None
        return between(before, after, state[time])

    return step


def saturated(total: int) -> int:
    if abs(total) > VALUE_MAX:
        keep_out("totals")
    return max(-VALUE_MAX, min(VALUE_MAX, total))


def merge(earlier: Slots, later: Slots) -> Slots:
    plus, minus, time = merge_counts(earlier, later)
    return saturated(plus), saturated(minus), time


KIND = Kind(make_step, merge)
