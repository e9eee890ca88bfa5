"""Achievements and ladders: conditions over metrics, and whether anybody can ever meet them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import NUMBER_MAX, WrittenAchievement, WrittenEntry, WrittenLadder, WrittenLook
from schemas.catalog.metrics import RESERVED, Metrics
from schemas.catalog.model import Achievement, All, AtLeast, Category, Condition, Ladder, Step
from schemas.catalog.model import Any as AnyOf
from schemas.catalog.shape import shaped, shown
from schemas.catalog.source import NUMBER
from schemas.catalog.where import scaled
from schemas.state import DISTINCT_MAX

COMPARISON = re.compile(r"\s*([^\s<>=!]+)\s*(>=|<=|==|!=|=|<|>)\s*(\S+)\s*")
PLACEHOLDER = re.compile(r"\{[^{}]*\}")
ROUTES = frozenset(
    {"earned", "categories", "check", "me", "progress", "history", "types", "stats", "leaderboard", "definitions"}
)


class Listed(NamedTuple):
    """An entry of the catalog with its place in the file, wherever it is listed."""

    path: Path
    entry: WrittenEntry


class Known(NamedTuple):
    """What conditions and entries may name.

    Shapes: places is metric -> decimal places of its value, without the metrics and events that have findings.
    """

    metrics: Metrics
    places: Mapping[str, int]
    categories: list[Category] | None


def read_achievements(section: list[Any], known: Known, report: Report) -> tuple[list[Achievement], list[Listed]]:
    found, listed = [], []
    for number, said in enumerate(section):
        path: Path = ("achievements", number)
        written = shaped(WrittenAchievement, said, path, report)
        if written:
            listed.append(Listed(path, written))
            when = read_condition((*path, "when"), written.when, known, report)
            _check_look(path, written, known, (), report)
            if when:
                found.append(Achievement.model_validate({**given(written), "when": when}))
    return found, listed


def read_ladders(section: list[Any], known: Known, report: Report) -> tuple[list[Ladder], list[Listed]]:
    found, listed = [], []
    for number, said in enumerate(section):
        path: Path = ("ladders", number)
        written = shaped(WrittenLadder, said, path, report)
        if written:
            listed += [Listed((*path, "steps", place), step) for place, step in enumerate(written.steps)]
            steps = _read_steps(path, written, known, report)
            _check_ladder(path, written, known, report)
            if len(steps) == len(written.steps):
                found.append(Ladder.model_validate({**given(written), "steps": steps}))
    return found, listed


def given(written: WrittenLook) -> dict[str, Any]:
    """What the author wrote, as attributes of the model."""
    said = {name: getattr(written, name) for name in written.model_fields_set}
    return {**said, "requires": tuple(said["requires"])} if "requires" in said else said


def _read_steps(path: Path, ladder: WrittenLadder, known: Known, report: Report) -> list[Step]:
    steps, reached = [], 0
    for number, step in enumerate(ladder.steps):
        place: Path = (*path, "steps", number, "at")
        at = read_threshold(place, ladder.metric, step.at, known, report)
        if at is not None and at <= reached:
            report.add(
                place, f"the step at {step.at} does not rise above the one before", "sort the steps, each once"
            )
        reached = max(reached, at or 0)
        if at is not None:
            steps.append(Step.model_validate({**given(step), "at": at}))
    return steps


def _check_ladder(path: Path, ladder: WrittenLadder, known: Known, report: Report) -> None:
    if ladder.metric not in known.metrics:
        _unknown_metric((*path, "metric"), ladder.metric, known, report)
    _check_texts(path, ladder, ("{at}",), report)
    for number, step in enumerate(ladder.steps):
        asked = (
            step if step.category or not ladder.category else step.model_copy(update={"category": ladder.category})
        )
        _check_look((*path, "steps", number), asked, known, ("{at}",), report)


def _check_look(path: Path, entry: WrittenEntry, known: Known, holes: tuple[str, ...], report: Report) -> None:
    _check_texts(path, entry, holes, report)
    if entry.key in ROUTES:
        report.add((*path, "key"), f"`{entry.key}` is a word of the API's addresses", "choose another key")
    if known.categories is None:
        return
    names = [category.key for category in known.categories]
    if not entry.category:
        report.add(path, "it has no category, and this catalog lists its categories", nearest("", names))
    elif entry.category not in names:
        report.add((*path, "category"), f"no category `{entry.category}` is listed", nearest(entry.category, names))


def _check_texts(path: Path, look: WrittenLook, holes: tuple[str, ...], report: Report) -> None:
    for name in ("description", "message"):
        for hole in PLACEHOLDER.findall(getattr(look, name)):
            if hole not in holes:
                remedy = "a ladder's texts know `{at}`, other texts none: write the words themselves"
                report.add((*path, name), f"nothing fills `{hole}` here", remedy)


def read_condition(path: Path, said: object, known: Known, report: Report) -> Condition | None:
    """`released >= 10`, or `{all: […]}`, or `{any: […]}`; None after its findings are reported."""
    if isinstance(said, str):
        return _read_comparison(path, said, known, report)
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
    return All(of=whole) if word == "all" else AnyOf(of=whole)


def _read_comparison(path: Path, said: str, known: Known, report: Report) -> AtLeast | None:
    found = COMPARISON.fullmatch(said)
    number = _number(found[3]) if found else None
    if found is None or number is None:
        report.add(path, f"'{said}' is no condition", "write `metric >= number`")
        return None
    metric, op = found[1], found[2]
    if metric not in known.metrics:
        _unknown_metric(path, metric, known, report)
    if op != ">=":
        report.add(
            path,
            f"`{op}` is no comparison of conditions",
            f"write `{metric} >= {found[3]}`: awards are for what was reached",
        )
    at = read_threshold(path, metric, number, known, report)
    return AtLeast(metric=metric, at=at) if at is not None and op == ">=" and known.metrics.get(metric) else None


def _number(text: str) -> Decimal | None:
    return Decimal(text) if NUMBER.fullmatch(text) else None


def _unknown_metric(path: Path, name: str, known: Known, report: Report) -> None:
    if name in RESERVED:
        what = f"this version of Laurel does not know `{name}` in conditions yet"
        report.add(path, what, "leave it out: it is never silently ignored")
    else:
        report.add(path, f"no metric `{name}` is declared", nearest(name, known.metrics))


def read_threshold(path: Path, name: str, at: int | Decimal, known: Known, report: Report) -> int | None:
    """A threshold in the unit of the metric's value; None when nobody could cross it, or the unit is not known."""
    metric, places = known.metrics.get(name), known.places.get(name)
    most = DISTINCT_MAX if metric and metric.kind == "distinct" else NUMBER_MAX
    if at <= 0:
        report.add(path, f"{at} is reached before anything happened", "write a threshold above 0")
    elif at > most:
        report.add(path, f"nobody can reach {at}: `{name}` is counted up to {most}", f"stay at or below {most}")
    elif places is not None and scaled(at, places) is None:
        said = f"has {places} decimal places" if places else "is a whole number"
        report.add(path, f"{at} is never reached exactly: `{name}` {said}", "round the threshold up")
    else:
        return None if places is None else scaled(at, places)
    return None


def check_keys(listed: Iterable[Listed], report: Report) -> None:
    """Every key once."""
    first: dict[str, Listed] = {}
    for each in listed:
        other = first.setdefault(each.entry.key, each)
        if other is not each:
            what = f"the key `{each.entry.key}` is taken by '{other.entry.name}'"
            report.add((*each.path, "key"), what, "a key names one achievement for ever: choose another")


def check_requires(listed: list[Listed], written: set[str], report: Report) -> None:
    """What is required exists, can be earned, and does not require in a circle.

    Shapes: `written` holds every key of the file; an entry with findings is missing in `listed`.
    """
    entries = {each.entry.key: each.entry for each in listed}
    for each in listed:
        for number, name in enumerate(each.entry.requires):
            path = (*each.path, "requires", number)
            if name not in written:
                report.add(path, f"no achievement `{name}` is listed", nearest(name, written))
            elif name in entries and each.entry.is_active and not entries[name].is_active:
                report.add(
                    path, f"`{name}` is not active, so nobody can earn it", "drop it, or make this inactive too"
                )
        circle = _circle(each.entry.key, entries)
        if circle:
            what = "it requires itself: " + " → ".join(circle)
            report.add((*each.path, "requires"), what, "break the circle: nobody could earn any of them")


def _circle(key: str, entries: Mapping[str, WrittenEntry]) -> list[str] | None:
    """The way from an achievement back to itself along `requires`."""
    ways, seen = [[key]], set[str]()
    while ways:
        way = ways.pop()
        for name in entries[way[-1]].requires if way[-1] in entries else []:
            if name == key:
                return [*way, key]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return None
