"""A version and the one before it: what must not change under one number, and what its author should know of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from schemas.catalog.conditions import comparisons
from schemas.catalog.findings import Finding, Path, Report
from schemas.catalog.listing import all_achievements, places_of, plain_number
from schemas.catalog.meaning import catalog_hash
from schemas.catalog.model import Achievement, Catalog
from schemas.catalog.requirements import places_in
from schemas.catalog.source import Source


class Succession(NamedTuple):
    """What is said about a new version: findings must be mended, warnings only be meant."""

    findings: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()


class Lowered(NamedTuple):
    """A threshold that came down."""

    metric: str
    before: Decimal
    now: Decimal


def follow(old: Catalog, new: Catalog, text: str, name: str) -> Succession:
    """How a catalog, read from this text of a file of this name, follows the version before it."""
    source = Source(text, name)
    findings, warnings = Report(name, source.lines), Report(name, source.lines)
    if old.catalog != new.catalog:
        what = f"it is called `{new.catalog}`, and the version before it `{old.catalog}`"
        findings.add(("catalog",), what, "a catalog keeps its key for ever: compare versions of one")
    else:
        _check_version(old, new, findings)
        _tell_changes(old, new, places_in(source.data), warnings)
    return Succession(tuple(findings.findings), tuple(warnings.findings))


def _check_version(old: Catalog, new: Catalog, report: Report) -> None:
    is_other = catalog_hash(new.model_copy(update={"version": old.version})) != catalog_hash(old)
    if new.version < old.version:
        what = f"version {new.version} lies behind version {old.version}"
        report.add(("version",), what, f"write `version: {old.version + is_other}`")
    elif new.version == old.version and is_other:
        what = f"version {old.version} has other content already"
        report.add(("version",), what, f"write `version: {old.version + 1}`")


def _tell_changes(old: Catalog, new: Catalog, places: Mapping[str, Path], report: Report) -> None:
    listed = {each.reference: each for each in all_achievements(new)}
    for before in all_achievements(old):
        now = listed.get(before.reference)
        if now is None:
            what = f"`{before.reference}` of version {old.version} is not listed any more"
            report.add((), what, "who has it keeps it, nobody else sees it: `is_active: false` would keep it shown")
            continue
        for fall in lowered(asked(old, before), asked(new, now)):
            what = f"`{now.reference}` asks for {fall.now} {fall.metric}, {fall.before} in version {old.version}"
            remedy = (
                "who is past that already gets it in a replay only; a key of its own keeps the old award as it was"
            )
            report.add(places.get(now.reference, ()), what, remedy)


def lowered(before: Mapping[str, Decimal], now: Mapping[str, Decimal]) -> Iterator[Lowered]:
    """What both ask for, and the later one less of."""
    for metric, at in before.items():
        if now.get(metric, at) < at:
            yield Lowered(metric, at, now[metric])


def asked(catalog: Catalog, entry: Achievement) -> dict[str, Decimal]:
    """Metric -> the least that is asked of it, as an author writes it."""
    found: dict[str, Decimal] = {}
    for each in comparisons(entry.when):
        at = Decimal(plain_number(each.at, places_of(catalog, each.metric)))
        found[each.metric] = min(at, found.get(each.metric, at))
    return found
