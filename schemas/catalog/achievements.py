"""Achievements: the ways in which one is earned, and what stands beside each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.catalog.conditions import Known, read_condition
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WAYS, WrittenAchievement
from schemas.catalog.looks import check_entry, check_face, check_seen, look_of
from schemas.catalog.metrics import check_field, check_twice, found_feeds, read_feed
from schemas.catalog.model import Achievement, Tiered
from schemas.catalog.requirements import Listed
from schemas.catalog.shape import shaped
from schemas.catalog.tiers import TIER_HOLE, read_tiers
from schemas.catalog.where import find_field, plain_name
from schemas.program import WHOLE_CATALOG

Entry = Achievement | Tiered

TAKES: dict[str, tuple[str, ...]] = {  # the ways of earning that know a word
    "conditions": ("tiers",),
    "where": ("on",),
    "scope": ("on",),
    "metadata": ("on",),
    "context": ("when", "tiers"),
    "window": ("when", "tiers"),
    "requires": ("when", "tiers"),
    "revocable": ("when", "tiers", "all_of"),
}


def read_achievements(section: list[Any], known: Known, report: Report) -> tuple[list[Entry], list[Listed]]:
    found, listed = [], []
    for number, said in enumerate(section):
        path: Path = ("achievements", number)
        written = shaped(WrittenAchievement, said, path, report)
        if written:
            listed.append(_listed(path, written))
            entry = read_achievement(path, written, known, report)
            if entry:
                found.append(entry)
    return found, listed


def _listed(path: Path, written: WrittenAchievement) -> Listed:
    said = {name: getattr(written, name) for name in written.model_fields_set}
    return Listed(path, written, said, [each.tier for each in written.tiers], written.all_of or None)


def read_achievement(path: Path, written: WrittenAchievement, known: Known, report: Report) -> Entry | None:
    before = len(report.findings)
    check_entry(path, written, written.category, known, report)
    holes = [*written.metadata, *written.conditions, *([TIER_HOLE] if written.tiers else [])]
    check_face(path, written, holes, known, report)
    way = _way(path, written, report)
    if way is None:
        return None
    _check_words(path, way, written, report)
    entry = READERS[way](path, written, known, report)
    return entry if len(report.findings) == before else None


def _way(path: Path, written: WrittenAchievement, report: Report) -> str | None:
    said = [way for way in WAYS if way in written.model_fields_set]
    if len(said) == 1:
        return said[0]
    if said:
        what = f"`{said[0]}` and `{said[1]}` stand in one achievement"
        report.add((*path, said[1]), what, "an achievement is earned in one way: keep one, or make it two")
    else:
        report.add((*path, "when"), "`when` is missing", "add `when: …`, or another way: `tiers`, `on`, `all_of`")
    return None


def _check_words(path: Path, way: str, written: WrittenAchievement, report: Report) -> None:
    for word, ways in TAKES.items():
        if word in written.model_fields_set and way not in ways:
            belongs = " and ".join(f"`{each}`" for each in ways)
            report.add(
                (*path, word), f"`{word}` means nothing beside `{way}`", f"it belongs to {belongs}: remove it"
            )


def _read_when(path: Path, written: WrittenAchievement, known: Known, report: Report) -> Entry | None:
    look = look_of(path, written, report)
    condition = read_condition((*path, "when"), written.when, known, report)
    if condition is None:
        return None
    check_seen(path, look, condition, known, report)
    return Achievement.model_validate({**look, "when": condition})


def _read_on(path: Path, written: WrittenAchievement, known: Known, report: Report) -> Entry | None:
    """Straight from an event: every type that gives the award has the fields that are told of it."""
    feeds = found_feeds((*path, "on"), written.on, known.events, report)
    check_twice(feeds, report)
    on = tuple(read_feed(path, written.where, fed, report) for fed in feeds)
    if written.scope:
        check_field((*path, "scope"), "scope", plain_name(written.scope), feeds, report)
    for name, field in written.metadata.items():
        for fed in feeds:
            find_field(fed, (*path, "metadata", name), field, report)
    return Achievement.model_validate({**look_of(path, written, report), "on": on})


def _read_set(path: Path, written: WrittenAchievement, known: Known, report: Report) -> Entry | None:
    names = [each.key for each in known.categories or ()]
    if known.categories is not None and written.all_of not in (WHOLE_CATALOG, *names):
        what = f"no category `{written.all_of}` is listed"
        report.add((*path, "all_of", "category"), what, nearest(written.all_of, names))
    return Achievement.model_validate(look_of(path, written, report))


READERS: dict[str, Callable[[Path, WrittenAchievement, Known, Report], Entry | None]] = {
    "when": _read_when,
    "tiers": read_tiers,
    "on": _read_on,
    "all_of": _read_set,
}
