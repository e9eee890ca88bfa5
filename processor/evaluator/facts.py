"""What the past comes to: the crossings that a replay found, settled as if by the records that crossed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from processor.evaluator.deferral import Deferral, DeferringSettlement
from processor.evaluator.entries import Board, Entry
from processor.evaluator.metrics.each import Instance
from processor.evaluator.rules import Rules
from processor.evaluator.scoped import DirectAward
from processor.evaluator.settlement import Books, is_for_good
from processor.evaluator.telling import Cause
from schemas.outcomes import CatalogReason
from schemas.program import AtLeast
from schemas.replays import ByEvent, Crossing, InPeriod, Threshold
from schemas.state import AWARDS, State, awarded_at
from schemas.zones import moment_of


class FactBooks(Books):
    """What a replay settles by. Every outcome is written whole: they are few beside those of live."""

    def __init__(self, boards: Mapping[str, Board], rules: dict[Board, Rules]) -> None:
        super().__init__(rules, {}, [])
        self.boards = boards

    def plain_unlock(self, entry: Entry, cause: Cause, earned_at: datetime, progress: int | None) -> bytes:
        return self.rules[entry.board].teller(entry).unlocked(cause, earned_at, progress, "", 0)


class FactSettlement(DeferringSettlement):
    """One record's of the past. What it crossed counts, whatever the metric came to since; but what can be lost is
    given only if it stands now. What is held already stays as it is. The deferrals are those of other replays."""

    def __init__(self, books: FactBooks, state: State, cause: Cause, deferrals: Sequence[Deferral] = ()) -> None:
        super().__init__(books, state, cause, deferrals)
        self._boards = books.boards
        self._values: dict[tuple[Board, str], int] = {}

    def settle_past(self, crossings: Iterable[Crossing]) -> None:
        """Crossings of what this program does not have come to nothing."""
        for crossing in crossings:
            board = self._boards.get(crossing.catalog)
            if board is not None:
                FOUND[type(crossing)](self, board, crossing)
        self._conclude()
        self._keep_verdicts()

    def end(self, entry: Entry, version: int) -> None:
        """Take an award back, because a newer version of the catalog ended it."""
        if awarded_at(self._state[AWARDS], entry.spec.number) is not None and not is_for_good(entry):
            self._revoke(entry, [CatalogReason(catalog_version=version)])
            self._conclude()

    def _find_threshold(self, board: Board, crossing: Threshold) -> None:
        self._values[board, crossing.metric] = crossing.value
        waiting = board.waiting.get(crossing.metric, {}).get(crossing.at)
        if waiting is not None:
            self._take_threshold(waiting, moment_of(crossing.crossed_at))

    def _find_period(self, board: Board, crossing: InPeriod) -> None:
        waiting = board.waiting.get(crossing.metric, {}).get(crossing.at)
        if waiting is not None:
            instance = Instance(waiting, crossing.period, crossing.value)
            self._take_instance(instance, moment_of(crossing.crossed_at))

    def _find_award(self, board: Board, crossing: ByEvent) -> None:
        entry = board.entry(crossing.achievement)
        if entry is not None and (entry.spec.revocable == "no" or self._holds(entry)):
            self._take_award(DirectAward(entry, crossing.scope), moment_of(crossing.crossed_at))

    def _earned_now_at(self, entry: Entry, crossed_at: int) -> int | None:
        if not entry.simple or entry.spec.revocable != "no":
            return super()._earned_now_at(entry, crossed_at)
        return crossed_at if awarded_at(self._state[AWARDS], entry.spec.number) is None else None

    def _remember(self, number: int, moment: int) -> None:
        """Live may have crossed it again since."""
        known = awarded_at(self._state[AWARDS], number)
        super()._remember(number, moment if known is None else max(known, moment))

    def _progress(self, entry: Entry) -> int | None:
        """What the metric came to with this record, where the record says it."""
        when = entry.spec.when
        found = self._values.get((entry.board, when.metric)) if isinstance(when, AtLeast) else None
        return super()._progress(entry) if found is None else found


FOUND: dict[type, Callable[[FactSettlement, Board, Any], None]] = {
    Threshold: FactSettlement._find_threshold,
    InPeriod: FactSettlement._find_period,
    ByEvent: FactSettlement._find_award,
}
