"""What a record comes to where a catalog has more than thresholds: XP, levels, scopes, awards that may be lost.

In this order: awards straight from the event, then what no longer holds and what hangs on that, then what now holds
and what follows from it, at last the levels. Each part goes on until nothing more follows; within a part the first
in the program comes first. Everything is a function of the state and the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any

from processor.evaluator.claims import Claim, Offer, judge
from processor.evaluator.entries import Board, Entry, Reached, Ready, Waiting, Won
from processor.evaluator.losses import Losses
from processor.evaluator.metrics.each import Instance
from processor.evaluator.outcomes import Again, Said, Template, Told, Unlock, evidence_of
from processor.evaluator.revocation import Fall
from processor.evaluator.rules import Levels, Rules
from processor.evaluator.scoped import DirectAward, is_free, scopes_slot, with_scope
from processor.evaluator.telling import Cause, answered
from schemas.challenges import CLAIM
from schemas.outcomes import CommandAnswered
from schemas.periods import period_name
from schemas.program import ChallengeSpec
from schemas.state import (
    AWARDS,
    LOST,
    State,
    award_of,
    pack_award,
    with_award,
)
from schemas.zones import EPOCH_DAY, microseconds, moment_of

Crossings = Sequence[tuple[Any, datetime]]
Due = list[tuple[Entry, int]]
"""A heap of what may be won, each with when it was crossed."""
Scoped = tuple[Entry, str, int | None]
"""An award, its scope, the value that its metric came to in that period."""
LevelsReached = dict[Board, dict[int, datetime]]


class Settlement:
    """One record's."""

    __slots__ = ("_books", "_cause", "_levels", "_losses", "_state", "_wins", "told", "unlocked")

    def __init__(self, books: Books, state: State, cause: Cause) -> None:
        self._books, self._state, self._cause = books, state, cause
        self._wins: list[tuple[int, int, int | None, Entry, Instance | None]] = []
        self._losses = Losses(books.rules, state, cause.at)
        self._levels: LevelsReached = {}
        self.told: list[Told] = []
        self.unlocked = 0

    @property
    def outcomes(self) -> list[bytes]:
        """All that is told, written."""
        return [self._written(each) for each in self.told]

    def _written(self, told: Told) -> bytes:
        if isinstance(told, tuple):
            return self._books.render(told, self._cause)
        return told if isinstance(told, bytes) else told()

    def settle(self, crossings: Crossings) -> None:
        for crossed, at in crossings:
            TAKEN[type(crossed)](self, crossed, at)
        self._conclude()

    def _conclude(self) -> None:
        self._let_fall()
        if self._losses.chains:
            self._forget_what_was_lost()
        if self._wins:
            self._let_win()
        if self._levels:
            self._tell_levels()

    # --- what was crossed ---

    def _take_threshold(self, waiting: Waiting, at: datetime) -> None:
        moment = microseconds(at)
        if waiting.number is not None:
            self._remember(waiting.number, moment)
        if waiting.level is not None:
            self._note_level(waiting.board, waiting.level, at)
        awards = self._state[AWARDS]
        for entry in waiting.entries:
            if entry.may_hold(awards):
                heappush(self._wins, (entry.place, moment, None, entry, None))

    def _remember(self, number: int, moment: int) -> None:
        self._state[AWARDS] = with_award(self._state[AWARDS], number, moment)

    def _take_instance(self, instance: Instance, at: datetime) -> None:
        for entry in entries_of(instance):
            heappush(self._wins, (entry.place, microseconds(at), instance.period, entry, instance))

    def _take_award(self, award: DirectAward, at: datetime) -> None:
        self._win_scope(award.entry, award.scope, microseconds(at), None)

    def _take_claim(self, claim: Claim, at: datetime) -> None:
        decision, accepted = judge(self._books.offers, claim, self._state, self._cause)
        if accepted is not None:
            self._complete(*accepted)
        answer = CommandAnswered(command_id=self._cause.event.id, command=CLAIM, **decision._asdict())
        self.told.append(answered(self._cause, CLAIM, answer))

    def _complete(self, offer: Offer, challenge: ChallengeSpec, day: int) -> None:
        value = offer.value(self._state, challenge, day)
        offer.note(self._state, challenge, day)
        written = date.fromordinal(day + EPOCH_DAY)
        self.told.append(offer.tellers[challenge.key].completed(self._cause, written, value))
        self._give_xp(offer.board, challenge.xp, self._cause.at)

    def _take_fall(self, fall: Fall, at: datetime) -> None:
        self._losses.let_hang(fall.entries)

    # --- what is lost ---

    def _let_fall(self) -> None:
        self._losses.let_fall()
        self.told += [
            plain(lost.place, self._cause, at, lost.progress_of(self._state)) for lost, at in self._losses.told
        ]

    def _forget_what_was_lost(self) -> None:
        """What was reached in this record and is not any more is reached anew when it is."""
        self._wins = [each for each in self._wins if each[4] or not each[3].simple or self._holds(each[3])]
        heapify(self._wins)
        for board, reached in self._levels.items():
            held = self._books.levels_of(board).level(self._state)
            self._levels[board] = {level: at for level, at in reached.items() if level <= held}

    # --- what is won ---

    def _let_win(self) -> None:
        while self._wins:
            _, at, _, entry, instance = heappop(self._wins)
            if instance is not None:
                self._win_scope(entry, period_of(entry, instance), at, instance.value)
            elif (earned_at := self._earned_at(entry, at)) is not None:
                self._win(entry, earned_at)

    def _earned_at(self, entry: Entry, crossed_at: int) -> int | None:
        state = self._state
        return None if entry.is_held(state[AWARDS]) else self._books.earned_at(state, entry, crossed_at)

    def _win_scope(self, entry: Entry, scope: str, at: int, value: int | None) -> None:
        """Give an award of a scope; the first also stands for the award itself."""
        state, number = self._state, entry.spec.number
        known = award_of(state[AWARDS], number)
        first, n = known is None or known.at == LOST, 0 if known is None else known.revoked
        if entry.spec.scopes is None:
            if first:
                self._win(entry, at)
            return
        slot = scopes_slot(entry)
        if not is_free(state[slot], scope):
            return
        state[slot] = with_scope(state[slot], scope)
        if first:
            state[AWARDS] = with_award(state[AWARDS], number, at)
        earned_at = moment_of(at)
        unlocked = self._rules(entry).teller(entry).unlocked
        self.told.append(partial(unlocked, self._cause, earned_at, value, scope, n))
        self.unlocked += 1
        self._follow(entry, at, earned_at, first)

    def _win(self, entry: Entry, at: int) -> None:
        state = self._state
        ended = entry.kept_in(state[AWARDS])
        n = 0 if ended is None else ended.revoked
        state[AWARDS] = with_award(state[AWARDS], entry.number, at)
        earned_at, progress = moment_of(at), self._progress(entry)
        if entry.is_told_alike:
            self.told.append(plain(entry.place, self._cause, earned_at, Again(progress, n) if n else progress))
        else:
            unlocked = self._rules(entry).teller(entry).unlocked
            self.told.append(partial(unlocked, self._cause, earned_at, progress, "", n))
        self.unlocked += 1
        self._follow(entry, at, earned_at, True)

    def _progress(self, entry: Entry) -> int | None:
        return entry.progress_of(self._state)

    def _follow(self, entry: Entry, at: int, earned_at: datetime, first: bool) -> None:
        """What an award gives, and who waited for it."""
        self._give_xp(entry.board, entry.spec.xp, earned_at)
        for dependant in entry.dependants if first else ():
            if dependant.may_hold(self._state[AWARDS]):
                heappush(self._wins, (dependant.place, at, None, dependant, None))

    def _give_xp(self, board: Board, amount: int, at: datetime) -> None:
        for waiting, crossed_at in self._books.give_xp(self._state, board, amount, at):
            self._take_threshold(waiting, crossed_at)

    # --- levels ---

    def _note_level(self, board: Board, level: int, at: datetime) -> None:
        self._books.note_level(self._state, board, level, at, self._levels)

    def _tell_levels(self) -> None:
        for (place, progress), at in self._books.levels_told(self._state, self._levels):
            self.told.append(plain(place, self._cause, at, progress))

    def _holds(self, entry: Entry) -> bool:
        return self._rules(entry).standing(entry).holds(self._state)

    def _rules(self, entry: Entry) -> Rules:
        return self._books.rules[entry.board]


def entries_of(instance: Instance) -> list[Entry]:
    assert isinstance(instance.waiting, Waiting)
    return instance.waiting.entries


def scoped_award(crossed: Any) -> Scoped | None:
    """The award of a scope that an event is, or the only one that was reached in a period."""
    if type(crossed) is DirectAward:
        return None if crossed.entry.spec.scopes is None else (crossed.entry, crossed.scope, None)
    if type(crossed) is not Instance or len(entries_of(crossed)) > 1:
        return None
    (entry,) = entries_of(crossed)
    return entry, period_of(entry, crossed), crossed.value


def period_of(entry: Entry, instance: Instance) -> str:
    """The scope of an award that is given in every period."""
    window = entry.spec.window
    assert window is not None
    assert window.every is not None
    return period_name(instance.period, window.every)


TAKEN: dict[type, Callable[[Settlement, Any, datetime], None]] = {
    Waiting: Settlement._take_threshold,
    Instance: Settlement._take_instance,
    DirectAward: Settlement._take_award,
    Fall: Settlement._take_fall,
    Claim: Settlement._take_claim,
}


class Books:
    """All that settlements look up: made once for a program, and used by all of its partitions."""

    def __init__(self, rules: dict[Board, Rules], offers: dict[str, Offer], templates: list[Template]) -> None:
        self.rules, self.offers, self._templates = rules, offers, templates

    def decide(self, state: State, crossings: Crossings, data: Any) -> tuple[Won, Crossings]:
        """What is won without a settlement, and what still needs one. Hot.

        The usual record crosses one threshold, for which one plain achievement waits, or none any more, or where
        the next level begins; or it is an award.
        """
        crossed, at = crossings[0]
        if len(crossings) > 1 or type(crossed) is not Waiting:
            return self._mixed(state, crossings, data)
        entry = crossed.only
        if entry is None or not entry.stands_alone:
            return self._decided(state, crossings, data, [], [], {})
        ended = entry.kept_in(state[AWARDS])
        reached: Reached = entry
        if ended is None:
            state[AWARDS] += pack_award(entry.number, 0, microseconds(at))
        elif ended.at == LOST:
            state[AWARDS] = with_award(state[AWARDS], entry.number, microseconds(at))
            reached = Ready(entry.place, Again(entry.progress_of(state), ended.revoked))
        else:
            return [], ()
        further = self.give_xp(state, entry.board, entry.spec.xp, at)
        return self._decided(state, further, data, [(reached, at)], [], {}) if further else ([(reached, at)], ())

    def _mixed(self, state: State, crossings: Crossings, data: Any) -> tuple[Won, Crossings]:
        """As `decide`, of more than one threshold. What an event is comes last, and is told first."""
        *thresholds, (crossed, at) = crossings
        if any(type(each) is not Waiting for each, _ in thresholds):
            return [], crossings
        if type(crossed) is Waiting:
            return self._decided(state, crossings, data, [], [], {})
        if type(crossed) is Fall and not thresholds:
            return self._lost(state, crossed, at)
        award = None if thresholds and type(crossed) is Instance else scoped_award(crossed)
        return ([], crossings) if award is None else self._scoped(state, thresholds, award, at, data)

    def _lost(self, state: State, fall: Fall, at: datetime) -> tuple[Won, Crossings]:
        losses = Losses(self.rules, state, at)
        losses.let_hang(fall.entries)
        losses.let_fall()
        return losses.told, ()

    def _scoped(
        self, state: State, thresholds: Crossings, award: Scoped, at: datetime, data: Any
    ) -> tuple[Won, Crossings]:
        """As `decide`, of an award of a scope and of thresholds."""
        entry, scope, value = award
        due: Due = []
        reached: LevelsReached = {}
        self._take(state, thresholds, due, reached)
        if not is_free(state[scopes_slot(entry)], scope):
            return self._decided(state, (), data, [], due, reached)
        said = Said(value, scope, self._win_scope(state, entry, scope, microseconds(at), due), data)
        further = self.give_xp(state, entry.board, entry.spec.xp, at)
        return self._decided(state, further, data, [(Ready(entry.place, said), at)], due, reached)

    def _win_scope(self, state: State, entry: Entry, scope: str, at: int, due: Due) -> int:
        """Give an award of a scope. Returns how often it was lost before."""
        slot, known = scopes_slot(entry), entry.kept_in(state[AWARDS])
        state[slot] = with_scope(state[slot], scope)
        if known is None or known.at == LOST:
            state[AWARDS] = with_award(state[AWARDS], entry.number, at)
            let_follow(state, entry, at, due)
        return 0 if known is None else known.revoked

    def _decided(
        self, state: State, crossings: Crossings, data: Any, won: Won, due: Due, reached: LevelsReached
    ) -> tuple[Won, Crossings]:
        """In the order of the program, until nothing more follows."""
        while crossings or due:
            self._take(state, crossings, due, reached)
            crossings = self._win(state, data, won, due) if due else ()
        if reached:
            won += [(Ready(*told, False), at) for told, at in self.levels_told(state, reached)]
        return won, ()

    def _take(self, state: State, crossings: Crossings, due: Due, reached: LevelsReached) -> None:
        """What waits for these thresholds is due: most is held, or lacks something else. Hot."""
        for waiting, at in crossings:
            moment = microseconds(at)
            if waiting.level is not None:
                self.note_level(state, waiting.board, waiting.level, at, reached)
            if waiting.number is not None:
                state[AWARDS] = with_award(state[AWARDS], waiting.number, moment)
            awards = state[AWARDS]
            for entry in waiting.entries:
                if entry.may_hold(awards) and not entry.is_held(awards):
                    heappush(due, (entry, moment))

    def _win(self, state: State, data: Any, won: Won, due: Due) -> Crossings:
        """Give the first award that is due, unless it lacks something. Returns what its XP has crossed."""
        entry, crossed_at = heappop(due)
        ended = entry.kept_in(state[AWARDS])
        if ended is not None and ended.at != LOST:
            return ()
        at = self.earned_at(state, entry, crossed_at)
        if at is None:
            return ()
        state[AWARDS] = with_award(state[AWARDS], entry.number, at)
        earned_at = moment_of(at)
        won.append((reached_by(state, entry, 0 if ended is None else ended.revoked, data), earned_at))
        let_follow(state, entry, at, due)
        return self.give_xp(state, entry.board, entry.spec.xp, earned_at)

    def earned_at(self, state: State, entry: Entry, crossed_at: int) -> int | None:
        if not entry.simple:
            return entry.holds_since(state)
        return crossed_at if entry.lasts or self.rules[entry.board].standing(entry).holds(state) else None

    def give_xp(self, state: State, board: Board, amount: int, at: datetime) -> Crossings:
        """Give XP, where the catalog has any. Returns what is crossed."""
        experience = self.rules[board].experience if amount else None
        return () if experience is None else experience.give(state, amount, at)

    def levels_of(self, board: Board) -> Levels:
        levels = self.rules[board].levels
        assert levels is not None
        return levels

    def note_level(self, state: State, board: Board, level: int, at: datetime, reached: LevelsReached) -> None:
        """When a level was reached that nobody was told of, and all below it."""
        levels = reached.setdefault(board, {})
        for each in range(self.levels_of(board).told(state) + 1, level + 1):
            levels.setdefault(each, at)

    def levels_told(self, state: State, reached: LevelsReached) -> Iterator[tuple[tuple[int, Any], datetime]]:
        """Tell of these levels: their place and what their template tells, and when each was reached."""
        for board, found in reached.items():
            levels = self.levels_of(board)
            value = levels.value(state)
            for level in sorted(found):
                state[levels.slot] = level
                yield (levels.place, (level, value)), found[level]

    def settle(self, state: State, crossings: Crossings, cause: Cause) -> Settlement:
        settlement = Settlement(self, state, cause)
        settlement.settle(crossings)
        return settlement

    def render(self, unlock: Unlock, cause: Cause) -> bytes:
        return self._templates[unlock[2]].render(unlock, evidence_of(cause.topic, cause.partition))


def reached_by(state: State, entry: Entry, n: int, data: Any) -> Reached:
    """An award that was lost n times, as it is told."""
    if not entry.is_told_alike:
        return Ready(entry.place, Said(entry.progress_of(state), "", n, data))
    if n:
        return Ready(entry.place, Again(entry.progress_of(state), n))
    return Ready(entry.place, entry.progress_of(state)) if entry.counts_xp else entry


def let_follow(state: State, entry: Entry, at: int, due: Due) -> None:
    """What requires this award is due, unless it plainly lacks something else. Hot: hardly ever anything is."""
    awards = state[AWARDS]
    for dependant in entry.dependants:
        if dependant.may_hold(awards):
            heappush(due, (dependant, at))


def plain(place: int, cause: Cause, at: datetime, progress: Any) -> Unlock:
    """An outcome of which all but who, when and why is the same for everybody."""
    event = cause.event
    return event.subject.encode(), event.subject, place, at, progress, cause.offset, event.id
