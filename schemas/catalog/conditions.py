"""Conditions: comparisons with metrics, what they are compounded of, and whether anybody can ever meet them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from schemas.catalog.events import Events
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.idle import check_parts
from schemas.catalog.listing import plain_number
from schemas.catalog.metrics import Metrics
from schemas.catalog.model import All, AtLeast, Category, Condition, Window
from schemas.catalog.model import Any as AnyOf
from schemas.catalog.reach import most_of
from schemas.catalog.shape import shown
from schemas.catalog.source import NUMBER
from schemas.catalog.where import scaled
from schemas.program import XP

LEVEL = "level"
COMPARISON = re.compile(r"\s*([^\s<>=!]+)\s*(>=|<=|==|!=|=|<|>)\s*(\S+)\s*")


class LevelCurve(NamedTuple):
    """Where the levels of a metric start, level 1 first; empty while the curve has findings."""

    of: str
    starts: Sequence[int]


class Known(NamedTuple):
    """What conditions and entries may name.

    Shapes: metrics has XP where the catalog gives any; places is metric -> decimal places of its value, without the
    metrics and events that have findings; levels is None where the catalog has none; tiers are rising.
    """

    events: Events
    metrics: Metrics
    places: Mapping[str, int]
    categories: list[Category] | None = None
    tiers: Sequence[str] = ()
    levels: LevelCurve | None = None
    xp_from_awards: bool = False
    language: str = ""


def read_condition(path: Path, said: object, known: Known, report: Report) -> Condition | None:
    """`released >= 10`, or `{all: […]}`, or `{any: […]}`; None after its findings are reported."""
    if isinstance(said, str):
        return read_comparison(path, said, known, report)
    if isinstance(said, dict) and len(said) == 1 and set(said) <= {"all", "any"}:
        ((word, parts),) = said.items()
        return _read_compound((*path, word), word, parts, known, report)
    report.add(path, f"{shown(said)} is no condition", "write `metric >= number`, `{all: […]}` or `{any: […]}`")
    return None


def _read_compound(path: Path, word: str, parts: object, known: Known, report: Report) -> Condition | None:
    if not isinstance(parts, list) or not parts:
        report.add(path, f"`{word}` takes a list of conditions", f"write `{word}: [released >= 10, artists >= 5]`")
        return None
    read = [read_condition((*path, number), part, known, report) for number, part in enumerate(parts)]
    whole = tuple(each for each in read if each)
    if len(whole) < len(parts):
        return None
    check_parts(path, word, list(zip(parts, whole, strict=True)), report)
    return All(of=whole) if word == "all" else AnyOf(of=whole)


def read_comparison(path: Path, said: object, known: Known, report: Report) -> AtLeast | None:
    found = COMPARISON.fullmatch(said) if isinstance(said, str) else None
    number = _number(found[3]) if found else None
    if found is None or number is None:
        report.add(path, f"{shown(said)} is no condition", "write `metric >= number`")
        return None
    name, op = found[1], found[2]
    if op != ">=":
        remedy = f"write `{name} >= {found[3]}`: awards are for what was reached"
        report.add(path, f"`{op}` is no comparison of conditions", remedy)
    read = _read_level if name == LEVEL else _read_metric
    reached = read(path, name, number, known, report)
    return reached if op == ">=" else None


def _number(text: str) -> Decimal | None:
    return Decimal(text) if NUMBER.fullmatch(text) else None


def _read_metric(path: Path, name: str, number: Decimal, known: Known, report: Report) -> AtLeast | None:
    is_known = is_metric(path, name, known, report)
    at = read_threshold(path, name, number, known, report)
    return AtLeast(metric=name, at=at) if at is not None and is_known else None


def is_metric(path: Path, name: str, known: Known, report: Report) -> bool:
    """Whether a metric is declared; one with findings of its own is, but nothing can be said of it."""
    if name == XP and name not in known.metrics:
        report.add(path, "nothing gives XP in this catalog", "say what does: `xp: [{on: awards}]`")
    elif name not in known.metrics:
        report.add(path, f"no metric `{name}` is declared", nearest(name, known.metrics))
    return known.metrics.get(name) is not None


def _read_level(path: Path, name: str, number: Decimal, known: Known, report: Report) -> AtLeast | None:
    """A level is reached where it starts."""
    curve = known.levels
    if curve is None:
        report.add(path, "this catalog has no levels", "declare them: `levels: {of: xp, curve: {triangular: 50}}`")
    elif number < 2 or number != int(number):
        report.add(path, f"level {number} is nothing to reach", "everybody begins at level 1: write 2 or more")
    elif curve.starts and number > len(curve.starts):
        what = f"nobody can reach level {number}: the curve ends at level {len(curve.starts)}"
        report.add(path, what, "lengthen the curve, or ask for less")
    elif curve.starts:
        return _start_of(path, int(number), curve, known, report)
    return None


def _start_of(path: Path, level: int, curve: LevelCurve, known: Known, report: Report) -> AtLeast | None:
    at = curve.starts[level - 1]
    written = Decimal(plain_number(at, known.places.get(curve.of, 0)))
    if beyond(path, curve.of, written, known, None, report):
        return None
    return AtLeast(metric=curve.of, at=at, level=level)


def read_threshold(path: Path, name: str, at: int | Decimal, known: Known, report: Report) -> int | None:
    """A threshold in the unit of the metric's value; None when nobody could cross it, or the unit is not known."""
    places = known.places.get(name)
    if at <= 0:
        report.add(path, f"{at} is reached before anything happened", "write a threshold above 0")
    elif beyond(path, name, at, known, None, report):
        return None
    elif places is not None and scaled(at, places) is None:
        said = f"has {places} decimal places" if places else "is a whole number"
        report.add(path, f"{at} is never reached exactly: `{name}` {said}", "round the threshold up")
    else:
        return None if places is None else scaled(at, places)
    return None


def beyond(path: Path, name: str, at: int | Decimal, known: Known, window: Window | None, report: Report) -> bool:
    """Whether a threshold, in the author's unit, lies above all that the metric comes to; it is reported then."""
    places = known.places.get(name) or 0
    most, why = most_of(known.metrics.get(name), known.events, window)
    if Decimal(at).scaleb(places) <= most:
        return False
    shown_most = plain_number(most, places)
    remedy = f"stay at or below {shown_most}" if most > 0 else "loosen what its events are tested for"
    report.add(path, f"nobody can reach {at}: `{name}` {why} {shown_most}", remedy)
    return True


def comparisons(condition: Condition) -> Iterator[AtLeast]:
    """Every comparison in a condition, in reading order."""
    if isinstance(condition, AtLeast):
        yield condition
        return
    for part in condition.of:
        yield from comparisons(part)
