"""Awards by the states alone, where dates may be approximate: nobody's past is read.

What was crossed is what the values of now are at or past, at the latest when the metric last moved. That tells who
has earned something only of metrics that never become less.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from processor.replay.excerpt import Aim
from processor.replay.ports import Addressed
from processor.replay.winners import decode_slots, winners_of
from schemas.program import AchievementSpec, CatalogProgram, MetricSpec, Program, comparisons
from schemas.replays import ByEvent, Named, Threshold, Values
from schemas.state import AWARDS, SLOT_OF_TIME, State, awarded_at, fresh_state, storage_of, value_reader
from schemas.zones import day_start, microseconds

LAST_DAY = 2  # of a streak's slots


def why_not(program: Program, aim: Aim) -> str | None:
    """What of this aim the states do not tell; None where they tell all of it."""
    if aim.filling:
        return f"nobody has counted {_listed(aim.filling)} yet, so that the past has to be read"
    if aim.judged:
        return f"whom the new rule of {_listed(aim.judged)} gives an award is known by the past alone"
    for catalog in program.catalogs:
        metrics = {metric.key: metric for metric in catalog.metrics}
        for spec in _wanted(catalog, aim):
            falling = [each.metric for each in comparisons(spec.when) if not metrics[each.metric].only_grows]
            if falling:
                return f"'{spec.reference}' waits for '{falling[0]}', which becomes less, too"
    if winners_of(program, aim) is None:
        return "who has earned it by an event, by a period, or by one of several conditions is in no state"
    return None


class Approximation:
    """Shapes: aim is one that the states tell."""

    def __init__(self, replay: str, program: Program, aim: Aim) -> None:
        self._replay, self._fresh = replay, fresh_state(program.ledger)
        self._known: dict[bytes, int] = {}
        self._catalogs = [(catalog, [*_wanted(catalog, aim)]) for catalog in program.catalogs]
        self._thresholds = [each for catalog, specs in self._catalogs for each in _thresholds(catalog, specs)]

    def of_all(self, rows: Mapping[bytes, bytes | None]) -> Iterator[Addressed]:
        """Of users who were met before only when they have crossed more since."""
        for user, row in rows.items():
            order = None if row is None else self.of(row)
            if order is not None and len(order.crossings) > self._known.get(user, 0):
                self._known[user] = len(order.crossings)
                yield Addressed(user, order)

    def of(self, row: bytes) -> Values | None:
        """What this state says; None where it says nothing. Shapes: row is of whatever version wrote it."""
        slots = decode_slots(row)
        state = slots + self._fresh[len(slots) :]
        crossings: list[Threshold | ByEvent] = [*self._reached(state), *self._collected(state)]
        return Values(replay=self._replay, crossings=crossings) if crossings else None

    def _reached(self, state: State) -> Iterator[Threshold]:
        for catalog, metric, at in self._thresholds:
            value = value_reader(metric)(state, metric.slot) or 0
            if value >= at:
                moved_at = microseconds(_moved_at(state, catalog, metric))
                yield Threshold(catalog=catalog.catalog, metric=metric.key, at=at, value=value, crossed_at=moved_at)

    def _collected(self, state: State) -> Iterator[ByEvent]:
        """Of what asks for nothing but awards that are held: the latest of them."""
        for catalog, specs in self._catalogs:
            numbers = {spec.reference: spec.number for spec in catalog.achievements}
            for spec in specs:
                held = [awarded_at(state[AWARDS], numbers[each]) for each in spec.requires]
                dated = [each for each in held if each is not None]
                if dated and len(dated) == len(held) and not any(comparisons(spec.when)):
                    yield ByEvent(
                        catalog=catalog.catalog, achievement=spec.reference, scope="", crossed_at=max(dated)
                    )


def _wanted(catalog: CatalogProgram, aim: Aim) -> Iterator[AchievementSpec]:
    return (spec for spec in catalog.achievements if (catalog.catalog, spec.reference) in aim.awards)


def _thresholds(
    catalog: CatalogProgram, specs: list[AchievementSpec]
) -> Iterator[tuple[CatalogProgram, MetricSpec, int]]:
    metrics = {metric.key: metric for metric in catalog.metrics}
    asked = {(each.metric, each.at) for spec in specs for each in comparisons(spec.when)}
    return ((catalog, metrics[key], at) for key, at in sorted(asked))


def _moved_at(state: State, catalog: CatalogProgram, metric: MetricSpec) -> datetime:
    """Of a streak the start of its last day."""
    storage = storage_of(metric)
    if storage in SLOT_OF_TIME:
        moved_at: datetime = state[metric.slot + SLOT_OF_TIME[storage]]
        return moved_at
    return day_start(state[metric.slot + LAST_DAY], catalog.timezone)


def _listed(names: Collection[Named]) -> str:
    return ", ".join(f"{catalog}/{name}" for catalog, name in names)
