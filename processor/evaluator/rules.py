"""What a catalog has beyond thresholds: XP, levels, awards that may be lost."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime

from processor.evaluator.entries import Board, Entry, Waiting
from processor.evaluator.filling import Filling
from processor.evaluator.metrics import Thresholds, xp
from processor.evaluator.outcomes import LIVE, Occasion
from processor.evaluator.revocation import Falling, Standing, broken, falling
from processor.evaluator.telling import AwardTeller, Fields
from schemas.program import XP, AchievementSpec, CatalogProgram, MetricSpec
from schemas.state import State, value_reader


def is_plain(catalog: CatalogProgram) -> bool:
    """Whether thresholds, and what requires what, are all there is."""
    return catalog.levels is None and catalog.challenges is None and all(map(_is_plain, catalog.achievements))


def _is_plain(spec: AchievementSpec) -> bool:
    return spec.revocable == "no" and not (spec.xp or spec.context or spec.on or spec.scopes is not None)


class Rules:
    """The rules of one catalog, by its board. Shapes: filling maps metrics to what fills them."""

    def __init__(
        self,
        catalog: CatalogProgram,
        board: Board,
        fields: Fields,
        filling: Mapping[str, Filling],
        occasion: Occasion = LIVE,
    ) -> None:
        self._catalog, self._fields, self._occasion = catalog, fields, occasion
        self.metrics = metrics = {metric.key: metric for metric in catalog.metrics}
        self._numbers = {spec.reference: spec.number for spec in catalog.achievements}
        has_xp = XP in metrics and XP not in board.idle
        self.experience = Experience(metrics[XP], board, filling.get(XP)) if has_xp else None
        self.levels = Levels(catalog, metrics, board.place_of_levels) if catalog.levels is not None else None
        self._standings: dict[Entry, Standing] = {}  # made when first asked for: most are never
        self._tellers: dict[Entry, AwardTeller] = {}

    def standing(self, entry: Entry) -> Standing:
        if entry not in self._standings:
            self._standings[entry] = Standing(entry, self.metrics, self._numbers)
        return self._standings[entry]

    def teller(self, entry: Entry) -> AwardTeller:
        if entry not in self._tellers:
            self._tellers[entry] = AwardTeller(self._catalog, entry.spec, self._fields, self._occasion)
        return self._tellers[entry]


class Experience:
    """The XP of a catalog's users, and what hangs on it."""

    def __init__(self, metric: MetricSpec, board: Board, filling: Filling | None) -> None:
        self._slot, self._filling = metric.slot, filling
        self._give = xp.giver(metric.slot, Thresholds(board.waiting[XP]))
        self._hanging: list[Falling] = falling(board.entries).get(XP, [])

    def give(self, state: State, amount: int, at: datetime) -> Sequence[tuple[Waiting, datetime]]:
        """Returns what is crossed."""
        if self._filling is not None:
            self._filling.begin(state)
        return self._give(state, amount, at) or ()

    def take_back(self, state: State, amount: int, at: datetime) -> list[Entry]:
        """Returns what may be lost."""
        if self._filling is not None:
            self._filling.begin(state)
        before = xp.value_of(state, self._slot)
        xp.take_back(state, self._slot, amount, at)
        return broken(self._hanging, before, xp.value_of(state, self._slot))


class Levels:
    """The levels of a catalog's users. Shapes: place is that of their template."""

    def __init__(self, catalog: CatalogProgram, metrics: dict[str, MetricSpec], place: int) -> None:
        assert catalog.levels is not None
        metric = metrics[catalog.levels.of]
        self._starts, self.slot = catalog.levels.starts, catalog.levels.slot
        self._read, self._metric_slot = value_reader(metric), metric.slot
        self.place = place

    def value(self, state: State) -> int:
        return self._read(state, self._metric_slot) or 0

    def level(self, state: State) -> int:
        return bisect_right(self._starts, self.value(state))

    def told(self, state: State) -> int:
        """The highest that the user was told of; level 1 never is."""
        return state[self.slot] or 1
