"""The header: what holds for a whole catalog, and whether it names what there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import available_timezones

from schemas.catalog.events import Events
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WrittenHeader
from schemas.catalog.metrics import Metrics
from schemas.catalog.model import Category
from schemas.catalog.shape import shaped
from schemas.catalog.spelling import ROUTES
from schemas.catalog.texts import check_language
from schemas.zones import find_zone

ZONE_REMEDY = "write an IANA name in the form Area/City, as `Europe/Paris`, or `UTC`"


def read_header(data: dict[str, Any], sections: Iterable[str], report: Report) -> WrittenHeader | None:
    said = {name: value for name, value in data.items() if name not in sections}
    return shaped(WrittenHeader, said, (), report)


def categories_of(header: WrittenHeader | None) -> list[Category] | None:
    if header is None or "categories" not in header.model_fields_set:
        return None
    return [
        Category(
            key=each.key,
            title=each.title,
            translations={language: said.title for language, said in each.translations.items()},
        )
        for each in header.categories
    ]


def repartitioned(header: WrittenHeader) -> tuple[str, ...]:
    return tuple(sorted(topic for topic, said in header.topics.items() if said.repartition))


def check_header(header: WrittenHeader | None, events: Events, metrics: Metrics, report: Report) -> None:
    if header is None:
        return
    if find_zone(header.timezone) is None:
        what = f"'{header.timezone}' is no time zone"
        report.add(("timezone",), what, nearest(header.timezone, available_timezones(), ZONE_REMEDY))
    _check_headline(header.headline_streak, metrics, report)
    _check_categories(header, report)
    _check_tiers(header.tiers, report)
    _check_topics(header, events, report)


def _check_headline(name: str, metrics: Metrics, report: Report) -> None:
    if not name:
        return
    streaks = [key for key, metric in metrics.items() if metric and metric.kind == "streak"]
    if name not in metrics:
        report.add(("headline_streak",), f"no metric `{name}` is declared", nearest(name, streaks))
    elif metrics[name] and name not in streaks:
        report.add(("headline_streak",), f"`{name}` is no streak", nearest(name, streaks))


def _check_categories(header: WrittenHeader, report: Report) -> None:
    _check_once([each.key for each in header.categories], ("categories",), report)
    for number, each in enumerate(header.categories):
        for tag in each.translations:
            check_language(("categories", number, "translations", tag), tag, header.default_language, report)


def _check_tiers(tiers: Sequence[str], report: Report) -> None:
    _check_once(tiers, ("tiers",), report)
    for number, name in enumerate(tiers):
        if name in ROUTES:
            what = f"`{name}` is a word of the API's addresses"
            report.add(("tiers", number), what, "call the tier something else")


def _check_once(names: Sequence[str], path: Path, report: Report) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            report.add((*path, number), f"`{name}` is listed twice", "list it once")


def _check_topics(header: WrittenHeader, events: Events, report: Report) -> None:
    topics = {event.topic for event in events.values() if event and event.topic}
    if None in events.values():
        return
    for name in header.topics:
        if name not in topics:
            report.add(("topics", name), f"no event is published on `{name}`", nearest(name, topics))
