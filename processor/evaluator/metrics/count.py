"""count: how many events of some types; `minus` types count back. Slots: plus, minus, time."""

from __future__ import annotations

from datetime import datetime

from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from schemas.events import Attributes
from schemas.state import State


def make_step(context: FeedContext) -> Step:
    if context.feed.sign < 0:
        return _undo(context)
    return _back_and_forth(context) if context.metric.undoable else _plain(context)


def _plain(context: FeedContext) -> Step:
    plus, time = context.metric.slot, context.metric.slot + 2
    reached = context.thresholds.reached

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        state[plus] = count = state[plus] + 1
        if at > state[time]:
            state[time] = at
        return [(reached[count], state[time])] if count in reached else None

    return step


def _back_and_forth(context: FeedContext) -> Step:
    plus, minus, time = range(context.metric.slot, context.metric.slot + 3)
    reached = context.thresholds.reached

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        state[plus] += 1
        if at > state[time]:
            state[time] = at
        count = state[plus] - state[minus]
        return [(reached[count], state[time])] if count in reached else None

    return step


def _undo(context: FeedContext) -> Step:
    minus, time = context.metric.slot + 1, context.metric.slot + 2

    def step(state: State, data: Data, at: datetime, event: Attributes) -> None:
        state[minus] += 1
        if at > state[time]:
            state[time] = at

    return step


def merge(earlier: Slots, later: Slots) -> Slots:
    return earlier[0] + later[0], earlier[1] + later[1], max(earlier[2], later[2])


KIND = Kind(make_step, merge)
