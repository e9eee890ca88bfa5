"""What achievements ask of each other: keys that exist once, sets with members, and no way in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WrittenEntry
from schemas.catalog.shape import said_in
from schemas.program import WHOLE_CATALOG

Ways = Mapping[str, Sequence[str]]  # key -> the keys it asks for


class Listed(NamedTuple):
    """An entry of the catalog with its place in the file, wherever it is listed.

    Shapes: `said` is what holds for it, with the ladder's words where it has none of its own; `whole` is the
    category it is a set of, None where it is no set.
    """

    path: Path
    entry: WrittenEntry
    said: Mapping[str, Any]
    tiers: Sequence[str] = ()
    whole: str | None = None

    @property
    def is_active(self) -> bool:
        return bool(self.said.get("is_active", True))

    @property
    def counts_in_sets(self) -> bool:
        return self.is_active and not self.said.get("secret") and not self.said.get("window") and not self.whole

    def takes(self, other: Listed) -> bool:
        """Whether this is a set of which the other is a member."""
        return other.counts_in_sets and self.whole in (WHOLE_CATALOG, other.said.get("category", ""))


def check_keys(listed: Iterable[Listed], report: Report) -> None:
    """Every key once."""
    first: dict[str, Listed] = {}
    for each in listed:
        other = first.setdefault(each.entry.key, each)
        if other is not each:
            what = f"the key `{each.entry.key}` is taken by '{other.entry.name}'"
            report.add((*each.path, "key"), what, "a key names one achievement for ever: choose another")


def check_requires(listed: Sequence[Listed], written: set[str], report: Report) -> None:
    """What is required exists and can be earned, sets have members, and nothing asks for itself in a circle.

    Shapes: `written` holds every key of the file; an entry with findings is missing in `listed`.
    """
    entries = {each.entry.key: each for each in listed}
    sets = [each for each in listed if each.whole is not None]
    members = {each.entry.key: [other.entry.key for other in listed if each.takes(other)] for each in sets}
    ways = {key: [*map(key_of, each.entry.requires), *members.get(key, ())] for key, each in entries.items()}
    for each in sets:
        if not members[each.entry.key] and len(entries) == len(written):
            _report_empty(each, report)
    for each in listed:
        _check_required(each, entries, written, report)
        circle = _circle(each.entry.key, ways)
        if circle:
            place = "requires" if each.entry.requires else "all_of"
            what = "it requires itself: " + " → ".join(circle)
            report.add((*each.path, place), what, "break the circle: nobody could earn any of them")


def key_of(reference: str) -> str:
    return reference.partition("/")[0]


def _check_required(each: Listed, entries: Mapping[str, Listed], written: set[str], report: Report) -> None:
    _check_once(each, entries, report)
    for number, reference in enumerate(each.entry.requires):
        path, key, tier = (*each.path, "requires", number), *reference.partition("/")[::2]
        other = entries.get(key)
        if key not in written:
            report.add(path, f"no achievement `{key}` is listed", nearest(key, written))
        elif other and tier and tier not in other.tiers:
            what = f"`{key}` has no tier `{tier}`"
            report.add(path, what, nearest(tier, other.tiers) if other.tiers else f"write `{key}`")
        elif other and each.is_active and not other.is_active:
            report.add(path, f"`{key}` is not active, so nobody can earn it", "drop it, or make this inactive too")


def _check_once(each: Listed, entries: Mapping[str, Listed], report: Report) -> None:
    """A requirement stands once; one that a higher tier contains may be meant."""
    asked = each.entry.requires
    for number, reference in enumerate(asked):
        path = (*each.path, "requires", number)
        higher = next((other for other in asked if _stands_above(other, reference, entries)), None)
        if reference in asked[:number]:
            report.add(path, f"`{reference}` is required twice", "name it once")
        elif higher:
            report.warn(path, f"nobody has `{higher}` without `{reference}`: it asks for nothing more", "remove it")


def _stands_above(reference: str, other: str, entries: Mapping[str, Listed]) -> bool:
    """Whether both are tiers of one achievement, this one the higher."""
    key, tier = reference.partition("/")[::2]
    tiers = entries[key].tiers if key in entries else ()
    lower = ["", *tiers[: tiers.index(tier)]] if tier in tiers else []
    return other in (f"{key}/{each}".rstrip("/") for each in lower)


def _report_empty(each: Listed, report: Report) -> None:
    of = "the catalog" if each.whole == WHOLE_CATALOG else f"category `{each.whole}`"
    remedy = "inactive, secret and windowed ones and other sets do not count: add one that does"
    report.add((*each.path, "all_of"), f"{of} has nothing for the set to take", remedy)


def _circle(key: str, ways: Ways) -> list[str] | None:
    """The way from an achievement back to itself."""
    open_ways, seen = [[key]], set[str]()
    while open_ways:
        way = open_ways.pop()
        for name in ways.get(way[-1], ()):
            if name == key:
                return [*way, key]
            if name not in seen:
                seen.add(name)
                open_ways.append([*way, name])
    return None


def places_in(data: Any) -> dict[str, Path]:
    """Where the threshold of every achievement stands: reference -> path."""
    places: dict[str, Path] = {}
    for number, entry in enumerate(said_in(data, "achievements")):
        key, path = str(entry.get("key")), ("achievements", number)
        places[key] = (*path, "when")
        for place, tier in enumerate(said_in(entry, "tiers")):
            places[f"{key}/{tier.get('tier')}"] = (*path, "tiers", place, "at")
    for number, ladder in enumerate(said_in(data, "ladders")):
        for place, step in enumerate(said_in(ladder, "steps")):
            places[str(step.get("key"))] = ("ladders", number, "steps", place, "at")
    return places
