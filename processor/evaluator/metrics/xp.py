"""xp: what events, awards and challenges give, less what revocations take back. Slots: plus, minus, time."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime

from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Step
from processor.evaluator.metrics.sum import merge, saturated
from schemas.events import Attributes
from schemas.state import VALUE_MAX, State


def make_step(context: FeedContext) -> Step:
    """Nothing is given where the amount is null, zero or below."""
    plus, back, time = range(context.metric.slot, context.metric.slot + 3)
    fixed, of = context.feed.amount, context.feed.of
    field = None if of is None else context.attribute(of)
    between, ordered = context.thresholds.between, context.thresholds.ordered

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        amount = fixed if field is None else getattr(data, field) or 0
        if amount <= 0:
            return None
        before, minus = state[plus], state[back]
        total = before + amount
        state[plus] = total if total <= VALUE_MAX else saturated(total)
        if at > state[time]:
            state[time] = at
        before, after = before - minus, state[plus] - minus
        next_one = bisect_right(ordered, before)
        if next_one == len(ordered) or after < ordered[next_one]:
            return None
        return between(before, after, state[time])

    return step


def value_of(state: State, slot: int) -> int:
    value: int = state[slot] - state[slot + 1]
    return value if value > 0 else 0


def given(state: State, slot: int, amount: int, at: datetime) -> tuple[int, int]:
    """Give XP. Returns what it was before and after, which may be below 0: no threshold is. Hot."""
    before, minus = state[slot], state[slot + 1]
    total = before + amount
    if total > VALUE_MAX:
        total = saturated(total)
    state[slot] = total
    if at > state[slot + 2]:
        state[slot + 2] = at
    return before - minus, total - minus


def take_back(state: State, slot: int, amount: int, at: datetime) -> None:
    state[slot + 1] = saturated(state[slot + 1] + amount)
    if at > state[slot + 2]:
        state[slot + 2] = at


KIND = Kind(make_step, merge)
