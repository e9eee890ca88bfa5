"""Tiers: one achievement that is earned again and again, each time higher."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from schemas.catalog.conditions import LEVEL, Known, is_metric, read_threshold
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WrittenAchievement, WrittenTier
from schemas.catalog.looks import check_face, check_seen, look_of
from schemas.catalog.model import All, AtLeast, Condition, Tier, Tiered

TIER_HOLE = "tier"


def read_tiers(path: Path, written: WrittenAchievement, known: Known, report: Report) -> Tiered | None:
    before = len(report.findings)
    look = {name: said for name, said in look_of(path, written, report).items() if name in Tiered.model_fields}
    _check_conditions(path, written, known, report)
    _check_names(path, [each.tier for each in written.tiers], known, report)
    places = [((*path, "tiers", number), tier) for number, tier in enumerate(written.tiers)]
    tiers = [_read_tier(place, tier, written, known, report) for place, tier in places]
    if len(report.findings) > before or None in tiers:
        return None
    _check_rise(path, tiers, report)
    _check_seen(path, look, written, tiers, known, report)
    return Tiered.model_validate({**look, "conditions": written.conditions, "tiers": tiers})


def _check_conditions(path: Path, written: WrittenAchievement, known: Known, report: Report) -> None:
    if not written.conditions:
        report.add(path, "`tiers` needs `conditions`", "name what they ask for: `conditions: {solved: <metric>}`")
    first: dict[str, str] = {}
    for name, metric in written.conditions.items():
        place = (*path, "conditions", name)
        if first.setdefault(metric, name) != name:
            what = f"`{name}` and `{first[metric]}` ask for the same `{metric}`: only the larger number decides"
            report.warn(place, what, "remove one of them")
        if metric == LEVEL:
            report.add(place, "a tier asks for numbers of a metric, not for levels", "name a metric, or `xp`")
        else:
            is_metric(place, metric, known, report)
        if name == TIER_HOLE:
            report.add(place, f"`{name}` is a word of the language: texts hold the tier's name there", "rename it")
        if not any(name in tier.at for tier in written.tiers):
            report.add(place, f"no tier asks for `{name}`", "give it a number in `at`, or remove it")


def _check_names(path: Path, names: Sequence[str], known: Known, report: Report) -> None:
    """Every tier is one of the catalog's, and they stand in its order."""
    highest = -1
    for number, name in enumerate(names):
        place = (*path, "tiers", number, "tier")
        rank = known.tiers.index(name) if name in known.tiers else None
        if rank is None:
            report.add(place, f"no tier `{name}` is known", nearest(name, known.tiers))
        elif rank <= highest:
            order = " < ".join(known.tiers)
            report.add(place, f"`{name}` does not stand above `{names[number - 1]}`", f"list them rising: {order}")
        highest = max(highest, highest if rank is None else rank)


def _read_tier(
    path: Path, tier: WrittenTier, whole: WrittenAchievement, known: Known, report: Report
) -> Tier | None:
    before = len(report.findings)
    check_face(path, tier, [*whole.conditions, TIER_HOLE], known, report)
    at = {name: _threshold((*path, "at", name), name, said, whole, known, report) for name, said in tier.at.items()}
    look = look_of(path, tier, report)
    if len(report.findings) > before or None in at.values():
        return None
    return Tier.model_validate({**look, "tier": tier.tier, "at": at})


def _threshold(
    path: Path, name: str, said: Any, whole: WrittenAchievement, known: Known, report: Report
) -> int | None:
    if name in whole.conditions:
        return read_threshold(path, whole.conditions[name], said, known, report)
    report.add(path, f"no condition `{name}` is named in `conditions`", nearest(name, whole.conditions))
    return None


def _check_rise(path: Path, tiers: Sequence[Tier | None], report: Report) -> None:
    """No tier asks for less than the one below, and each for more of something."""
    for number, (low, high) in enumerate(pairwise(tiers), start=1):
        if low is None or high is None:
            continue
        place = (*path, "tiers", number)
        lower = [name for name, at in low.at.items() if high.at.get(name, 0) < at]
        if lower:
            what = f"`{high.tier}` asks for less `{lower[0]}` than `{low.tier}` below it"
            report.add((*place, "at"), what, "a later tier asks for at least as much of everything")
        elif high.at == low.at:
            report.add(
                (*place, "at"), f"`{high.tier}` asks for no more than `{low.tier}`", "raise one of its numbers"
            )


def _check_seen(
    path: Path,
    look: dict[str, Any],
    written: WrittenAchievement,
    tiers: Sequence[Tier | None],
    known: Known,
    report: Report,
) -> None:
    for tier in tiers:
        if tier:
            parts = [AtLeast(metric=written.conditions[name], at=at) for name, at in tier.at.items()]
            check_seen(path, look, condition_of(parts), known, report)


def condition_of(parts: Sequence[AtLeast]) -> Condition:
    """All of these; a single one is plain."""
    return parts[0] if len(parts) == 1 else All(of=tuple(parts))
