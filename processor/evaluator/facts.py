"""What the past comes to: the crossings that a replay found, settled as if by the records that crossed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from processor.evaluator.deferral import Deferral, DeferringSettlement, waiting_for
from processor.evaluator.entries import Board, Entry
from processor.evaluator.metrics.each import Instance
from processor.evaluator.outcomes import Template
from processor.evaluator.rules import Rules
from processor.evaluator.scoped import DirectAward, has_scope, scopes_slot, without_scope
from processor.evaluator.settlement import Books
from processor.evaluator.telling import Cause
from schemas.outcomes import CatalogReason, Reason
from schemas.program import AtLeast
from schemas.replays import ByEvent, Crossing, Fact, InPeriod, LostScope, Named, Threshold
from schemas.state import AWARD, AWARDS, LOST, State, award_of, awarded_at, with_loss, without_award
from schemas.zones import moment_of


class FactBooks(Books):
    """What a replay settles by."""

    def __init__(self, boards: Mapping[str, Board], rules: dict[Board, Rules], templates: list[Template]) -> None:
        super().__init__(rules, {}, templates)
        self.boards = boards


class Known(NamedTuple):
    """What is known of the user's other records.

    Shapes: judged are awards that one of them gave. No other record gives them, whatever is held by now. presumed
    are awards that live found one of them to give, knowing nothing of what was crossed before activate: a record
    ahead of that one gives them if all that it takes was crossed by then. later are thresholds that a later record
    crosses; where one does so once more, what it gave and can be lost was lost in between.
    """

    judged: Collection[Named] = ()
    presumed: Collection[Named] = ()
    later: Collection[Threshold] = ()


NOTHING_KNOWN = Known()


class FactSettlement(DeferringSettlement):
    """One record's of the past. What it crossed counts, whatever the metric came to since; but what can be lost is
    given only if it stands now. What is held already stays as it is. The deferrals are those of other replays.
    """

    def __init__(
        self,
        books: FactBooks,
        state: State,
        cause: Cause,
        deferrals: Sequence[Deferral] = (),
        known: Known = NOTHING_KNOWN,
    ) -> None:
        super().__init__(books, state, cause, deferrals)
        self._boards = boards = books.boards
        self._known = known
        self._again = {entry for each in known.later for entry in _lost_below(boards, each)}
        self._judged, self._presumed = entries_of(boards, known.judged), entries_of(boards, known.presumed)
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
        """Take an award back, because a newer version ended it; unless it was earned by that one since."""
        if self._is_held(entry) and not self._is_earned_anew(entry):
            self._losses.revoke(entry, [CatalogReason(catalog_version=version)])
            self._conclude()

    def end_scopes(self, entry: Entry, version: int, scopes: Iterable[LostScope]) -> None:
        """The same of single scopes; with the last one the award itself goes."""
        state, slot = self._state, scopes_slot(entry)
        reasons: list[Reason] = [CatalogReason(catalog_version=version)]
        lost = [each for each in scopes if self._is_held(entry) and has_scope(state[slot], each.scope)]
        for each in lost:
            state[slot] = without_scope(state[slot], each.scope)
            told = self._rules(entry).teller(entry)
            earned_at = moment_of(each.earned_at)
            self.told.append(told.revoked(self._cause, earned_at, each.n, reasons, each.scope))
            self._losses.take_xp_back(entry)
        if lost:
            self._count_loss(entry, reasons)
            self._conclude()

    def _count_loss(self, entry: Entry, reasons: list[Reason]) -> None:
        state, number = self._state, entry.spec.number
        if state[scopes_slot(entry)]:
            state[AWARDS] = with_loss(state[AWARDS], number)
            return
        self._losses.note(entry, reasons)
        state[AWARDS] = without_award(state[AWARDS], number)
        self._losses.let_hang(entry.dependants)

    def _is_held(self, entry: Entry) -> bool:
        return awarded_at(self._state[AWARDS], entry.spec.number) is not None

    def _is_earned_anew(self, entry: Entry) -> bool:
        can_be_earned = entry.board.entry(entry.spec.reference) is entry and not entry.spec.on
        standing = self._rules(entry).standing(entry)
        return can_be_earned and standing.holds(self._state) and not standing.lost_requirements(self._state)

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
        if entry is None or self._lacks_something(entry):
            return
        lost = crossing.lost or entry in self._again or (entry.spec.revocable != "no" and not self._holds(entry))
        self._count_losses(entry, crossing.n + lost)
        if not lost:
            self._take_award(DirectAward(entry, crossing.scope), moment_of(crossing.crossed_at))

    def _lacks_something(self, entry: Entry) -> bool:
        """What it requires was not known to live."""
        return entry in self._presumed and self._rules(entry).standing(entry).never_earned(self._state)

    def _count_losses(self, entry: Entry, n: int) -> None:
        """Of an award that nobody was told of."""
        if n and not entry.was_earned(self._state[AWARDS]) and self._deferral_of(entry) is None:
            self._state[AWARDS] += AWARD.pack(entry.spec.number, n, LOST)

    def _lose_untold(self, entry: Entry) -> None:
        """Count it as lost, unless it is held: then live has told what became of it."""
        state, number = self._state, entry.spec.number
        if self._is_held(entry):
            return
        if award_of(state[AWARDS], number) is None:
            self._count_losses(entry, 1)
        else:
            state[AWARDS] = without_award(state[AWARDS], number)

    def _earned_now_at(self, entry: Entry, crossed_at: int) -> int | None:
        if entry in self._judged:
            return None
        if entry in self._presumed:
            return None if self._is_held(entry) else entry.holds_since(self._state_by_then())
        if entry in self._again or (entry.simple and entry.spec.revocable != "no" and not self._holds(entry)):
            self._lose_untold(entry)
            return None
        if not entry.simple or entry.spec.revocable != "no":
            return super()._earned_now_at(entry, crossed_at)
        return crossed_at if awarded_at(self._state[AWARDS], entry.spec.number) is None else None

    def _state_by_then(self) -> State:
        """The state without the crossings of later records."""
        state = self._state.copy()
        for each in self._known.later:
            waiting = waiting_for(self._boards, each)
            if waiting is not None and waiting.number is not None and awarded_at(state[AWARDS], waiting.number):
                state[AWARDS] = without_award(state[AWARDS], waiting.number)
        return state

    def _remember(self, number: int, moment: int) -> None:
        """Live may have crossed it again since."""
        known = awarded_at(self._state[AWARDS], number)
        super()._remember(number, moment if known is None else max(known, moment))

    def _progress(self, entry: Entry) -> int | None:
        """What the metric came to with this record, where the record says it."""
        when = entry.spec.when
        found = self._values.get((entry.board, when.metric)) if isinstance(when, AtLeast) else None
        return super()._progress(entry) if found is None else found


def thresholds_of(facts: Iterable[Fact]) -> list[Threshold]:
    return [each for fact in facts for each in fact.crossings if isinstance(each, Threshold)]


def entries_of(boards: Mapping[str, Board], names: Iterable[Named]) -> set[Entry | None]:
    return {board.entry(reference) for name, reference in names if (board := boards.get(name))}


def _lost_below(boards: Mapping[str, Board], crossed: Threshold) -> Iterator[Entry]:
    """What ends whenever the metric is below this threshold."""
    waiting = waiting_for(boards, crossed)
    for entry in waiting.entries if waiting is not None else ():
        if entry.simple and entry.spec.revocable != "no":
            yield entry


FOUND: dict[type, Callable[[FactSettlement, Board, Any], None]] = {
    Threshold: FactSettlement._find_threshold,
    InPeriod: FactSettlement._find_period,
    ByEvent: FactSettlement._find_award,
}
