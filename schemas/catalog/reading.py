"""From a catalog's text to the catalog, or to everything that must be mended first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.catalog.achievements import read_achievements
from schemas.catalog.attainment import check_xp_reach
from schemas.catalog.challenges import read_challenges
from schemas.catalog.conditions import Known
from schemas.catalog.events import Events, read_events, with_derived
from schemas.catalog.findings import Finding, RefusedCatalog, Report, in_order
from schemas.catalog.header import categories_of, check_header, read_header, repartitioned
from schemas.catalog.ladders import read_ladders
from schemas.catalog.language import WrittenHeader
from schemas.catalog.metrics import Metrics, read_metrics
from schemas.catalog.model import LANGUAGE, POINTS_BY_RARITY, TIERS, Catalog
from schemas.catalog.requirements import check_keys, check_requires, places_in
from schemas.catalog.shape import said_in, section, shown
from schemas.catalog.source import Source
from schemas.catalog.xp import read_levels, read_xp, with_xp
from schemas.program import XP

SECTIONS = {
    "events": dict,
    "metrics": dict,
    "achievements": list,
    "ladders": list,
    "xp": list,
    "levels": dict,
    "challenges": dict,
    "examples": list,  # not judged here: `laurel catalog test` reads and runs them
}


class Judged(NamedTuple):
    """A catalog, and what reads well in it but was hardly meant."""

    catalog: Catalog
    warnings: tuple[Finding, ...]


def read_catalog(text: str, name: str) -> Catalog:
    """The catalog of a YAML text; `name` is its file's, for the findings. Raises: as `judge_catalog`."""
    return judge_catalog(text, name).catalog


def judge_catalog(text: str, name: str) -> Judged:
    """The catalog, and what to tell its author.

    Raises: RefusedCatalog, a BadCatalog with every finding, its line and its remedy.
    """
    source = Source(text, name)
    if not isinstance(source.data, dict):
        source.report.add((), f"the file holds {shown(source.data)}, not a catalog", "begin with `catalog: <name>`")
        raise RefusedCatalog(source.report.findings)
    catalog = assemble(source.data, source.report)
    if catalog is not None:
        check_xp_reach(catalog, places_in(source.data), source.report)
    if catalog is None or source.report.findings:
        raise RefusedCatalog(source.report.findings)
    return Judged(catalog, in_order(source.report.warnings))


def assemble(data: dict[str, Any], report: Report) -> Catalog | None:
    """Reads every section, also when an earlier one has findings, so that all are told at once."""
    said = sections_of(data, report)
    header = read_header(data, SECTIONS, report)
    events = read_events(said.get("events", {}), report)
    known, worth = read_known(header, events, said, report)
    entries = read_entries(data, said, known, report)
    challenges = read_challenges(said.get("challenges"), known, report)
    check_header(header, events, known.metrics, report)
    if header is None or report.findings:
        return None
    metrics = {key: metric for key, metric in known.metrics.items() if key != XP}
    parts = {"categories": known.categories, "events": events, "metrics": metrics, "challenges": challenges}
    return Catalog.model_validate({**words_of(header), **parts, **entries, **worth})


def sections_of(data: dict[str, Any], report: Report) -> dict[str, Any]:
    """The sections that are written, each of the shape that it should have."""
    written = {name: kind for name, kind in SECTIONS.items() if data.get(name) is not None}
    return {name: section(data, name, kind, report) for name, kind in written.items()}


def read_known(
    header: WrittenHeader | None, events: Events, said: Mapping[str, Any], report: Report
) -> tuple[Known, dict[str, Any]]:
    """All that achievements and challenges may name; and what gives XP and levels, as words of the catalog."""
    known_events = with_derived(events, said.get("events", {}), report)
    given = read_xp(said.get("xp", []), known_events, report)
    declared = read_metrics(said.get("metrics", {}), known_events, report)
    metrics = with_xp(declared, given, is_given="xp" in said or "challenges" in said)
    places = decimal_places(metrics, known_events)
    language = header.default_language if header else LANGUAGE
    levels, curve = read_levels(said.get("levels"), metrics, places, language, report)
    known = Known(
        events=known_events,
        metrics=metrics,
        places=places,
        categories=categories_of(header),
        tiers=header.tiers if header else TIERS,
        levels=curve,
        xp_from_awards=given.by_awards,
        language=language,
    )
    return known, {"xp": given.feeds, "xp_from_awards": given.by_awards, "levels": levels}


def read_entries(data: dict[str, Any], said: Mapping[str, Any], known: Known, report: Report) -> dict[str, Any]:
    """Achievements and ladders, and what they ask of each other."""
    achievements, entries = read_achievements(said.get("achievements", []), known, report)
    ladders, steps = read_ladders(said.get("ladders", []), known, report)
    check_keys([*entries, *steps], report)
    check_requires([*entries, *steps], written_keys(data), report)
    return {"achievements": achievements, "ladders": ladders}


def words_of(header: WrittenHeader) -> dict[str, Any]:
    return {
        "catalog": header.catalog,
        "version": header.version,
        "timezone": header.timezone,
        "headline_streak": header.headline_streak or None,
        "points_by_rarity": {**POINTS_BY_RARITY, **{str(name): n for name, n in header.points_by_rarity.items()}},
        "default_language": header.default_language,
        "tiers": tuple(header.tiers),
        "repartition": repartitioned(header),
    }


def written_keys(data: dict[str, Any]) -> set[str]:
    """The keys of all entries, those included whose other words have findings."""
    steps = [step for ladder in said_in(data, "ladders") for step in said_in(ladder, "steps")]
    return {str(each["key"]) for each in [*said_in(data, "achievements"), *steps] if "key" in each}


def decimal_places(metrics: Metrics, events: Events) -> dict[str, int]:
    """Metric -> decimal places of its value: those of the field it folds. Nothing of what has findings."""
    places = {XP: 0}
    for name, metric in metrics.items():
        event = events.get(metric.plus[0].type) if metric and metric.plus else None
        if metric and event:
            places[name] = event.data[metric.of].places if metric.of else 0
    return places
