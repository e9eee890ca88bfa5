"""From a catalog's text to the catalog, or to everything that must be mended first."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from schemas.catalog.achievements import Known, check_keys, check_requires, read_achievements, read_ladders
from schemas.catalog.events import Events, read_events, with_derived
from schemas.catalog.findings import RefusedCatalog, Report, nearest
from schemas.catalog.language import WrittenHeader
from schemas.catalog.metrics import Metrics, read_metrics
from schemas.catalog.model import POINTS_BY_RARITY, Catalog, Category
from schemas.catalog.shape import said_in, section, shaped, shown
from schemas.catalog.source import Source
from schemas.zones import find_zone

SECTIONS = {"events": dict, "metrics": dict, "achievements": list, "ladders": list}


def read_catalog(text: str, name: str) -> Catalog:
    """The catalog of a YAML text; `name` is its file's, for the findings.

    Raises: RefusedCatalog, a BadCatalog with every finding, its line and its remedy.
    """
    source = Source(text, name)
    if not isinstance(source.data, dict):
        source.report.add((), f"the file holds {shown(source.data)}, not a catalog", "begin with `catalog: <name>`")
        raise RefusedCatalog(source.report.findings)
    catalog = assemble(source.data, source.report)
    if catalog is None or source.report.findings:
        raise RefusedCatalog(source.report.findings)
    return catalog


def assemble(data: dict[str, Any], report: Report) -> Catalog | None:
    """Reads every section, also when an earlier one has findings, so that all are told at once."""
    header = read_header(data, report)
    said_events = section(data, "events", dict, report)
    events = read_events(said_events, report)
    known_events = with_derived(events, said_events, report)
    metrics = read_metrics(section(data, "metrics", dict, report), known_events, report)
    known = Known(metrics, decimal_places(metrics, known_events), categories_of(header))
    achievements, entries = read_achievements(section(data, "achievements", list, report), known, report)
    ladders, steps = read_ladders(section(data, "ladders", list, report), known, report)
    check_keys([*entries, *steps], report)
    check_requires([*entries, *steps], written_keys(data), report)
    check_header(header, metrics, report)
    if header is None or report.findings:
        return None
    return Catalog(
        catalog=header.catalog,
        version=header.version,
        timezone=header.timezone,
        headline_streak=header.headline_streak or None,
        points_by_rarity={**POINTS_BY_RARITY, **{str(name): n for name, n in header.points_by_rarity.items()}},
        categories=known.categories,
        events={key: event for key, event in events.items() if event},
        metrics={key: metric for key, metric in metrics.items() if metric},
        achievements=achievements,
        ladders=ladders,
    )


def read_header(data: dict[str, Any], report: Report) -> WrittenHeader | None:
    said = {name: value for name, value in data.items() if name not in SECTIONS}
    return shaped(WrittenHeader, said, (), report)


def written_keys(data: dict[str, Any]) -> set[str]:
    """The keys of all entries, those included whose other words have findings."""
    steps = [step for ladder in said_in(data, "ladders") for step in said_in(ladder, "steps")]
    return {str(each["key"]) for each in [*said_in(data, "achievements"), *steps] if "key" in each}


def decimal_places(metrics: Metrics, events: Events) -> dict[str, int]:
    """Metric -> decimal places of its value: those of the field it folds. Nothing of what has findings."""
    places = {}
    for name, metric in metrics.items():
        event = events.get(metric.plus[0].type) if metric else None
        if metric and event:
            places[name] = event.data[metric.of].places if metric.of else 0
    return places


def categories_of(header: WrittenHeader | None) -> list[Category] | None:
    if header is None or "categories" not in header.model_fields_set:
        return None
    return [Category(key=each.key, title=each.title) for each in header.categories]


def check_header(header: WrittenHeader | None, metrics: Metrics, report: Report) -> None:
    if header is None:
        return
    if find_zone(header.timezone) is None:
        report.add(
            ("timezone",), f"'{header.timezone}' is no time zone", nearest(header.timezone, available_timezones())
        )
    _check_headline(header.headline_streak, metrics, report)
    _check_categories(header, report)


def _check_headline(name: str, metrics: Metrics, report: Report) -> None:
    if not name:
        return
    streaks = [key for key, metric in metrics.items() if metric and metric.kind == "streak"]
    if name not in metrics:
        report.add(("headline_streak",), f"no metric `{name}` is declared", nearest(name, streaks))
    elif metrics[name] and name not in streaks:
        report.add(("headline_streak",), f"`{name}` is no streak", nearest(name, streaks))


def _check_categories(header: WrittenHeader, report: Report) -> None:
    seen: set[str] = set()
    for number, each in enumerate(header.categories):
        if each.key in seen:
            report.add(("categories", number, "key"), f"`{each.key}` is listed twice", "list it once")
        seen.add(each.key)
