"""A window of days: what happens on other days does not count."""

from __future__ import annotations

from datetime import datetime

from processor.evaluator.metrics.days import day_of
from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Step
from schemas.events import Attributes
from schemas.state import State
from schemas.zones import EPOCH_DAY

FIRST_DAY, END_DAY = -(2**31), 2**31


def within(context: FeedContext, move: Step) -> Step:
    """The step, on the days of its metric's window, where it has one. A day is the event's own."""
    metric, zone = context.metric, context.zone
    if metric.first_day is None and metric.end_day is None:
        return move
    first = FIRST_DAY if metric.first_day is None else metric.first_day
    end = END_DAY if metric.end_day is None else metric.end_day

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        own_zone = event.timezone or zone
        day = at.toordinal() - EPOCH_DAY if own_zone == "UTC" else day_of(at, own_zone)
        return move(state, data, at, event) if first <= day < end else None

    return step
