"""What can be earned where only awards give XP: some wait for XP that nothing but themselves would bring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.catalog.conditions import comparisons
from schemas.catalog.findings import Path, Report
from schemas.catalog.listing import all_achievements, given_xp, is_given_often, members_of
from schemas.catalog.model import Achievement, All, AtLeast, Catalog, Condition
from schemas.catalog.reach import most_given
from schemas.catalog.spelling import NUMBER_MAX
from schemas.program import XP


def check_xp_reach(catalog: Catalog, places: Mapping[str, Path], report: Report) -> None:
    """Nobody has more XP than what gives it without end, or than those awards give that can come before."""
    entries = all_achievements(catalog)
    earned = _earned(catalog, entries)
    most = _most_of_events(catalog) + sum(_most_of_award(catalog, each) for each in earned.values())
    for entry in entries:
        before = most - (_most_of_award(catalog, entry) if entry.reference in earned else 0)
        for each in comparisons(entry.when):
            if each.metric == XP and each.at > before:
                what = f"nobody can reach {each.at}: all awards that can come before give {before} `xp` together"
                remedy = f"stay at or below {before}, or let something else give XP"
                report.add(places.get(entry.reference, ()), what, remedy)


def _most_of_events(catalog: Catalog) -> int:
    given = [most_given(feed) for feed in catalog.xp]
    offered = catalog.challenges.offered if catalog.challenges else []
    return NUMBER_MAX if any(each > 0 for each in (*given, *(each.xp for each in offered))) else 0


def _most_of_award(catalog: Catalog, entry: Achievement) -> int:
    xp = given_xp(catalog, entry)
    return NUMBER_MAX if xp > 0 and is_given_often(entry) else xp


def _earned(catalog: Catalog, entries: list[Achievement]) -> dict[str, Achievement]:
    """Reference -> what can be earned, from nothing on: each with what the earlier ones give.

    What is inactive counts: there may be users who have it.
    """
    lowest = {each.key: each.reference for each in reversed(entries)}
    asked = {each.reference: _asked(entries, each, lowest) for each in entries}
    earned: dict[str, Achievement] = {}
    most, count = _most_of_events(catalog), -1
    while count < len(earned):
        count = len(earned)
        for entry in entries:
            is_free = asked[entry.reference] <= earned.keys() and _can_hold(entry.when, most)
            if entry.reference not in earned and (is_free or not entry.is_active):
                earned[entry.reference] = entry
                most += _most_of_award(catalog, entry)
    return earned


def _asked(entries: Iterable[Achievement], entry: Achievement, lowest: Mapping[str, str]) -> set[str]:
    """References to what must be held first: what it requires, of tiers the lowest, and the members of a set."""
    required = {lowest.get(reference, reference) for reference in entry.requires}
    return required.union(members_of(entries, entry) if entry.all_of else ())


def _can_hold(condition: Condition, most_xp: int) -> bool:
    if isinstance(condition, AtLeast):
        return condition.metric != XP or condition.at <= most_xp
    parts = [_can_hold(part, most_xp) for part in condition.of]
    return all(parts) if isinstance(condition, All) else any(parts)
