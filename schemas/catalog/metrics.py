"""Metrics: from what an author wrote to feeds with tests, one way for every kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from schemas.catalog.events import Events
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.idle import check_freezes
from schemas.catalog.language import WrittenFeed, WrittenMetric
from schemas.catalog.model import EventType, Feed, Metric, MetricKind
from schemas.catalog.shape import check_names, shaped
from schemas.catalog.spelling import KEY_PATTERN
from schemas.catalog.where import (
    NUMBERS,
    SINGLE,
    Fed,
    WrittenWhere,
    articled,
    contradictory,
    find_field,
    plain_name,
    read_tests,
    spelled,
)

Metrics = dict[str, Metric | None]  # None: declared, but with findings of its own

KINDS: tuple[MetricKind, ...] = ("count", "sum", "max", "latest", "distinct", "streak")
RESERVED = frozenset({"level", "xp"})  # words of conditions

OPTIONS: dict[str, tuple[MetricKind, ...]] = {
    "of": ("sum", "max", "latest"),
    "by": ("distinct",),
    "normalize": ("distinct",),
    "bucket": ("distinct",),
    "every": ("streak",),
    "grace": ("streak",),
    "freezes": ("streak",),
    "minus": ("count", "sum", "distinct"),
}
NEEDED: dict[MetricKind, str] = {
    "sum": "of",
    "max": "of",
    "latest": "of",
    "distinct": "by",
    "streak": "every",
}


class Usable(NamedTuple):
    """The field types that an option can use."""

    types: tuple[str, ...]
    why: str
    remedy: str


USABLE = {
    "of": Usable(NUMBERS, "numbers are folded", "name an integer or decimal field"),
    "by": Usable(SINGLE, "single values are counted", "name a field with one value"),
    "scope": Usable(("string", "integer"), "a scope is a text or a whole number", "name a string or integer field"),
    "amount": Usable(("integer",), "XP is given in whole numbers", "name an integer field"),
}


def read_metrics(section: dict[str, Any], events: Events, report: Report) -> Metrics:
    check_names(section, KEY_PATTERN, ("metrics",), report)
    for name in sorted(RESERVED & set(section)):
        report.add(("metrics", name), f"`{name}` is a word of the language", "choose another name")
    return {name: read_metric(("metrics", name), said, events, report) for name, said in section.items()}


def read_metric(path: Path, said: object, events: Events, report: Report) -> Metric | None:
    before = len(report.findings)
    written = shaped(WrittenMetric, said, path, report)
    kind = _kind(path, written, report) if written else None
    if written is None or kind is None:
        return None
    _check_options(path, kind, written, report)
    feeds = _feeds(path, kind, written, events, report)
    freezes = found_feeds((*path, "freezes"), written.freezes, events, report)
    for each in (feeds, freezes):
        check_twice(each, report)
    metric = _metric(path, kind, written, feeds, freezes, report)
    _check_fields(path, metric, feeds, report)
    check_freezes((*path, "freezes"), metric.plus, metric.freezes, report)
    return metric if len(report.findings) == before else None


def _kind(path: Path, written: WrittenMetric, report: Report) -> MetricKind | None:
    said = [kind for kind in KINDS if getattr(written, kind)]
    if len(said) == 1:
        return said[0]
    what = f"`{said[0]}` and `{said[1]}` stand in one metric" if said else "the metric does not say what it folds"
    report.add(path, what, "write exactly one of " + ", ".join(f"`{kind}`" for kind in KINDS))
    return None


def _check_options(path: Path, kind: MetricKind, written: WrittenMetric, report: Report) -> None:
    for option, kinds in OPTIONS.items():
        if option in written.model_fields_set and kind not in kinds:
            belongs = " and ".join(f"`{each}`" for each in kinds)
            report.add(
                (*path, option), f"`{option}` means nothing to `{kind}`", f"it belongs to {belongs}: remove it"
            )
    needed = NEEDED.get(kind)
    if needed and not getattr(written, needed):
        sample = "day" if needed == "every" else "data.<field>"
        report.add(path, f"`{kind}` needs `{needed}`", f"add `{needed}: {sample}`")
    if kind == "streak" and written.every not in ("", "day"):
        what = f"this version of Laurel does not know `every: {written.every}` yet"
        report.add((*path, "every"), what, "write `every: day`")


def _feeds(path: Path, kind: MetricKind, written: WrittenMetric, events: Events, report: Report) -> list[Fed]:
    plus: list[WrittenFeed] = getattr(written, kind)
    return [
        *found_feeds((*path, kind), plus, events, report),
        *found_feeds((*path, "minus"), written.minus, events, report, minus=True),
    ]


def found_feeds(
    path: Path, feeds: list[WrittenFeed], events: Events, report: Report, *, minus: bool = False
) -> list[Fed]:
    """The event types of a list, and where each of them stands."""
    places = [((*path, number), feed) for number, feed in enumerate(feeds)]
    return [Fed(place, feed, _find_event(place, feed.type, events, report), minus) for place, feed in places]


def _find_event(path: Path, name: str, events: Events, report: Report) -> EventType | None:
    if name not in events:
        report.add(path, f"no event `{name}` is declared", nearest(name, events))
    return events.get(name)


def check_twice(feeds: Iterable[Fed], report: Report) -> None:
    seen: dict[str, bool] = {}
    for fed in feeds:
        name = fed.feed.type
        if name in seen:
            what = f"`{name}` feeds plus and minus" if seen[name] != fed.minus else f"`{name}` is named twice"
            report.add(fed.path, f"{what}: one event would count twice", "name it once")
        seen[name] = fed.minus


def _metric(
    path: Path, kind: MetricKind, written: WrittenMetric, feeds: list[Fed], freezes: list[Fed], report: Report
) -> Metric:
    read = [(fed.minus, read_feed(path, written.where, fed, report)) for fed in feeds]
    return Metric(
        kind=kind,
        plus=tuple(feed for minus, feed in read if not minus),
        minus=tuple(feed for minus, feed in read if minus),
        of=plain_name(written.of) if written.of else None,
        by=tuple(map(plain_name, written.by)),
        normalize=written.normalize,
        bucket=written.bucket if "bucket" in written.model_fields_set else None,
        every="day" if kind == "streak" else None,
        grace=written.grace if "grace" in written.model_fields_set else 0,
        freezes=tuple(read_feed(path, {}, fed, report) for fed in freezes),
    )


def read_feed(path: Path, where: WrittenWhere, fed: Fed, report: Report) -> Feed:
    """The `where` of the whole goes to every plus feed, and to the minus feeds whose type declares the field."""
    shared = {
        field: tests
        for field, tests in where.items()
        if not fed.minus or (fed.event and plain_name(field) in fed.event.data)
    }
    tests = [
        *read_tests((*path, "where"), shared, fed, report),
        *read_tests((*fed.path, "where"), fed.feed.where, fed, report),
    ]
    if contradictory(tests):
        report.add(fed.path, f"no `{fed.feed.type}` can pass all its tests", "loosen or remove one of them")
    return Feed(type=fed.feed.type, where=tuple(tests))


def _check_fields(path: Path, metric: Metric, feeds: list[Fed], report: Report) -> None:
    """Every type that feeds the metric has the fields it folds, of one type that its kind can fold."""
    for option, names in (("of", [metric.of] if metric.of else []), ("by", list(metric.by))):
        for name in names:
            check_field((*path, option), option, name, feeds, report)
    _check_spread(path, metric, feeds, report)


def check_field(path: Path, option: str, name: str, feeds: list[Fed], report: Report) -> None:
    """Every type declares the field, alike, and it is of a type that this option of the language can use."""
    declared = [(fed, find_field(fed, path, name, report)) for fed in feeds]
    fields = [(fed.feed.type, field) for fed, field in declared if field]
    kinds = {(field.type, field.places) for _, field in fields}
    if len(kinds) > 1:
        said = ", ".join(f"{spelled(field)} in `{event}`" for event, field in fields)
        report.add(path, f"`{name}` is not of one type: {said}", "declare it alike")
    elif fields and fields[0][1].type not in USABLE[option].types:
        report.add(path, f"`{name}` is {articled(fields[0][1])}, and {USABLE[option].why}", USABLE[option].remedy)


def _check_spread(path: Path, metric: Metric, feeds: list[Fed], report: Report) -> None:
    """`bucket` and `normalize` want a field they can work on."""
    found = (fed.event.data.get(name) for fed in feeds if fed.event for name in metric.by)
    types = {field.type for field in found if field}
    if metric.bucket and (len(metric.by) > 1 or types - {"integer"}):
        report.add(
            (*path, "bucket"),
            "`bucket` groups the values of one integer field",
            "remove it, or count by such a field",
        )
    if metric.normalize and types and "string" not in types:
        report.add((*path, "normalize"), "`normalize` works on text, and no field here is a string", "remove it")
