"""Between activate and a user's facts: what live events cross of all that was muted is deferred.

Nobody knows yet then what the user crossed before. So the record stays with the user's state, as a fact of its own,
and is settled behind the last of the facts, in the order of the log; of whom there are no facts, at `done`.

The slot `@deferred` of a state has, for each such fact, the mark of its replay, a length, and the fact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from struct import Struct
from typing import Any, NamedTuple

import msgspec

from processor.evaluator.entries import Board, Entry, Waiting, Won
from processor.evaluator.filling import TOLD, Deferred, mark_of, standing_of, with_standing
from processor.evaluator.metrics.each import Instance
from processor.evaluator.outcomes import Template
from processor.evaluator.rules import Rules
from processor.evaluator.scoped import DirectAward
from processor.evaluator.settlement import Books, Crossings, Settlement
from processor.evaluator.telling import Cause
from schemas.program import DEFERRED_SLOT, REPLAYS_SLOT, MetricSpec, Program
from schemas.replays import ByEvent, Crossing, Fact, InPeriod, Named, Threshold
from schemas.state import AWARDS, State, awarded_at, value_reader, with_award
from schemas.zones import microseconds

DEFERRED_BYTES_MAX = 96 * 1024  # of a user; what does not fit is settled at once, by what is known then
HEAD = Struct(">8sI")

encode_fact = msgspec.msgpack.Encoder().encode
decode_fact = msgspec.msgpack.Decoder(Fact).decode


class Deferral:
    """What one replay defers."""

    def __init__(self, deferred: Deferred, program: Program, boards: Mapping[str, Board]) -> None:
        self.replay = deferred.replay
        self.sign = mark_of(f"{DEFERRED_SLOT} {deferred.replay}")
        self._mark = mark_of(deferred.replay)
        self.slot, self._standings = program.ledger.extras[DEFERRED_SLOT], program.ledger.extras[REPLAYS_SLOT]
        self.entries = dict(_entries(deferred, boards))
        self._boards = boards
        self.levels: set[Board] = set()
        self.numbers: set[int] = set()
        self._watched: dict[Waiting, _Watched] = {}
        for catalog in program.catalogs:
            board, levels = boards[catalog.catalog], catalog.levels
            if levels is not None and (catalog.catalog, levels.of) in deferred.metrics:
                self.levels.add(board)
            for metric in catalog.metrics:
                self._watch(catalog.catalog, metric, board.waiting[metric.key])

    def _watch(self, catalog: str, metric: MetricSpec, waiting: Mapping[int, Waiting]) -> None:
        for at, each in waiting.items():
            own = [entry for entry in each.entries if entry in self.entries]
            if own or (each.level is not None and each.board in self.levels):
                self._watched[each] = _Watched(catalog, metric, at)
            if each.number is not None and len(own) == len(each.entries):
                self.numbers.add(each.number)

    # --- of a user ---

    def takes(self, state: State, cause: Cause) -> bool:
        """Whether what this record crosses has to wait, and can."""
        if standing_of(state[self._standings], self._mark) == TOLD:
            return False
        return len(state[self.slot]) + len(cause.record.value or b"") <= DEFERRED_BYTES_MAX

    def crossed(self, state: State, crossings: Crossings) -> list[Crossing]:
        """What of these has to wait, by the state as the record left it."""
        return [found for crossed, at in crossings for found in self._crossing(state, crossed, microseconds(at))]

    def keep(self, state: State, cause: Cause, crossings: Iterable[Crossing]) -> None:
        known = {_award_of(each) for _, fact in self._kept(state) for each in fact.crossings} - {None}
        new = [each for each in crossings if _award_of(each) not in known or self._may_be_given_later(each)]
        if not new:
            return
        fact = Fact(
            topic=cause.topic,
            partition=cause.partition,
            offset=cause.offset,
            timestamp=cause.timestamp,
            value=cause.record.value or b"",
            headers=list(cause.record.headers),
            crossings=new,
        )
        packed = encode_fact(fact)
        state[self.slot] += HEAD.pack(self.sign, len(packed)) + packed

    def _may_be_given_later(self, crossing: Crossing) -> bool:
        """Whether it requires what nobody knows yet: a later record gives it if that was not there before."""
        entry = award_in(self._boards, crossing)
        return entry is not None and bool(entry.spec.requires)

    def waiting(self, state: State) -> list[Fact]:
        """What of the user's is kept."""
        return [fact for sign, fact in self._kept(state) if sign == self.sign]

    def release(self, state: State, current: Collection[bytes]) -> list[Fact]:
        """From here on nothing of the user's waits. Returns what did. Shapes: current are the marks to be kept."""
        state[self._standings] = with_standing(state[self._standings], self._mark, TOLD, current)
        if not state[self.slot]:
            return []
        kept = list(self._kept(state))
        others = ((sign, encode_fact(fact)) for sign, fact in kept if sign != self.sign)
        state[self.slot] = b"".join(HEAD.pack(sign, len(packed)) + packed for sign, packed in others)
        return [fact for sign, fact in kept if sign == self.sign]

    def _kept(self, state: State) -> Iterator[tuple[bytes, Fact]]:
        kept, place = state[self.slot], 0
        while place < len(kept):
            sign, size = HEAD.unpack_from(kept, place)
            place += HEAD.size + size
            yield sign, decode_fact(kept[place - size : place])

    # --- of a record ---

    def completed(self, crossings: Sequence[Crossing]) -> dict[Entry, int]:
        """Of several conditions, what may be complete with these; and when the last of them was crossed."""
        found: dict[Entry, int] = {}
        given = [(each, at) for entry, at in self._given(crossings) for each in self.hanging_on(entry)]
        for entry, at in [*given, *((entry, at) for entry, at in self._own(crossings) if not entry.simple)]:
            found[entry] = max(found.get(entry, 0), at)
        return found

    def hanging_on(self, entry: Entry) -> list[Entry]:
        """What of all that is deferred requires this one."""
        return [each for each in entry.dependants if each in self.entries]

    def as_known(self, state: State, crossings: Iterable[Crossing]) -> State:
        """The state with what of it waits to be remembered and given, as far as live knows it."""
        known = [*(each for fact in self.waiting(state) for each in fact.crossings), *crossings]
        moments = [(entry.spec.number, at) for entry, at in self._given(known)]
        moments += [(each.number, at) for each, at in self._waiting(known) if each.number is not None]
        state = state.copy()
        for number, at in moments:
            state[AWARDS] = with_award(state[AWARDS], number, at)
        return state

    def _given(self, crossings: Iterable[Crossing]) -> Iterator[tuple[Entry, int]]:
        """What these alone give."""
        crossings = [*crossings]
        yield from ((entry, at) for entry, at in self._own(crossings) if entry.simple)
        for each in crossings:
            if (entry := award_in(self._boards, each)) is not None:
                yield entry, each.crossed_at

    def _own(self, crossings: Iterable[Crossing]) -> Iterator[tuple[Entry, int]]:
        """What of all that is deferred waits for these."""
        for waiting, at in self._waiting(crossings):
            yield from ((entry, at) for entry in waiting.entries if entry in self.entries)

    def _waiting(self, crossings: Iterable[Crossing]) -> Iterator[tuple[Waiting, int]]:
        for each in crossings:
            waiting = waiting_for(self._boards, each) if isinstance(each, Threshold) else None
            if waiting is not None:
                yield waiting, each.crossed_at

    def _crossing(self, state: State, crossed: Any, at: int) -> Iterator[Crossing]:
        if isinstance(crossed, Waiting) and (watched := self._watched.get(crossed)):
            value = value_reader(watched.metric)(state, watched.metric.slot) or 0
            yield Threshold(**watched.named, value=value, crossed_at=at)
        elif isinstance(crossed, Instance) and (watched := self._watched.get(crossed.waiting)):  # type: ignore[call-overload]
            yield InPeriod(**watched.named, period=crossed.period, value=crossed.value, crossed_at=at)
        elif isinstance(crossed, DirectAward) and crossed.entry in self.entries:
            yield self.verdict(crossed.entry, crossed.scope, at)

    def verdict(self, entry: Entry, scope: str, at: int) -> ByEvent:
        catalog, reference = self.entries[entry]
        return ByEvent(catalog=catalog, achievement=reference, scope=scope, crossed_at=at)


def waiting_for(boards: Mapping[str, Board], crossed: Threshold) -> Waiting | None:
    board = boards.get(crossed.catalog)
    return board.waiting.get(crossed.metric, {}).get(crossed.at) if board is not None else None


def award_in(boards: Mapping[str, Board], crossing: Crossing) -> Entry | None:
    if not isinstance(crossing, ByEvent) or crossing.catalog not in boards:
        return None
    return boards[crossing.catalog].entry(crossing.achievement)


class _Watched(NamedTuple):
    """A threshold for which something that is deferred waits."""

    catalog: str
    metric: MetricSpec
    at: int

    @property
    def named(self) -> dict[str, Any]:
        return {"catalog": self.catalog, "metric": self.metric.key, "at": self.at}


def _entries(deferred: Deferred, boards: Mapping[str, Board]) -> Iterator[tuple[Entry, Named]]:
    for catalog, reference in deferred.awards:
        entry = boards[catalog].entry(reference) if catalog in boards else None
        if entry is not None:
            yield entry, (catalog, reference)


def _award_of(crossing: Crossing) -> Named | None:
    """An award that is given once, however often it is found."""
    if not isinstance(crossing, ByEvent):
        return None
    return f"{crossing.catalog}/{crossing.achievement}", crossing.scope


class DeferringSettlement(Settlement):
    """Leaves out what waits, and notes which awards of it would have been given by what this record gives."""

    def __init__(self, books: Books, state: State, cause: Cause, deferrals: Sequence[Deferral]) -> None:
        super().__init__(books, state, cause)
        self._deferrals = deferrals
        self._verdicts: list[tuple[Deferral, ByEvent]] = []

    def settle_deferring(self, crossings: Crossings) -> None:
        found = [(each, each.crossed(self._state, crossings)) for each in self._deferrals]
        self.settle(crossings)
        for each, crossed in found:
            self._judge(each, crossed)
            each.keep(self._state, self._cause, crossed)
        self._keep_verdicts()

    def _judge(self, deferral: Deferral, crossed: Sequence[Crossing]) -> None:
        """What is complete with this record, and may not be any more when the facts are there."""
        state, waiting = deferral.as_known(self._state, crossed), deferral.completed(crossed)
        while complete := [entry for entry in waiting if self._may_be_complete(deferral, entry, state)]:
            entry = next(each for each in complete if not any(each in other.dependants for other in complete))
            at, since = waiting.pop(entry), entry.holds_since(state)
            verdict = deferral.verdict(entry, "", at if since is None else since)
            state[AWARDS] = with_award(state[AWARDS], entry.spec.number, verdict.crossed_at)
            self._verdicts.append((deferral, verdict))
            waiting |= dict.fromkeys(deferral.hanging_on(entry), at)

    def _may_be_complete(self, deferral: Deferral, entry: Entry, state: State) -> bool:
        """As far as live knows it: the past may have given what it requires."""
        standing = self._rules(entry).standing(entry)
        lacking = [entry.board.entry(each) for each in standing.lost_requirements(state)]
        is_met = standing.holds(state) and all(each in deferral.entries for each in lacking)
        return is_met and not entry.is_held(state[AWARDS])

    def _keep_verdicts(self) -> None:
        for deferral, verdict in self._verdicts:
            deferral.keep(self._state, self._cause, [verdict])

    def _remember(self, number: int, moment: int) -> None:
        if not any(number in each.numbers for each in self._deferrals):
            super()._remember(number, moment)

    def _note_level(self, board: Board, level: int, at: datetime) -> None:
        if not any(board in each.levels for each in self._deferrals):
            super()._note_level(board, level, at)

    def _earned_at(self, entry: Entry, crossed_at: int) -> int | None:
        deferral = self._deferral_of(entry)
        if deferral is None:
            return self._earned_now_at(entry, crossed_at)
        if not entry.simple and awarded_at(self._state[AWARDS], entry.spec.number) is None:
            at = entry.holds_since(self._state)
            if at is not None:
                self._verdicts.append((deferral, deferral.verdict(entry, "", at)))
        return None

    def _earned_now_at(self, entry: Entry, crossed_at: int) -> int | None:
        return super()._earned_at(entry, crossed_at)

    def _win_scope(self, entry: Entry, scope: str, at: int, value: int | None) -> None:
        if self._deferral_of(entry) is None:
            super()._win_scope(entry, scope, at, value)

    def _deferral_of(self, entry: Entry) -> Deferral | None:
        return next((each for each in self._deferrals if entry in each.entries), None)


class DeferringBooks(Books):
    """Books of a program of which something waits for users' facts."""

    def __init__(
        self,
        rules: dict[Board, Rules],
        offers: dict[str, Any],
        templates: list[Template],
        deferrals: Sequence[Deferral],
    ) -> None:
        super().__init__(rules, offers, templates)
        self._deferrals = deferrals

    def decide(self, state: State, crossings: Crossings, data: Any) -> tuple[Won, Crossings]:
        """Who must wait is known by the record."""
        return [], crossings

    def settle(self, state: State, crossings: Crossings, cause: Cause) -> Settlement:
        waiting = [each for each in self._deferrals if each.takes(state, cause)]
        if not waiting:
            return super().settle(state, crossings, cause)
        settlement = DeferringSettlement(self, state, cause, waiting)
        settlement.settle_deferring([*crossings])
        return settlement
