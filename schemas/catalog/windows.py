"""Windows: the days on which events count, or the period in which an award is given once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from schemas.catalog.conditions import Known, beyond, comparisons
from schemas.catalog.findings import Path, Report
from schemas.catalog.language import WrittenLook, WrittenWindow
from schemas.catalog.listing import plain_number
from schemas.catalog.model import AtLeast, Condition, Metric, Window
from schemas.program import XP
from schemas.zones import EPOCH_DAY

REMEDY = "compare a count, a sum, or a distinct without minus"


def read_window(path: Path, look: WrittenLook, report: Report) -> Window | None:
    """The window an entry gives; None where it gives none, or one with findings."""
    if look.window is None:
        return None
    path, before = (*path, "window"), len(report.findings)
    window = Window(
        first_day=_day((*path, "from"), look.window.first, report),
        end_day=_day((*path, "until"), look.window.until, report),
        every=look.window.every or None,
    )
    _check_words(path, look.window, window, report)
    return window if len(report.findings) == before else None


def _day(path: Path, said: str, report: Report) -> int | None:
    """Days since 1970; None where none is written, and where it is in no calendar."""
    if not said:
        return None
    try:
        day = date.fromisoformat(said).toordinal() - EPOCH_DAY
    except ValueError:
        day = -1
    if day < 0:
        report.add(path, f"{said} is no day", "write one that is in the calendar, from 1970-01-01 on")
    return day


def _check_words(path: Path, written: WrittenWindow, window: Window, report: Report) -> None:
    days = written.first or written.until
    if not days and not written.every:
        report.add(path, "the window is open on all sides", "write `from`, `until` or `every`, or leave it out")
    elif days and written.every:
        report.add((*path, "every"), "`every` stands beside days", "write either days or a period")
    elif window.end_day is not None and window.end_day <= (window.first_day or 0):
        days = f"from {written.first} until {written.until}" if written.first else f"before {written.until}"
        report.add((*path, "until"), f"no day lies {days}", "`until` is the first day behind the window")


def check_window(path: Path, window: Window, condition: Condition, known: Known, report: Report) -> None:
    """What a condition compares can be looked at through a window, and reached within it."""
    if window.every and not isinstance(condition, AtLeast):
        what = f"`every: {window.every}` takes one comparison, and this is a compound"
        report.add(path, what, "write `when: metric >= number`")
    for each in comparisons(condition):
        if each.level or each.metric == XP:
            what = f"`{'level' if each.level else XP}` is not counted by days"
            report.add(path, what, "compare a metric that events move, or leave the window out")
        else:
            _check_comparison(path, window, each, known, report)


def _check_comparison(path: Path, window: Window, each: AtLeast, known: Known, report: Report) -> None:
    metric = known.metrics[each.metric]
    if metric and window.every and not kept_by_period(metric):
        what = f"`{each.metric}` is a {metric.kind}{' with minus' if metric.minus else ''}"
        report.add(path, f"{what}, which is not kept by {window.every}", REMEDY)
    else:
        beyond(path, each.metric, _as_written(each, known), known, window, report)


def kept_by_period(metric: Metric) -> bool:
    return metric.kind in ("count", "sum") or (metric.kind == "distinct" and not metric.minus)


def _as_written(each: AtLeast, known: Known) -> Decimal:
    return Decimal(plain_number(each.at, known.places[each.metric]))
