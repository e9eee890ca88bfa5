"""What users get by orders of a replay: what they crossed before and live has crossed since; and what they lose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import msgspec

from processor.evaluator.deferral import Deferral
from processor.evaluator.entries import Entry
from processor.evaluator.facts import FactBooks, FactSettlement, Known, thresholds_of
from processor.evaluator.orders import Given, States
from processor.evaluator.outcomes import LIVE, Occasion
from processor.evaluator.programs import Programs, Versions
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.telling import Cause
from schemas.errors import BadRecord
from schemas.events import append_moment
from schemas.records import PlainRecord, Record
from schemas.replays import Fact, Facts, Promote, ReplayNote, Revoke, Values, judged_by


class Told(msgspec.Struct):
    """What stands behind what a replay gives or takes without an event."""

    id: str
    source: str
    subject: str
    time: datetime
    timezone: str | None = None


class Awarding:
    """Of one partition. Shapes: program, what runs; unlocked, how many awards were given since it was last set."""

    def __init__(
        self, topic: str, number: int, states: States, programs: Programs, complain: Callable[[str], None]
    ) -> None:
        self._topic, self._number, self._states = topic, number, states
        self._programs, self._complain = programs, complain
        self.program: ReadyProgram
        self.unlocked = 0

    def give(self, given: Given, note: ReplayNote) -> None:
        """What these records crossed."""
        order: Facts = given.order
        facts = [(fact, self._cause(fact, given.user)) for fact in order.facts]  # all can be read, or none counts
        judged = judged_by(order.facts).union(order.judged)
        state, own = self._states.user(given.user), self._deferrals(order.replay)
        behind = [fact for each in own for fact in each.waiting(state)]
        books, known = self._books(order.replay, note), Known(judged, later=thresholds_of(behind))
        self._settle_facts(given.user, order.replay, books, facts, known)
        if order.last:
            self.settle_deferred(given.user, order.replay)

    def _settle_facts(
        self,
        user: bytes,
        replay: str,
        books: FactBooks,
        facts: Iterable[tuple[Fact, Cause]],
        known: Known,
    ) -> None:
        """As if by these records, in their order; but what waits for another replay's facts still does."""
        state = self._states.user(user)
        others = [each for each in self.program.deferrals if each.replay != replay]
        for fact, cause in facts:
            waiting = [each for each in others if each.takes(state, cause)]
            settlement = FactSettlement(books, state, cause, waiting, known)
            settlement.settle_past(fact.crossings)
            self._tell(user, settlement)

    def give_by_values(self, given: Given, note: ReplayNote) -> None:
        """As by facts, for whoever has none. What live has crossed meanwhile comes first: it has a date."""
        order: Values = given.order
        self.settle_deferred(given.user, order.replay)
        occasion = Occasion("replay", order.replay, note.notify == "all", "approximate")
        cause = self.cause_of(order, given.record, given.user)
        settlement = FactSettlement(self.program.fact_books(occasion), self._states.user(given.user), cause)
        settlement.settle_past(order.crossings)
        self._tell(given.user, settlement)

    def settle_deferred(self, user: bytes, replay: str) -> None:
        """What live events crossed since activate, as they would have settled it."""
        for deferral in self._deferrals(replay):
            found = deferral.release(self._states.user(user), self.program.current_marks)
            presumed, books = judged_by(found), self.program.fact_books(LIVE)
            for number, fact in enumerate(found, 1):
                known = Known(presumed=presumed, later=thresholds_of(found[number:]))
                self._settle_facts(user, replay, books, self._readable(fact, user), known)

    def settle_all_deferred(self, replay: str) -> None:
        for deferral in self._deferrals(replay):
            for user in self._states.having(deferral.slot, deferral.sign):
                self.settle_deferred(user, replay)

    def _deferrals(self, replay: str) -> list[Deferral]:
        return [each for each in self.program.deferrals if each.replay == replay]

    def _readable(self, fact: Fact, user: bytes) -> Iterator[tuple[Fact, Cause]]:
        """Unless another version came in between that does not know the event."""
        try:
            yield fact, self._cause(fact, user)
        except BadRecord as bad:
            self._complain(f"what user {user.decode()!r} crossed live counts for nothing: {bad}")

    def _cause(self, fact: Fact, user: bytes) -> Cause:
        record = PlainRecord(fact.offset, fact.timestamp, user, fact.value, fact.headers)
        reader = self.program.readers.get(fact.topic)
        reading = reader.read(record) if reader is not None else None
        if reading is None:
            raise BadRecord("bad_order", f"a fact of {fact.topic} at {fact.offset} is no event of what runs here")
        _, event, data, moment = reading
        return Cause(fact.topic, fact.partition, fact.offset, fact.timestamp, event, data, moment, record)

    def take_back(self, given: Given, note: ReplayNote, versions: Versions) -> None:
        """Awards, and single scopes of others, that these versions end."""
        order: Revoke = given.order
        state, books = self._states.user(given.user), self._books(order.replay, note)
        cause = self.cause_of(order, given.record, given.user)
        for catalog, reference in order.awards:
            if (entry := self.ended(books, catalog, reference)) is not None:
                settlement = FactSettlement(books, state, cause)
                settlement.end(entry, versions[catalog])
                self._tell(given.user, settlement)
        for lost in order.scopes:
            if (entry := self.ended(books, lost.catalog, lost.achievement)) is not None:
                settlement = FactSettlement(books, state, cause)
                settlement.end_scopes(entry, versions[lost.catalog], lost.scopes)
                self._tell(given.user, settlement)

    def ended(self, books: FactBooks, catalog: str, reference: str) -> Entry | None:
        """What is to be revoked: of this version, else of the last one that had it."""
        board = books.boards.get(catalog)
        entry = None if board is None else board.held_entry(reference)
        if board is None or entry is not None:
            return entry
        spec = self._programs.former(catalog, reference)
        if spec is None:
            self._complain(f"no achievement '{reference}' was ever in catalog '{catalog}', to be revoked")
            return None
        return board.former_entry(spec)

    def cause_of(self, order: Values | Revoke | Promote, record: Record, user: bytes) -> Cause:
        at = append_moment(record.timestamp)
        event = Told(order.replay, self._topic, user.decode(), at)
        return Cause(self._topic, self._number, record.offset, record.timestamp, event, None, at, record)

    def _books(self, replay: str, note: ReplayNote) -> FactBooks:
        return self.program.fact_books(Occasion("replay", replay, note.notify == "all"))

    def _tell(self, user: bytes, settlement: FactSettlement) -> None:
        self._states.tell([(user, outcome) for outcome in settlement.outcomes])
        self.unlocked += settlement.unlocked
