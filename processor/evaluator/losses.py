"""What a record takes away: awards that no longer hold, what hangs on them, and what hangs on the XP they gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from heapq import heappop, heappush

from processor.evaluator.entries import Board, Entry, Ready, Won
from processor.evaluator.revocation import award_reason
from processor.evaluator.rules import Rules
from processor.evaluator.telling import Lost
from schemas.outcomes import Reason
from schemas.program import XP
from schemas.state import AWARDS, State, award_of, without_award
from schemas.zones import moment_of


class Losses:
    """One record's. Shapes: told is what was lost, as it is told, in its order, and when it was earned."""

    __slots__ = ("_at", "_due", "_rules", "_state", "chains", "told")

    def __init__(self, rules: Mapping[Board, Rules], state: State, at: datetime) -> None:
        self._rules, self._state, self._at = rules, state, at
        self._due: list[Entry] = []
        self.chains: dict[Board, dict[str, list[Reason]]] = {}
        self.told: Won = []

    def let_hang(self, entries: Iterable[Entry]) -> None:
        for each in entries:
            heappush(self._due, each)

    def let_fall(self) -> None:
        """In the order of the program, until nothing more follows."""
        while self._due:
            entry = heappop(self._due)
            if entry.is_held(self._state[AWARDS]) and not is_for_good(entry) and (why := self._reasons(entry)):
                self.revoke(entry, why)

    def revoke(self, entry: Entry, reasons: list[Reason]) -> None:
        state, number, rules = self._state, entry.number, self._rules[entry.board]
        self.note(entry, reasons)
        ended = award_of(state[AWARDS], number)
        assert ended is not None
        state[AWARDS] = without_award(state[AWARDS], number)
        lost = Lost(rules.teller(entry), self._at, ended.revoked, reasons)
        self.told.append((Ready(entry.board.place_of_losses, lost, False), moment_of(ended.at)))
        self.let_hang(entry.dependants)
        self.take_xp_back(entry)

    def note(self, entry: Entry, reasons: list[Reason]) -> None:
        """Why it was lost: what requires it is lost by that."""
        self.chains.setdefault(entry.board, {})[entry.spec.reference] = reasons

    def take_xp_back(self, entry: Entry) -> None:
        experience = self._rules[entry.board].experience
        if entry.spec.xp and experience is not None:
            self.let_hang(experience.take_back(self._state, entry.spec.xp, self._at))

    def _reasons(self, entry: Entry) -> list[Reason]:
        """The chain that ends this award, from the outermost cause; nothing where it still stands."""
        standing, chains = self._rules[entry.board].standing(entry), self.chains.get(entry.board, {})
        chain = standing.broken_chain(self._state, chains)
        if chain is not None:
            return chain
        below = standing.below(self._state)
        if below is None:
            return []
        if below.metric == XP and chains:
            latest = next(reversed(chains))
            return [*chains[latest], award_reason(latest), below]
        return [below]


def is_for_good(entry: Entry) -> bool:
    """Whether nothing can end it: it happened, in some scope."""
    return bool(entry.spec.on) or entry.spec.scopes is not None
