"""How far a metric can come: what its tests, its kind and its window leave of the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import cast

from schemas.catalog.events import Events
from schemas.catalog.model import Feed, Field, Metric, Test, Window, XpFeed
from schemas.catalog.spelling import NUMBER_MAX
from schemas.state import DISTINCT_MAX, PERIOD_DISTINCT_MAX
from schemas.texts import normal

Reach = tuple[int, str]  # the most, in the unit of the metric's value, and why

COUNTED: Reach = (NUMBER_MAX, "is counted up to")


def most_of(metric: Metric | None, events: Events, window: Window | None = None) -> Reach:
    """The most that a metric can come to; nothing is known of one with findings."""
    if metric is None:
        return COUNTED
    if metric.kind == "distinct":
        return _most_values(metric, events, window)
    if metric.kind == "streak":
        return _most_days(window)
    return _most_numbers(metric)


def _most_values(metric: Metric, events: Events, window: Window | None) -> Reach:
    kept = PERIOD_DISTINCT_MAX if window and window.every else DISTINCT_MAX
    different = sum(_combinations(metric, feed, events) for feed in metric.plus)
    return (kept, "is counted up to") if kept <= different else (different, "has no more different values than")


def _combinations(metric: Metric, feed: Feed, events: Events) -> int:
    event = events.get(feed.type)
    fields = [event.data.get(name) if event else None for name in metric.by]
    counts = [_values(field, name, metric, feed) for field, name in zip(fields, metric.by, strict=True)]
    return reduce(lambda so_far, count: min(so_far * count, NUMBER_MAX), counts, 1)


def _values(field: Field | None, name: str, metric: Metric, feed: Feed) -> int:
    """How many values of a field pass the tests of a feed."""
    tests = [test for test in feed.where if test.field == name]
    step = metric.bucket or 1
    named = [set(_listed(test)) for test in tests if test.op in ("eq", "in")]
    if named:
        passing = set.intersection(*named)
        return len({value // step for value in passing} if metric.bucket else _told_apart(passing, metric))
    if field is not None and field.type == "boolean":
        return 2
    lowest, highest = _lowest(tests), _highest(tests)
    if lowest is None or highest is None:
        return NUMBER_MAX
    return highest // step - lowest // step + 1


def _told_apart(values: Iterable[object], metric: Metric) -> set[object]:
    """Without blank texts, which count for nothing; normalised, some may be one."""
    texts = [value for value in values if not isinstance(value, str) or value.strip()]
    return {normal(value) if metric.normalize and isinstance(value, str) else value for value in texts}


def _most_days(window: Window | None) -> Reach:
    if window is None or window.first_day is None or window.end_day is None:
        return COUNTED
    return window.end_day - window.first_day, "cannot be longer than its window of days,"


def _most_numbers(metric: Metric) -> Reach:
    """A sum of what is never above 0 never is; the largest and the latest number are one that passed."""
    if metric.of is None:
        return COUNTED
    most = max(_largest(feed, metric.of) for feed in metric.plus)
    if metric.kind == "sum" and most > 0:
        return COUNTED
    return (most, "comes to at most") if most < NUMBER_MAX else COUNTED


def most_given(feed: XpFeed) -> int:
    """The most XP that one event gives."""
    return _largest(feed, feed.of) if feed.of else feed.amount


def _largest(feed: Feed, name: str) -> int:
    highest = _highest([test for test in feed.where if test.field == name])
    return NUMBER_MAX if highest is None else highest


def _highest(tests: Iterable[Test]) -> int | None:
    """The largest number that passes, None where there is no bound."""
    ends = [max(_listed(test)) - (test.op == "lt") for test in tests if test.op in ("lt", "lte", "eq", "in")]
    return min(ends, default=None)


def _lowest(tests: Iterable[Test]) -> int | None:
    ends = [min(_listed(test)) + (test.op == "gt") for test in tests if test.op in ("gt", "gte", "eq", "in")]
    return max(ends, default=None)


def _listed(test: Test) -> tuple[int, ...]:
    """Bounds are integers here, decimals being scaled; values of other types are only told apart."""
    return cast("tuple[int, ...]", test.value if isinstance(test.value, tuple) else (test.value,))
