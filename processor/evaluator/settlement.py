"""What a record comes to where a catalog has more than thresholds: XP, levels, scopes, awards that may be lost.

In this order: awards straight from the event, then what no longer holds and what hangs on that, then what now holds
and what follows from it, at last the levels. Each part goes on until nothing more follows; within a part the first
in the program comes first. Everything is a function of the state and the record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any

from processor.evaluator.claims import Claim, Offer, judge
from processor.evaluator.entries import Board, Counted, Entry, OfEvent, Reached, Waiting, Won
from processor.evaluator.metrics.each import Instance
from processor.evaluator.outcomes import Template, Told, Unlock, evidence_of
from processor.evaluator.revocation import Fall
from processor.evaluator.rules import Levels, Rules
from processor.evaluator.scoped import DirectAward, is_free, scopes_slot, with_scope
from processor.evaluator.telling import Cause, answered
from schemas.challenges import CLAIM
from schemas.outcomes import AwardReason, CommandAnswered, MetricReason, Reason
from schemas.periods import period_name
from schemas.program import XP, AtLeast, ChallengeSpec
from schemas.state import (
    AWARDS,
    LOST,
    State,
    award_entry,
    award_of,
    pack_award,
    value_reader,
    with_award,
    without_award,
)
from schemas.zones import EPOCH_DAY, microseconds, moment_of

Crossings = Sequence[tuple[Any, datetime]]


class Settlement:
    """One record's."""

    __slots__ = ("_books", "_cause", "_chains", "_falls", "_levels", "_state", "_wins", "told", "unlocked")

    def __init__(self, books: Books, state: State, cause: Cause) -> None:
        self._books, self._state, self._cause = books, state, cause
        self._wins: list[tuple[int, int, int | None, Entry, Instance | None]] = []
        self._falls: list[tuple[int, Entry]] = []
        self._levels: dict[Board, dict[int, datetime]] = {}
        self._chains: dict[Board, dict[str, list[Reason]]] = {}
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
        if self._falls:
            self._let_fall()
        if self._chains:
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
        waiting = instance.waiting
        assert isinstance(waiting, Waiting)
        for entry in waiting.entries:
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
        for entry in fall.entries:
            heappush(self._falls, (entry.place, entry))

    # --- what is lost ---

    def _let_fall(self) -> None:
        while self._falls:
            _, entry = heappop(self._falls)
            if not entry.is_held(self._state[AWARDS]):
                continue
            if not is_for_good(entry) and (self._lost_requirement(entry) or not self._holds(entry)):
                self._revoke(entry, self._reasons(entry, self._chains.get(entry.board, {})))

    def _revoke(self, entry: Entry, reasons: list[Reason]) -> None:
        state, spec, rules = self._state, entry.spec, self._rules(entry)
        self._chains.setdefault(entry.board, {})[spec.reference] = reasons
        ended = award_of(state[AWARDS], spec.number)
        assert ended is not None
        state[AWARDS] = without_award(state[AWARDS], spec.number)
        told = rules.teller(entry).revoked
        self.told.append(partial(told, self._cause, moment_of(ended.at), ended.revoked, reasons))
        self._let_hang([*entry.dependants, *self._take_xp_back(entry)])

    def _take_xp_back(self, entry: Entry) -> list[Entry]:
        """Returns what may be lost by it."""
        experience = self._rules(entry).experience
        if not entry.spec.xp or experience is None:
            return []
        return experience.take_back(self._state, entry.spec.xp, self._cause.at)

    def _let_hang(self, entries: Iterable[Entry]) -> None:
        for each in entries:
            heappush(self._falls, (each.place, each))

    def _forget_what_was_lost(self) -> None:
        """What was reached in this record and is not any more is reached anew when it is."""
        self._wins = [each for each in self._wins if each[4] or not each[3].simple or self._holds(each[3])]
        heapify(self._wins)
        for board, reached in self._levels.items():
            held = self._books.levels_of(board).level(self._state)
            self._levels[board] = {level: at for level, at in reached.items() if level <= held}

    def _reasons(self, entry: Entry, chains: dict[str, list[Reason]]) -> list[Reason]:
        """The chain that ends this award, from the outermost cause."""
        standing = self._rules(entry).standing(entry)
        lost = self._lost_requirement(entry)
        if lost is not None:
            return [*chains[lost], award_reason(lost)]
        missing = standing.missing(self._state)
        below = self._metric_reason(entry, missing)
        if missing.metric == XP and chains:
            latest = next(reversed(chains))
            return [*chains[latest], award_reason(latest), below]
        return [below]

    def _lost_requirement(self, entry: Entry) -> str | None:
        """The first award it requires that was lost in this record; one never held is a later version's wish."""
        chains = self._chains.get(entry.board)
        if not chains:
            return None
        required = self._rules(entry).standing(entry).lost_requirements(self._state)
        return next((each for each in required if each in chains), None)

    def _metric_reason(self, entry: Entry, missing: AtLeast) -> MetricReason:
        metric = self._rules(entry).metrics[missing.metric]
        value = value_reader(metric)(self._state, metric.slot) or 0
        return MetricReason(metric=missing.metric, value=value, needed=missing.at)

    # --- what is won ---

    def _let_win(self) -> None:
        while self._wins:
            _, at, _, entry, instance = heappop(self._wins)
            if instance is not None:
                self._win_scope(entry, self._period(entry, instance), at, instance.value)
            elif (earned_at := self._earned_at(entry, at)) is not None:
                self._win(entry, earned_at)

    def _earned_at(self, entry: Entry, crossed_at: int) -> int | None:
        state = self._state
        return None if entry.is_held(state[AWARDS]) else self._books.earned_at(state, entry, crossed_at)

    def _period(self, entry: Entry, instance: Instance) -> str:
        window = entry.spec.window
        assert window is not None
        assert window.every is not None
        return period_name(instance.period, window.every)

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
        """Hot: it is most of what settlements do."""
        state, spec = self._state, entry.spec
        ended = entry.kept_in(state[AWARDS])
        n = 0 if ended is None else ended.revoked
        if ended is None:
            state[AWARDS] += award_entry(entry.number, at)
        else:
            state[AWARDS] = with_award(state[AWARDS], entry.number, at)
        earned_at, progress = moment_of(at), self._progress(entry)
        if n or spec.on or spec.context:
            unlocked = self._rules(entry).teller(entry).unlocked
            self.told.append(partial(unlocked, self._cause, earned_at, progress, "", n))
        else:
            self.told.append(plain(entry.place, self._cause, earned_at, progress))
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
        """When a level was reached that nobody was told of, and all below it."""
        levels = self._books.levels_of(board)
        reached = self._levels.setdefault(board, {})
        for each in range(levels.told(self._state) + 1, level + 1):
            reached.setdefault(each, at)

    def _tell_levels(self) -> None:
        for board, reached in self._levels.items():
            levels = self._books.levels_of(board)
            value = levels.value(self._state)
            for level in sorted(reached):
                self.told.append(plain(levels.place, self._cause, reached[level], (level, value)))
                self._state[levels.slot] = level

    def _holds(self, entry: Entry) -> bool:
        return self._rules(entry).standing(entry).holds(self._state)

    def _rules(self, entry: Entry) -> Rules:
        return self._books.rules[entry.board]


def is_for_good(entry: Entry) -> bool:
    """Whether nothing can end it: it happened, in some scope."""
    return bool(entry.spec.on) or entry.spec.scopes is not None


def award_reason(reference: str) -> AwardReason:
    key, _, tier = reference.partition("/")
    return AwardReason(achievement=key, tier=tier or None)


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
        if len(crossings) > 1:
            return self._shared(state, crossings, data)
        if type(crossed) is not Waiting:
            return self._award(state, crossings, data) if type(crossed) is DirectAward else ([], crossings)
        entry = crossed.only
        if entry is not None and entry.stands_alone and not entry.was_earned(state[AWARDS]):
            state[AWARDS] += pack_award(entry.number, 0, microseconds(at))
            return self._with_more(state, (entry, at), self.give_xp(state, entry.board, entry.spec.xp, at), data)
        return self._level(state, crossings) if crossed.only_level else self._shared(state, crossings, data)

    def _shared(self, state: State, crossings: Crossings, data: Any) -> tuple[Won, Crossings]:  # noqa: C901
        """As `decide`, of all that waits for these thresholds, in its order. Most is held, or lacks something else.

        What needs a settlement gets the crossings once more, and what XP has crossed since: what was given is held
        then, and what was remembered is remembered again.
        """
        won: Won = []
        due: list[tuple[Entry, int]] = []
        told: tuple[Levels, int, datetime] | None = None
        taken, further = crossings, crossings
        while True:
            for waiting, at in further:
                if type(waiting) is not Waiting:
                    return won, taken
                if waiting.level is not None:
                    levels = self.levels_of(waiting.board)
                    ahead = waiting.level - levels.told(state)
                    if ahead > 1 or (ahead == 1 and told is not None):
                        return won, taken
                    told = (levels, waiting.level, at) if ahead == 1 else told
                moment = microseconds(at)
                if waiting.number is not None:
                    state[AWARDS] = with_award(state[AWARDS], waiting.number, moment)
                awards = state[AWARDS]
                for entry in waiting.entries:
                    if entry.may_hold(awards) and not entry.is_held(awards):
                        heappush(due, (entry, moment))
            if not due:
                break
            entry, moment = heappop(due)
            awards, further = state[AWARDS], ()
            if entry.is_held(awards):
                continue
            if entry.was_earned(awards):
                return won, taken
            since = self.earned_at(state, entry, moment)
            if since is None:
                continue
            after = awards + pack_award(entry.number, 0, since)
            if entry.dependants and is_followed(entry, after):
                return won, taken
            state[AWARDS] = after
            earned_at = moment_of(since)
            won.append((self._reached(state, entry, data), earned_at))
            further = self.give_xp(state, entry.board, entry.spec.xp, earned_at)
            if further:
                taken = [*taken, *further]
        if told is not None:
            levels, level, at = told
            state[levels.slot] = level
            won.append((levels, at))
        return won, ()

    def earned_at(self, state: State, entry: Entry, crossed_at: int) -> int | None:
        if not entry.simple:
            return entry.holds_since(state)
        return crossed_at if entry.lasts or self.rules[entry.board].standing(entry).holds(state) else None

    def _reached(self, state: State, entry: Entry, data: Any) -> Reached:
        if entry.spec.context:
            return OfEvent(entry, (entry.progress_of(state), "", data))
        return Counted(entry, entry.progress_of(state)) if entry.counts_xp else entry

    def levels_of(self, board: Board) -> Levels:
        levels = self.rules[board].levels
        assert levels is not None
        return levels

    def _award(self, state: State, crossings: Crossings, data: Any) -> tuple[Won, Crossings]:
        """As `decide`, of an event that is an award: of another scope, which nothing depends on."""
        award, at = crossings[0]
        entry, slot = award.entry, award.entry.spec.scopes
        known = entry.kept_in(state[AWARDS])
        if slot is None or (known is not None and known.revoked):
            return [], crossings
        if known is None:
            after = state[AWARDS] + pack_award(entry.number, 0, microseconds(at))
            if entry.dependants and is_followed(entry, after):
                return [], crossings
            state[AWARDS] = after
        state[slot] = with_scope(state[slot], award.scope)
        reached = OfEvent(entry, (entry.progress_of(state), award.scope, data))
        return self._with_more(state, (reached, at), self.give_xp(state, entry.board, entry.spec.xp, at), data)

    def give_xp(self, state: State, board: Board, amount: int, at: datetime) -> Crossings:
        """Give XP, where the catalog has any. Returns what is crossed."""
        experience = self.rules[board].experience if amount else None
        return () if experience is None else experience.give(state, amount, at)

    def _with_more(
        self, state: State, reached: tuple[Reached, datetime], crossings: Crossings, data: Any
    ) -> tuple[Won, Crossings]:
        """What was won, and what its XP has crossed."""
        if not crossings:
            return [reached], ()
        is_level = crossings[0][0].only_level
        won, more = self._level(state, crossings) if is_level else self._shared(state, crossings, data)
        return [reached, *won], more

    def _level(self, state: State, crossings: Crossings) -> tuple[Won, Crossings]:
        """As `decide`, where only the next level may have been reached."""
        waiting, at = crossings[0]
        levels = self.levels_of(waiting.board)
        if len(crossings) > 1 or waiting.only_level != levels.told(state) + 1:
            return [], crossings
        state[levels.slot] = waiting.only_level
        return [(levels, at)], ()

    def settle(self, state: State, crossings: Crossings, cause: Cause) -> Settlement:
        settlement = Settlement(self, state, cause)
        settlement.settle(crossings)
        return settlement

    def render(self, unlock: Unlock, cause: Cause) -> bytes:
        return self._templates[unlock[2]].render(unlock, evidence_of(cause.topic, cause.partition))


def is_followed(entry: Entry, awards: bytes) -> bool:
    """Whether something that requires it may be held with these awards. Hot: hardly ever."""
    for each in entry.dependants:  # noqa: SIM110  # hot: `any` makes a generator first
        if each.may_hold(awards):
            return True
    return False


def plain(place: int, cause: Cause, at: datetime, progress: Any) -> Unlock:
    """An outcome of which all but who, when and why is the same for everybody."""
    event = cause.event
    return event.subject.encode(), event.subject, place, at, progress, cause.offset, event.id
