"""Which awards the operator's policy takes back, and from whom: of a partition, by its states as they are now.

States keep scopes as hashes. Their words, and how often each was given before, are in what was told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec

from processor.evaluator.scoped import has_scope
from processor.replay.past import Past
from processor.replay.winners import decode_slots
from schemas.outcomes import UNLOCKED
from schemas.program import Program
from schemas.replays import LostScope, LostScopes, Named, Revoke
from schemas.state import AWARD, AWARDS, LOST
from schemas.zones import microseconds


class Award(msgspec.Struct):
    catalog: str
    achievement: str
    tier: str | None
    scope: str
    n: int

    @property
    def name(self) -> Named:
        return self.catalog, f"{self.achievement}/{self.tier}" if self.tier else self.achievement


class Unlock(msgspec.Struct):
    """Of an outcome what tells whether it is one that is looked for."""

    type: str
    subject: str
    time: datetime
    data: msgspec.Raw


decode_unlock = msgspec.json.Decoder(Unlock).decode
decode_award = msgspec.json.Decoder(Award).decode


class Ended(NamedTuple):
    """Shapes: names of awards that may be taken back; to whom the past gives one of the judged, it stays."""

    judged: Collection[Named]
    gone: Collection[Named]


class Revocations:
    """Shapes: numbers of awards without scopes -> their names; of those with scopes, names -> their numbers."""

    def __init__(self, replay: str, program: Program, ended: Ended, past: Past) -> None:
        self._replay, self._past = replay, past
        self._slotted = _with_scopes(program, ended)
        numbers = program.ledger.awards
        self._scoped = {name: numbers["/".join(name)] for name in self._slotted}
        names = {*ended.judged, *ended.gone} - self._slotted
        self._whole = {numbers["/".join(name)]: name for name in names if "/".join(name) in numbers}
        self._numbers = frozenset((*self._whole, *self._scoped.values()))
        self._given: dict[bytes, dict[Named, dict[str, LostScope]]] = {}

    @property
    def has_scopes(self) -> bool:
        return bool(self._scoped)

    def hear(self, outcomes: Iterable[bytes]) -> None:
        """What was told, in its order."""
        for value in outcomes:
            told = decode_unlock(value)
            if told.type == UNLOCKED:
                self._note(told, decode_award(told.data))

    def _note(self, told: Unlock, award: Award) -> None:
        if award.name in self._scoped:
            scopes = self._given.setdefault(told.subject.encode(), {}).setdefault(award.name, {})
            scopes[award.scope] = LostScope(scope=award.scope, n=award.n, earned_at=microseconds(told.time))

    def held(self, row: bytes) -> frozenset[int]:
        """The numbers of what may go. Shapes: row is the state, whatever version wrote it."""
        numbers = {number for number, _, at in AWARD.iter_unpack(decode_slots(row)[AWARDS]) if at != LOST}
        return self._numbers & numbers

    def of(self, user: bytes, held: frozenset[int]) -> Revoke | None:
        """What this user loses of it, by the past as far as it is folded."""
        lost = sorted((held & self._whole.keys()) - self._past.given(user)) if held else []
        parted = [name for name, number in self._scoped.items() if number in held]
        scopes = [each for name in parted for each in self._lost(user, name)]
        if not lost and not scopes:
            return None
        return Revoke(replay=self._replay, awards=[self._whole[each] for each in lost], scopes=scopes)

    def _lost(self, user: bytes, name: Named) -> Iterable[LostScopes]:
        earned = self._past.scopes(user, name)
        told = self._given.get(user, {}).get(name, {})
        lost = [each for scope, each in sorted(told.items()) if not has_scope(earned, scope)]
        if lost:
            yield LostScopes(catalog=name[0], achievement=name[1], scopes=lost)


def _with_scopes(program: Program, ended: Ended) -> set[Named]:
    """By the rule that runs; by that of before where none does."""
    running = {
        (catalog.catalog, spec.reference)
        for catalog in program.catalogs
        for spec in catalog.achievements
        if spec.scopes is not None
    }
    before = {name for name in ended.gone if f"scopes/{'/'.join(name)}" in program.ledger.extras}
    return (running & {*ended.judged}) | before
