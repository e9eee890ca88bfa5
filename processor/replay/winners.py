"""Who may have crossed something, by the states of now: nobody else's past is read.

A metric that only grows tells it by its value, a count that may go back by what was ever added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from processor.replay.excerpt import Aim
from schemas.program import AchievementSpec, CatalogProgram, MetricSpec, Program, comparisons, has_choice
from schemas.state import AWARD, AWARDS, LOST, State, value_reader

Reader = Callable[[State, int], int | None]
decode_slots: Callable[[bytes], State] = msgspec.msgpack.Decoder(list[Any]).decode


class AtOrPast(NamedTuple):
    """Shapes: least is the lowest threshold of the metric that anything of the aim waits for."""

    read: Reader
    slot: int
    least: int


class Winners:
    """Tells states by which somebody may have crossed something of the aim.

    Shapes: reached has one for each metric; collections are the numbers of awards that together may be a set.
    """

    def __init__(self, reached: list[AtOrPast], collections: list[frozenset[int]]) -> None:
        self._reached, self._collections = reached, collections

    def among(self, rows: Mapping[bytes, bytes | None]) -> set[bytes]:
        """Hot: every user comes by here."""
        may_be = self._may_be
        return {user for user, row in rows.items() if row is not None and may_be(decode_slots(row))}

    def _may_be(self, state: State) -> bool:
        size = len(state)
        for read, slot, least in self._reached:
            if slot < size and (read(state, slot) or 0) >= least:
                return True
        return bool(self._collections) and self._has_collected(state[AWARDS])

    def _has_collected(self, awards: bytes) -> bool:
        held = {number for number, _, at in AWARD.iter_unpack(awards) if at != LOST}
        return any(wanted <= held for wanted in self._collections)


def winners_of(program: Program, aim: Aim) -> Winners | None:
    """None where everybody's past has to be read, since the states of now do not tell."""
    reached: list[AtOrPast] = []
    collections: list[frozenset[int]] = []
    for catalog in program.catalogs:
        named = {reference for name, reference in aim.awards if name == catalog.catalog}
        specs = [spec for spec in catalog.achievements if spec.reference in named]
        metrics = {metric.key: metric for metric in catalog.metrics}
        if aim.filling or aim.judged or not all(_is_told(spec, metrics) for spec in specs):
            return None
        reached += _reached(specs, metrics)
        collections += _collections(catalog, specs, named)
    return Winners(reached, collections)


def _is_told(spec: AchievementSpec, metrics: dict[str, MetricSpec]) -> bool:
    """Whether a state shows, at any later time, what was crossed once. What one of several conditions gives is left
    to the fold ahead of the decision: live might give it by another one before."""
    bounded = all(_greatest(metrics[each.metric]) for each in comparisons(spec.when))
    return bounded and not spec.on and not has_choice(spec.when)


def _greatest(metric: MetricSpec) -> Reader | None:
    """What reads a bound of all values that a metric ever had; None where a state does not hold one."""
    if metric.every is not None:
        return None
    if metric.kind == "count":
        return _plus
    return value_reader(metric) if metric.only_grows else None


def _plus(state: State, slot: int) -> int:
    plus: int = state[slot]
    return plus


def _reached(specs: list[AchievementSpec], metrics: dict[str, MetricSpec]) -> Iterator[AtOrPast]:
    least: dict[str, int] = {}
    for spec in specs:
        for each in comparisons(spec.when):
            least[each.metric] = min(each.at, least.get(each.metric, each.at))
    for key, at in least.items():
        read = _greatest(metrics[key])
        assert read is not None, "told by its state"
        yield AtOrPast(read, metrics[key].slot, at)


def _collections(
    catalog: CatalogProgram, specs: list[AchievementSpec], named: set[str]
) -> Iterator[frozenset[int]]:
    """What a set asks for that was given before; what it asks for besides is of the aim, and told by its own."""
    numbers = {spec.reference: spec.number for spec in catalog.achievements}
    for spec in specs:
        before = frozenset(numbers[each] for each in spec.requires if each not in named)
        if not any(comparisons(spec.when)) and before:
            yield before
