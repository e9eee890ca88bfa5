"""What a partition makes of its states when those of a shadow take their place.

The shadow has folded the same records by other rules: its metrics, windows, zones and conditions are taken as they
are. What users were told here stays told: nobody is told again what they hold, and an award that was lost so many
times here is another one when it is earned the next time. What the shadow has told beyond that is told here too, in
its own words, as a replay's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from processor.evaluator.endings import Endings, EntryOf, identity_of, parted, scope_of
from processor.evaluator.entries import Entry
from processor.evaluator.outcomes import Occasion
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.scoped import SCOPES_BYTES_MAX
from processor.evaluator.settlement import Settlement
from processor.evaluator.telling import Cause
from schemas.outcomes import (
    AnyOutcome,
    ChallengeOutcome,
    LevelOutcome,
    Outcome,
    decode_any_outcome,
    encode_outcome,
    unlocked_id,
)
from schemas.program import DERIVED_MARK, Ledger
from schemas.replays import Named, Promote, ReplayNote
from schemas.state import (
    AWARD,
    AWARDS,
    CLAIM,
    ID_BYTES,
    LOST,
    AwardEntry,
    Control,
    State,
    decode_state,
    encode_state,
)
from schemas.topics import Names
from schemas.zones import EPOCH_DAY, moment_of

Gain = tuple[str, Any]
"""What a user holds in the shadow and not here: (identity, n there) of an award, (identity, hash) of a scope,
(level/catalog, level), (claims/catalog, claim)."""
Awards = dict[int, AwardEntry]


class Told(NamedTuple):
    """Where a state says what its user was told.

    Shapes: awards identity -> number, scopes identity -> slot, levels and claims catalog -> slot; derived is the
    slot of the derived topic's mark.
    """

    numbers: Mapping[str, int]
    identities: Mapping[int, str]
    scopes: Mapping[str, int]
    levels: Mapping[str, int]
    claims: Mapping[str, int]
    derived: int | None


def told_in(ledger: Ledger) -> Told:
    of_awards = {each: number for each, number in ledger.awards.items() if ">=" not in each and "@" not in each}
    return Told(
        ledger.awards,
        {number: identity for identity, number in of_awards.items()},
        _extras(ledger, "scopes/"),
        _extras(ledger, "level/"),
        _extras(ledger, "claims/"),
        ledger.marks.get(DERIVED_MARK),
    )


def _extras(ledger: Ledger, kind: str) -> dict[str, int]:
    return {each.removeprefix(kind): slot for each, slot in ledger.extras.items() if each.startswith(kind)}


class Parting(NamedTuple):
    """The scopes of an achievement that a user holds here and not in the shadow.

    Shapes: rest, those on both sides; is_lost when they go.
    """

    scopes: list[bytes]
    rest: bytes
    is_lost: bool


class Kept(NamedTuple):
    """What a partition of a shadow holds once it is promoted: the states of here, to go on from for a way back.

    Shapes: rows are those that differ from what it held, None for who had no state here.
    """

    shadow: str
    rows: Mapping[bytes, bytes | None]
    control: Control


class Takeover:
    """One partition's. First every user is replaced, then every outcome of the shadow heard, in its order; of a
    shadow that went on from states of here, then those of here. Where scopes end, those of here are recalled.

    Shapes: rows are the states that change, None for who has none any more; shadow is its control record, versions
    what runs from here on, derived how far the derived topic of here is read, told where the outcomes of the shadow
    end, unheard how much is gained of which no outcome was heard yet, ends those of the shadow's topics when it was
    read; `cause_of` is what stands behind what a user
    is told of it, `entry_of` finds any achievement that was ever there; unmet are those of which somebody keeps an
    award that the new rules do not give.
    """

    def __init__(
        self,
        order: Promote,
        shadow: Control,
        old: ReadyProgram,
        new: ReadyProgram,
        versions: Mapping[str, int],
        derived: int,
        cause_of: Callable[[bytes], Cause],
        entry_of: EntryOf,
    ) -> None:
        self._order, self.versions, self._derived, self._cause_of = order, versions, derived, cause_of
        self._shadow, self._shadow_derived = shadow, shadow.positions.get(Names(order.shadow).derived, 0)
        self._occasion = Occasion("replay", order.replay, order.notify == "all")
        self._books, self._entry_of = new.fact_books(self._occasion), entry_of
        self.endings = Endings(order, old.fact_books(self._occasion), self._books, versions, cause_of, entry_of)
        self._fresh, self._told = new.fresh, told_in(new.program.ledger)
        self._width = len(old.fresh)
        self._gained: dict[bytes, dict[Gain, int]] = {}
        self.unmet: set[Named] = set()
        self.rows: dict[bytes, bytes | None] = {}
        self._kept: dict[bytes, bytes | None] = {}
        self.told = self.unheard = 0
        self.ends: Mapping[str, int] = {}
        self.outcomes = self.endings.outcomes  # all in one, in the order in which it is told
        self.unlocked = 0
        self.has_lost = False

    def replace(self, user: bytes, here: bytes | None, there: bytes | None) -> None:
        """Work out a user's state from the one here and the shadow's. Live waits for it, of every user: most of
        them hold the same on both sides."""
        mine, state = self._decoded(here), self._decoded(there)
        before = state[:]
        gains = self._join_slots(mine, state)
        partings = self._join_scopes(mine, state, gains)
        if mine[AWARDS] == state[AWARDS] and not partings:
            self._note_losses(state)
        else:
            self._keep_xp(user, state, self._join_awards(user, mine, state, gains, partings))
        self._set_mark(state, self._derived)
        if gains:
            self._gained[user] = gains
            self.unheard += len(gains)
        self._keep(user, here, mine, there)
        row = there if state == before else encode_state(state)
        if row != here:
            self.rows[user] = row

    def _decoded(self, row: bytes | None) -> State:
        return self._fresh[:] if row is None else decode_state(row, self._fresh)

    def _set_mark(self, state: State, position: int) -> bool:
        """The derived topic of here is another than the shadow's, and all of both up to the cut is counted."""
        mark = self._told.derived
        if mark is None or state[mark] < 0:
            return False
        state[mark] = position - 1
        return True

    def _keep(self, user: bytes, here: bytes | None, mine: State, there: bytes | None) -> None:
        """Only rows without a mark of the derived topic are for the shadow what they are here."""
        moved = here is not None and self._set_mark(mine, self._shadow_derived)
        kept = encode_state(mine[: self._width]) if moved else here
        if kept != there:
            self._kept[user] = kept

    def kept(self, ran: Mapping[str, int], notes: Mapping[str, ReplayNote], unread: Mapping[str, Any]) -> Kept:
        """Shapes: ran, notes and unread as the control record of here had them."""
        noted = {**notes, self._order.replay: ReplayNote(phase="done", told=self.told)}
        control = replace(self._shadow, catalogs=dict(ran), replays=noted, unread=dict(unread))
        return Kept(self._order.shadow, self._kept, control)

    def withheld_there(self, name: str) -> dict[str, Any]:
        """What a cancelled replay of before had left half done in the states of the shadow: as a rule nothing."""
        note = self._shadow.replays.get(name)
        return {"muted": [] if note is None else note.muted, "filling": [] if note is None else note.filling}

    @property
    def size(self) -> int:
        """Units: bytes, of all that is to be written."""
        rows = sum(len(row or b"") for kept in (self.rows, self._kept) for row in kept.values())
        return rows + sum(len(value) for _, value in self.outcomes)

    # --- what was told ---

    def _join_slots(self, mine: State, state: State) -> dict[Gain, int]:
        gains: dict[Gain, int] = {}
        for catalog, slot in self._told.claims.items():
            if mine[slot] == state[slot]:
                continue
            state[slot], fresh = _united(mine[slot], state[slot], CLAIM.size)
            gains |= {(f"claims/{catalog}", claim): 0 for claim in fresh}
        for catalog, slot in self._told.levels.items():
            if mine[slot] == state[slot]:
                continue
            gains |= {(f"level/{catalog}", each): 0 for each in range(max(1, mine[slot]) + 1, state[slot] + 1)}
            state[slot] = max(mine[slot], state[slot])
        return gains

    def _join_scopes(self, mine: State, state: State, gains: dict[Gain, int]) -> dict[str, Parting]:
        partings = {}
        for identity, slot in self._told.scopes.items():
            if mine[slot] == state[slot]:
                continue
            parting = self._parting(identity, mine[slot], state[slot])
            stay = parting.rest if parting.is_lost else mine[slot]
            state[slot], fresh = _united(stay, state[slot], ID_BYTES, SCOPES_BYTES_MAX)
            gains |= {(identity, digest): 0 for digest in fresh}
            partings[identity] = parting
        return partings

    def _parting(self, identity: str, mine: bytes, theirs: bytes) -> Parting:
        known = {*_items(theirs, ID_BYTES)}
        only_here = [each for each in _items(mine, ID_BYTES) if each not in known]
        rest = b"".join(each for each in _items(mine, ID_BYTES) if each in known)
        return Parting(only_here, rest, bool(only_here) and self.endings.entry(identity) is not None)

    def _join_awards(
        self, user: bytes, mine: State, state: State, gains: dict[Gain, int], partings: Mapping[str, Parting]
    ) -> list[tuple[str, int]]:
        """Returns what stays and is not held there, as (identity, earned at), once for each scope."""
        here, there = self._less(_awards(mine), partings), _awards(state)
        gained = [each for each, held in there.items() if held.at != LOST and _at(here, each) == LOST]
        for number in gained:
            self._gain(number, here.get(number), there, gains)
        known = {each: self._told.identities[each] for each in here if each in self._told.identities}
        lasting = {number: identity for number, identity in known.items() if number not in gained}
        only_here = {
            identity: here[number]
            for number, identity in lasting.items()
            if here[number].at != LOST and _at(there, number) == LOST
        }
        ended = self._end(user, only_here, partings)
        for number, identity in lasting.items():
            held = here[number]
            there[number] = _lost(held) if identity in ended else self._last(identity, held, there.get(number))
        state[AWARDS] = b"".join(AWARD.pack(number, *each) for number, each in there.items())
        self._number_scopes(gains, there)
        self._note_losses(state)
        return self._kept_scopes(here, partings) + [
            (identity, held.at) for identity, held in only_here.items() if identity not in {*ended, *partings}
        ]

    def _less(self, here: Awards, partings: Mapping[str, Parting]) -> Awards:
        """With the last scope the award itself goes."""
        for identity, parting in partings.items():
            number = self._told.numbers[identity]
            if parting.is_lost and number in here:
                held = here[number]
                here[number] = AwardEntry(held.revoked + 1, held.at) if parting.rest else _lost(held)
        return here

    def _end(self, user: bytes, only_here: Mapping[str, AwardEntry], partings: Mapping[str, Parting]) -> set[str]:
        ended = {identity for identity in only_here if self.endings.entry(identity) is not None}
        lost = {identity: each for identity, each in partings.items() if each.is_lost}
        gone = ended | {identity for identity, each in lost.items() if not each.rest}
        for identity in [each for each in only_here if each in ended]:
            self.endings.end(user, identity, only_here[identity], gone)
        for identity, parting in lost.items():
            self.endings.end_scopes(user, identity, parting.scopes, gone)
        return ended

    def _last(self, identity: str, here: AwardEntry, there: AwardEntry | None) -> AwardEntry:
        """Of an award that is held on both sides, or on none; or here, to stay."""
        if there is None or (here.at != LOST and identity not in self._told.scopes):
            return here
        return AwardEntry(max(here.revoked, there.revoked), here.at)

    def _number_scopes(self, gains: dict[Gain, int], there: Awards) -> None:
        """Scopes are told by how often their award was lost, on whichever side."""
        for identity, scope in gains:
            if identity in self._told.scopes:
                gains[identity, scope] = there[self._told.numbers[identity]].revoked

    def _kept_scopes(self, here: Awards, partings: Mapping[str, Parting]) -> list[tuple[str, int]]:
        staying = {identity: each.scopes for identity, each in partings.items() if not each.is_lost}
        return [
            (identity, _at(here, self._told.numbers[identity]))
            for identity, scopes in staying.items()
            for _ in scopes
        ]

    def _note_losses(self, state: State) -> None:
        entries = () if self.has_lost else AWARD.iter_unpack(state[AWARDS])
        self.has_lost |= any(revoked and number in self._told.identities for number, revoked, _ in entries)

    def _gain(self, number: int, here: AwardEntry | None, there: Awards, gains: dict[Gain, int]) -> None:
        identity, held = self._told.identities.get(number), there[number]
        if identity is None:
            return
        n = max(held.revoked, 0 if here is None else here.revoked)
        there[number] = AwardEntry(n, held.at)
        scopes = [gain for gain in gains if gain[0] == identity]
        gains.update(dict.fromkeys(scopes or [(identity, held.revoked)], n))

    def _keep_xp(self, user: bytes, state: State, kept: Iterable[tuple[str, int]]) -> None:
        """An award that stays has given its XP, which the shadow has not."""
        entries = [(self._entry(identity), at) for identity, at in kept]
        giving = [(entry, moment_of(at)) for entry, at in entries if entry is not None and entry.spec.xp]
        self.unmet |= {parted(identity) for identity, _ in kept}
        if giving:
            settlement = KeptSettlement(self._books, state, self._cause_of(user))
            settlement.keep(giving)
            self.outcomes += [(user, outcome) for outcome in settlement.outcomes]
            self.unlocked += settlement.unlocked

    def _entry(self, identity: str) -> Entry | None:
        return self._entry_of(self._books, *parted(identity))

    # --- what is told now ---

    def hear(self, user: bytes | None, value: bytes) -> None:
        """An outcome of the shadow: told, if it is about what was gained."""
        gains = self._gained.get(user) if user is not None else None
        if user is None or not gains:
            return
        outcome = decode_any_outcome(value)
        name = GAIN_OF.get(type(outcome))
        gain = None if name is None else name(self._told, outcome)
        if gain in gains:
            self.unheard -= 1
            self.outcomes.append((user, encode_outcome(self._said_here(outcome, gains.pop(gain)))))
            self.unlocked += isinstance(outcome, Outcome)

    def _said_here(self, outcome: Any, n: int) -> AnyOutcome:
        origin, replay_id, announce, _ = self._occasion
        data = replace(outcome.data, origin=origin, replay_id=replay_id, announce=announce)
        if not isinstance(outcome, Outcome) or n <= data.n:
            told: AnyOutcome = replace(outcome, data=data)
            return told
        identity = unlocked_id(
            data.catalog, data.achievement, outcome.subject, tier=data.tier, scope=data.scope, n=n
        )
        return replace(outcome, id=identity, data=replace(data, n=n))

    @property
    def goes_on_from(self) -> int | None:
        """Of a shadow that went on from states of here: where what it has told since begins."""
        return next((note.told for note in self._shadow.replays.values() if note.told is not None), None)

    @property
    def untold(self) -> Iterator[tuple[bytes, Gain]]:
        """What the shadow's states hold, and no outcome says that was heard."""
        return ((user, gain) for user, gains in self._gained.items() for gain in gains)


class KeptSettlement(Settlement):
    """Of awards that the new rules would not have given."""

    def keep(self, kept: Iterable[tuple[Entry, datetime]]) -> None:
        for entry, at in kept:
            self._give_xp(entry.board, entry.spec.xp, at)
        self._conclude()


def _awards(state: State) -> Awards:
    return {number: AwardEntry(revoked, at) for number, revoked, at in AWARD.iter_unpack(state[AWARDS])}


def _at(awards: Awards, number: int) -> int:
    held = awards.get(number)
    return LOST if held is None else held.at


def _lost(held: AwardEntry) -> AwardEntry:
    return AwardEntry(held.revoked + 1, LOST)


def _united(mine: bytes, theirs: bytes, width: int, most: int | None = None) -> tuple[bytes, list[bytes]]:
    """Mine, and behind it what is only theirs; and that alone."""
    known = {*_items(mine, width)}
    fresh = [each for each in _items(theirs, width) if each not in known]
    room = len(fresh) if most is None else max(0, most - len(mine)) // width
    return mine + b"".join(fresh[:room]), fresh[:room]


def _items(packed: bytes, width: int) -> Iterator[bytes]:
    return (packed[start : start + width] for start in range(0, len(packed), width))


def _gain_of_award(told: Told, outcome: Outcome) -> Gain:
    return scope_of(outcome) if outcome.data.scope else (identity_of(outcome), outcome.data.n)


def _gain_of_level(told: Told, outcome: LevelOutcome) -> Gain:
    return f"level/{outcome.data.catalog}", outcome.data.level


def _gain_of_claim(told: Told, outcome: ChallengeOutcome) -> Gain:
    said = outcome.data
    number = told.numbers[f"{said.catalog}/@challenge/{said.challenge}"]
    return f"claims/{said.catalog}", CLAIM.pack(said.day.toordinal() - EPOCH_DAY, number)


GAIN_OF: dict[type, Callable[[Told, Any], Gain]] = {
    Outcome: _gain_of_award,
    LevelOutcome: _gain_of_level,
    ChallengeOutcome: _gain_of_claim,
}
