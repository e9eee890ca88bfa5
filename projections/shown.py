"""What of a user's state is shown of one catalog."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple

from schemas.program import HIDDEN_MARK, CatalogProgram, MetricSpec
from schemas.state import (
    SLOT_OF_TIME,
    State,
    freezes_of,
    period_values,
    present_chain,
    storage_of,
    value_reader,
)
from schemas.zones import EPOCH, EPOCH_DAY

PERIODS_SHOWN = 8  # the latest of a repeating window

Read = tuple[str, Callable[[State, int], int | None], int]  # a metric, how its value is read, its slot
Pick = Callable[[State], tuple[Any, ...]]


class Moves(NamedTuple):
    """When a catalog's metrics last moved.

    Shapes: metrics, times and days go together, those of what never moved being of 1970; first_days are those of
    streaks (since 1970, None before any); is_known says whether the user has had an event of the catalog.
    Units: days as ordinals of the UTC calendar, which cost least.
    """

    metrics: list[str]
    times: tuple[datetime, ...]
    days: tuple[int, ...]
    first_days: tuple[int | None, ...]
    is_known: bool

    @property
    def moved(self) -> Iterator[tuple[str, int]]:
        """Metrics that moved, and the day. Units: days since 1970, in UTC."""
        for metric, day in zip(self.metrics, self.days, strict=True):
            if day != EPOCH_DAY:
                yield metric, day - EPOCH_DAY

    @property
    def since(self) -> datetime | None:
        """The earliest event time that the state still shows."""
        return min([*(at for at in self.times if at != EPOCH), *self._starts()], default=None)

    def _starts(self) -> Iterator[datetime]:
        for day in self.first_days:
            if day is not None:
                yield datetime.fromordinal(day + EPOCH_DAY).replace(tzinfo=UTC)


class Shown:
    """How a catalog is read out of a state: made once, used for every user. Shapes: hidden, keys of metrics."""

    def __init__(self, catalog: CatalogProgram, hidden: Collection[str] = ()) -> None:
        metrics = [metric for metric in catalog.metrics if metric.key not in hidden]
        plain = [metric for metric in metrics if metric.every is None]
        timed = [metric for metric in plain if metric.kind != "streak"]
        self.catalog = catalog.catalog
        self._named = reads([metric for metric in plain if HIDDEN_MARK not in metric.key])
        self._seasons = reads([metric for metric in plain if HIDDEN_MARK in metric.key])
        self._repeating = [metric for metric in metrics if metric.every is not None]
        self.has_windows = bool(self._seasons or self._repeating)
        self._streaks = [metric for metric in plain if metric.kind == "streak"]
        self._timed = [metric.key for metric in timed]
        self._times = picking([metric.slot + SLOT_OF_TIME[storage_of(metric)] for metric in timed])
        self._first_days = picking([metric.slot + 1 for metric in self._streaks])
        self._events = picking([event.window for event in catalog.events])

    def metrics(self, state: State) -> dict[str, int | None]:
        return {key: value_of(state, slot) for key, value_of, slot in self._named}

    def streaks(self, state: State) -> dict[str, dict[str, int | None]]:
        return {metric.key: run_of(state, metric) for metric in self._streaks}

    def windows(self, state: State) -> dict[str, int | dict[str, int] | None]:
        seasons = {key: value_of(state, slot) for key, value_of, slot in self._seasons}
        return seasons | {metric.key: latest_periods(state, metric) for metric in self._repeating}

    def moves(self, state: State) -> Moves:
        times = self._times(state)
        days = tuple(map(datetime.toordinal, times))
        return Moves(self._timed, times, days, self._first_days(state), any(self._events(state)))


def reads(metrics: Sequence[MetricSpec]) -> list[Read]:
    return [(metric.key, value_reader(metric), metric.slot) for metric in metrics]


def picking(slots: Sequence[int]) -> Pick:
    """A function that takes these out of a state, as a tuple however many they are."""
    if len(slots) > 1:
        return itemgetter(*slots)
    return lambda state: tuple(state[slot] for slot in slots)


def run_of(state: State, metric: MetricSpec) -> dict[str, int | None]:
    """The present run of a streak and its longest: what a reader needs for the current streak.

    Units: days since 1970; first_day and last_day are None before the first active day. Shapes: length is less than
    the days from first to last where grace or freezes bridged some; freezes are those left.
    """
    first, last, longest = state[metric.slot + 1 : metric.slot + 4]
    if first is None:
        return run_row(None, None, 0, longest, len(freezes_of(state, metric)))
    if metric.grace or metric.freezes or (metric.edges is not None and state[metric.edges]):
        chain = present_chain(state, metric)
        assert chain is not None, "it has a first day"
        return run_row(chain.first_day, chain.last_day, chain.length, longest, chain.freezes_left)
    return run_row(first, last, last - first + 1, longest, 0)


def run_row(first: int | None, last: int | None, length: int, longest: int, freezes: int) -> dict[str, int | None]:
    return {"first_day": first, "last_day": last, "length": length, "longest": longest, "freezes": freezes}


def latest_periods(state: State, metric: MetricSpec) -> dict[str, int]:
    return dict(list(period_values(state, metric).items())[-PERIODS_SHOWN:])
