"""xp: what events, awards and challenges give, less what revocations take back. Slots: plus, minus, time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from datetime import datetime

from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Step, Thresholds
from processor.evaluator.metrics.sum import merge, saturated
from schemas.events import Attributes
from schemas.state import VALUE_MAX, State

Give = Callable[[State, int, datetime], Crossed | None]


def make_step(context: FeedContext) -> Step:
    """Nothing is given where the amount is null, zero or below."""
    give, fixed, of = giver(context.metric.slot, context.thresholds), context.feed.amount, context.feed.of
    field = None if of is None else context.attribute(of)

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        amount = fixed if field is None else getattr(data, field) or 0
        return give(state, amount, at) if amount > 0 else None

    return step


def value_of(state: State, slot: int) -> int:
    value: int = state[slot] - state[slot + 1]
    return value if value > 0 else 0


def giver(slot: int, thresholds: Thresholds) -> Give:
    """What gives XP, and returns what it crosses. Hot: seldom anything."""
    plus, back, time = range(slot, slot + 3)
    between, ordered = thresholds.between, thresholds.ordered

    def give(state: State, amount: int, at: datetime) -> Crossed | None:
        before, minus = state[plus], state[back]
        total = before + amount
        state[plus] = total = total if total <= VALUE_MAX else saturated(total)
        if at > state[time]:
            state[time] = at
        before, after = before - minus, total - minus  # perhaps below 0, as no threshold is
        next_one = bisect_right(ordered, before)
        if next_one == len(ordered) or after < ordered[next_one]:
            return None
        return between(before, after, state[time])

    return give


def take_back(state: State, slot: int, amount: int, at: datetime) -> None:
    state[slot + 1] = saturated(state[slot + 1] + amount)
    if at > state[slot + 2]:
        state[slot + 2] = at


KIND = Kind(make_step, merge)
