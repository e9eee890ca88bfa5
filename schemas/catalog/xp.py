"""XP: the events and awards that give it, and the levels it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from schemas.catalog.conditions import LevelCurve
from schemas.catalog.events import Events
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WrittenLevels, WrittenXp
from schemas.catalog.listing import level_starts
from schemas.catalog.metrics import Metrics, check_field, found_feeds, read_feed
from schemas.catalog.model import Feed, Levels, Metric, XpFeed
from schemas.catalog.shape import shaped
from schemas.catalog.texts import check_texts, read_translations
from schemas.catalog.where import plain_name, scaled
from schemas.program import XP

AWARDS = "awards"
LEVEL_HOLES = ("level",)


class Given(NamedTuple):
    """What gives XP."""

    feeds: tuple[XpFeed, ...] = ()
    by_awards: bool = False


def read_xp(section: list[Any], events: Events, report: Report) -> Given:
    feeds: list[XpFeed] = []
    by_awards = False
    for number, said in enumerate(section):
        written = shaped(WrittenXp, said, ("xp", number), report)
        if written and [each.type for each in written.on] == [AWARDS]:
            _check_awards(("xp", number), written, by_awards, report)
            by_awards = True
        elif written:
            feeds += _read_rule(("xp", number), written, events, report)
    return Given(tuple(feeds), by_awards)


def _check_awards(path: Path, written: WrittenXp, is_known: bool, report: Report) -> None:
    for word in sorted({"amount", "where"} & written.model_fields_set):
        what = f"`{word}` means nothing beside `on: {AWARDS}`"
        report.add((*path, word), what, "an award gives its own `xp`, else its points: remove it")
    if is_known:
        report.add(path, f"`on: {AWARDS}` stands here twice", "write it once")


def _read_rule(path: Path, written: WrittenXp, events: Events, report: Report) -> list[XpFeed]:
    feeds = found_feeds((*path, "on"), written.on, events, report)
    if written.amount is None:
        report.add(path, "the rule does not say how much it gives", "add `amount: 50`, or `amount: data.<field>`")
    of = plain_name(written.amount) if isinstance(written.amount, str) else None
    if of:
        check_field((*path, "amount"), "amount", of, feeds, report)
    amount = 0 if of else written.amount or 0
    read = [read_feed(path, written.where, fed, report) for fed in feeds]
    return [XpFeed(type=feed.type, where=feed.where, amount=amount, of=of) for feed in read]


def with_xp(metrics: Metrics, given: Given, is_given: bool) -> Metrics:
    """The metrics, and XP among them where something gives it: as far as conditions go, a count of its events."""
    if not is_given:
        return metrics
    plus = tuple(Feed(type=feed.type, where=feed.where) for feed in given.feeds)
    return {**metrics, XP: Metric(kind="count", plus=plus)}


def read_levels(
    said: object, metrics: Metrics, places: Mapping[str, int], language: str, report: Report
) -> tuple[Levels | None, LevelCurve | None]:
    """The levels, and their curve: None where there are none, empty where it has findings."""
    if said is None:
        return None, None
    path, before = ("levels",), len(report.findings)
    written = shaped(WrittenLevels, said, path, report)
    if written is None:
        return None, LevelCurve("", ())
    check_texts(path, written, LEVEL_HOLES, language, report)
    _check_measure(written.of, metrics, report)
    starts = _read_starts(written, places.get(written.of), report)
    if len(report.findings) > before or places.get(written.of) is None:
        return None, LevelCurve(written.of, ())
    levels = _levels(written, starts)
    return levels, LevelCurve(levels.of, level_starts(levels, places[levels.of]))


def _check_measure(name: str, metrics: Metrics, report: Report) -> None:
    if name == XP and name not in metrics:
        report.add(("levels", "of"), "nothing gives XP in this catalog", "say what does: `xp: [{on: awards}]`")
    elif name not in metrics:
        report.add(("levels", "of"), f"no metric `{name}` is declared", nearest(name, [*metrics, XP]))


def _read_starts(written: WrittenLevels, places: int | None, report: Report) -> tuple[int, ...]:
    """The starts of a listed curve in the unit of the metric."""
    listed: Sequence[int | Decimal] = written.curve if isinstance(written.curve, list) else ()
    if listed and listed[0] != 0:
        report.add(
            ("levels", "curve", 0), f"level 1 starts at {listed[0]}", "everybody begins there: write 0 first"
        )
    for number, (low, high) in enumerate(pairwise(listed), start=1):
        if high <= low:
            what = f"level {number + 1} starts at {high}, and level {number} at {low}"
            report.add(("levels", "curve", number), what, "every level starts above the one before")
    return tuple(_start(number, start, places or 0, report) for number, start in enumerate(listed))


def _start(number: int, start: int | Decimal, places: int, report: Report) -> int:
    found = scaled(start, places)
    if found is None:
        remedy = "write a whole number" if not places else f"write at most {places} decimal places"
        report.add(("levels", "curve", number), f"{start} is never reached exactly", remedy)
    return found or 0


def _levels(written: WrittenLevels, starts: tuple[int, ...]) -> Levels:
    triangular = None if starts else written.curve["triangular"]
    return Levels(
        of=written.of,
        triangular=triangular,
        starts=starts,
        name=written.name,
        description=written.description,
        message=written.message,
        translations=read_translations(written.translations),
    )
