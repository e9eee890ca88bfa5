"""All that is still to be earned, in an order in which it can be earned."""

from __future__ import annotations

import heapq

import msgspec

from progress.standing import Standing
from progress.suggestions import Ranked, Suggestion, by_effort, dependants, suggestion_of


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A place on the way. Shapes: `after` are the references of the steps that come before it."""

    place: int
    achievement: Suggestion
    after: list[str]


def roadmap(standing: Standing, language: str | None = None) -> list[Step]:
    """The closest first, but nothing before what it requires.

    What requires something that is not on the way (secret, inactive, out of season) comes in its turn all the same.
    """
    ordered = in_order(by_effort(standing))
    on_the_way, leads_to = {each.entry.reference for each in ordered}, dependants(standing)
    return [
        Step(
            place=place,
            achievement=suggestion_of(standing, ranked, leads_to, language),
            after=[name for name in ranked.entry.requires if name in on_the_way],
        )
        for place, ranked in enumerate(ordered, start=1)
    ]


def in_order(ranked: list[Ranked]) -> list[Ranked]:
    """Kahn's topological order; of all that is free always the closest."""
    places = {each.entry.reference: place for place, each in enumerate(ranked)}
    awaited = [len({name for name in each.entry.requires if name in places}) for each in ranked]
    waiting: dict[str, list[int]] = {}
    for place, each in enumerate(ranked):
        for name in set(each.entry.requires):
            waiting.setdefault(name, []).append(place)
    free, ordered = [place for place, count in enumerate(awaited) if not count], []
    while free:
        ordered.append(ranked[heapq.heappop(free)])
        for place in waiting.get(ordered[-1].entry.reference, []):
            awaited[place] -= 1
            if not awaited[place]:
                heapq.heappush(free, place)
    return ordered
