"""Streaks at the moment somebody looks: what tomorrow adds to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import msgspec

from progress.rows import EPOCH, Run
from schemas.program import CatalogProgram, MetricSpec


class Streak(msgspec.Struct, frozen=True, kw_only=True):
    """A streak as told: 0 days now once a day was missed that neither grace nor a freeze bridges.

    `ends_on` is the last day on which an event keeps the present run, None when there is none.
    """

    metric: str
    current: int
    longest: int
    active_today: bool
    last_day: date | None
    ends_on: date | None
    grace: int
    freezes: int
    headline: bool


NO_RUN = Run()


def current_run(run: Run, today: int, grace: int = 0) -> int:
    """The length of the run that the next active day adds to. Units: today, days since 1970."""
    return run.length if run.last_day is not None and today <= last_chance(run, grace) else 0


def last_chance(run: Run, grace: int) -> int:
    """The last day on which an event still joins this run."""
    assert run.last_day is not None
    return run.last_day + 1 + grace + run.freezes


def tell_streaks(program: CatalogProgram, runs: Mapping[str, Run], today: int) -> list[Streak]:
    """The streaks that an author wrote, the headline first."""
    metrics = [metric for metric in program.metrics if metric.kind == "streak" and metric.origin is None]
    told = [tell_streak(program, metric, runs.get(metric.key, NO_RUN), today) for metric in metrics]
    return sorted(told, key=lambda streak: not streak.headline)


def tell_streak(program: CatalogProgram, metric: MetricSpec, run: Run, today: int) -> Streak:
    current = current_run(run, today, metric.grace)
    return Streak(
        metric=metric.key,
        current=current,
        longest=run.longest,
        active_today=run.last_day is not None and run.last_day >= today,
        last_day=_day(run.last_day),
        ends_on=_day(last_chance(run, metric.grace)) if current else None,
        grace=metric.grace,
        freezes=run.freezes,
        headline=metric.key == program.headline_streak,
    )


def _day(number: int | None) -> date | None:
    return None if number is None else EPOCH + timedelta(number)
