"""What the owner of a partition makes of a replay's orders: schemas/replays.py says what each of them is.

Everything is a function of the orders, of where the sources stood at each, and of the states. What is noted here
commits with the states, in the control record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from processor.evaluator.awarding import Awarding
from processor.evaluator.filling import Deferred, Filling, Withheld, specs_of
from processor.evaluator.late import Counted, first_read
from processor.evaluator.orders import Fate, Given, States, order_of, read_order
from processor.evaluator.outcomes import Occasion
from processor.evaluator.partition import Folded
from processor.evaluator.programs import Programs, Versions
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.takeover import Kept, Takeover
from schemas.errors import BadCatalog, BadRecord, LaurelError
from schemas.events import append_moment
from schemas.lanes import place_of
from schemas.outcomes import encode_outcome, replay_completed
from schemas.records import PlainRecord, Record
from schemas.replays import (
    Activate,
    Base,
    Cancel,
    Done,
    End,
    Facts,
    Hold,
    Late,
    Named,
    Prepare,
    Promote,
    Publish,
    Rehearse,
    Release,
    ReplayNote,
    Revoke,
    Settle,
    Values,
)
from schemas.state import Control

DONE_REMEMBERED = 100
NOTHING_UNREAD: Mapping[str, Mapping[str, int]] = MappingProxyType({})
UNKNOWN: Versions = MappingProxyType({})
UNDER_WAY = ("filling", "ready", "active", "held", "settled")


class Replays:
    """What a partition runs, and what it knows of every replay.

    Shapes: catalogs, notes, unread and began as in schemas.state.Control. `complain` hears of orders that a job
    should not have sent.
    """

    def __init__(
        self,
        topic: str,
        number: int,
        states: States,
        programs: Programs,
        complain: Callable[[str], None],
    ) -> None:
        self.topic = topic
        self._number, self._states, self._programs, self._complain = number, states, programs, complain
        self.catalogs: dict[str, int] = {}
        self.notes: dict[str, ReplayNote] = {}
        self.unread: dict[str, dict[str, int]] = {}
        self.began: dict[str, int] = {}
        self._counted = Counted(programs)
        self._awarding = Awarding(topic, number, states, programs, complain)
        self._program: ReadyProgram
        self._without: tuple[Any, ReadyProgram] | None = None
        self.prepared: Takeover | str | None = None  # of the promotion that comes next, or why there is none
        self.kept: Kept | None = None  # of a promotion that the next checkpoint commits

    def restore(
        self,
        catalogs: Versions,
        notes: Mapping[str, ReplayNote],
        unread: Mapping[str, Mapping[str, int]] = NOTHING_UNREAD,
        began: Versions = UNKNOWN,
    ) -> None:
        """Run what a control record says; the newest where it says nothing."""
        self.notes, self.prepared = dict(notes), None
        self.unread = {topic: dict(types) for topic, types in unread.items()}
        self._run(catalogs or self._programs.first)
        self.began = dict(began if catalogs else self.catalogs)

    def fold(self, records: Sequence[Record], positions: Mapping[str, int]) -> Folded:
        """Obey these orders, all of which come at these positions of the sources."""
        fates: Counter[Fate] = Counter()
        refused: list[tuple[Record, BadRecord]] = []
        self._awarding.unlocked = 0
        for record in records:
            try:
                fates[self._obey(record, positions)] += 1
            except BadRecord as bad:
                refused.append((record, bad))
        return Folded(fates["applied"], fates["duplicate"], fates["skipped"], refused, self._awarding.unlocked, 0)

    def _obey(self, record: Record, positions: Mapping[str, int]) -> Fate:
        order = read_order(record)
        fate = OBEYED[type(order)](self, Given(order, record, positions))
        if not isinstance(order, Rehearse):
            self.prepared = None  # of states and notes that may be others now
        return fate

    # --- what runs ---

    def wanted(self, order: Publish | Prepare | Promote) -> dict[str, int]:
        """What runs with this order: versions only rise."""
        newer = {name: at for name, at in order.catalogs.items() if at > self.catalogs.get(name, 0)}
        return self.catalogs | newer

    def _publish(self, given: Given) -> Fate:
        order: Publish = given.order
        before, wanted = self.catalogs, self.wanted(order)
        if wanted != before:
            self._run(wanted)
            self._note_first_read(before, given.positions)
            self._note_begun(given.positions)
        has_begun = order.from_now and self._begin_from_now(order.catalogs)
        return "applied" if wanted != before or has_begun else "duplicate"

    def _begin_from_now(self, catalogs: Collection[str]) -> bool:
        """What cancelled replays left of these catalogs, as far as it runs. Returns whether there was something."""
        running = {*self._names_of(catalogs)}
        notes = [(replay, note) for replay, note in self.notes.items() if note.phase == "cancelled"]
        left = [(replay, note) for replay, note in notes if not running.isdisjoint([*note.muted, *note.filling])]
        for replay, note in left:
            self._clear(replay, running.intersection(note.filling))
            muted, filling = _less(note.muted, running), _less(note.filling, running)
            self.notes[replay] = replace(note, muted=muted, filling=filling)
        if left:
            self._run(self.catalogs)
        return bool(left)

    def _names_of(self, catalogs: Collection[str]) -> Iterator[Named]:
        for each in self._program.program.catalogs:
            if each.catalog in catalogs:
                yield from ((each.catalog, metric.key) for metric in each.metrics)
                yield from ((each.catalog, spec.reference) for spec in each.achievements)

    def _clear(self, replay: str, metrics: Collection[Named]) -> None:
        """Out of the states of all whom the replay has touched."""
        program = self._program.program
        filling = Filling(replay, specs_of(program, metrics), program, set())
        for user in self._states.having(filling.slot, filling.sign) if metrics else ():
            filling.clear(self._states.user(user))

    def _note_first_read(self, before: Versions, positions: Mapping[str, int]) -> None:
        """Of event types that are new: what stands before these positions was skipped."""
        for topic, event_type in first_read(self._programs, before, self.catalogs):
            if positions.get(topic):
                self.unread.setdefault(topic, {})[event_type] = positions[topic]

    def _note_begun(self, positions: Mapping[str, int]) -> None:
        """What ran before has counted nothing, and has nothing to be made up for."""
        if not len(self._states) and not any(positions.values()):
            self.began = dict(self.catalogs)

    def _run(self, catalogs: Versions) -> None:
        """Raises: BadRecord when there is no such program, and nothing has changed then."""
        unknown = self._programs.unknown(catalogs)
        if unknown:
            raise BadRecord("bad_order", f"no catalog is published that is {', '.join(unknown)}")
        try:
            has_lost = any(note.revoked for note in self.notes.values())
            program = self._programs.ready(catalogs, self._withheld(), settled=has_lost)
        except BadCatalog as contradiction:
            raise BadRecord("bad_order", f"these versions cannot run together: {contradiction}") from contradiction
        self._program = self._awarding.program = program
        self.catalogs = dict(catalogs)
        self._states.change(program)

    def _withheld(self) -> Withheld:
        pending = {name: note for name, note in self.notes.items() if note.phase in ("filling", "ready")}
        orphaned = {name: note for name, note in self.notes.items() if note.phase == "cancelled"}
        active = [(name, note) for name, note in self.notes.items() if note.phase == "active"]
        return Withheld(
            muted=frozenset(each for note in [*pending.values(), *orphaned.values()] for each in note.muted),
            filling=tuple(sorted((name, frozenset(note.filling)) for name, note in pending.items())),
            idle=frozenset(each for note in orphaned.values() for each in note.filling),
            orphaned=tuple(sorted(name for name, note in orphaned.items() if note.filling)),
            deferred=tuple(
                Deferred(name, frozenset(note.muted), frozenset(note.filling)) for name, note in sorted(active)
            ),
        )

    # --- a replay's course ---

    def _prepare(self, given: Given) -> Fate:
        order: Prepare = given.order
        if order.replay in self.notes:
            return "duplicate"
        before, ran = self.notes, self.catalogs
        wanted = self.wanted(order)
        note = ReplayNote(
            phase="filling",
            catalogs=wanted,
            cut=dict(given.positions),
            muted=order.muted,
            filling=order.filling,
            notify=order.notify,
        )
        self.notes = {name: _taken_over(each, order) for name, each in before.items()} | {order.replay: note}
        try:
            self._run(wanted)
        except BadRecord:
            self.notes = before
            raise
        self._note_first_read(ran, given.positions)
        return "applied"

    def _base(self, given: Given) -> Fate:
        note = self._note(given, "filling", "ready")
        filling = self._program.fillings.get(given.order.replay)
        if note is None or filling is None:
            return "skipped"
        state = self._states.user(given.user)
        if filling.is_based(state):
            return "duplicate"
        filling.join(state, given.order.slots)
        self._now(given.order.replay, users=note.users + 1)
        return "applied"

    def _end(self, given: Given) -> Fate:
        order: End = given.order
        note = self._note(given, "filling", "ready")
        if note is None:
            return "skipped"
        if note.expected is not None:
            return "duplicate"
        self._now(order.replay, expected=order.users)
        return "applied"

    def _now(self, replay: str, **noted: Any) -> None:
        note = replace(self.notes[replay], **noted)
        is_ready = note.phase == "filling" and note.users == note.expected
        self.notes[replay] = replace(note, phase="ready") if is_ready else note

    def _activate(self, given: Given) -> Fate:
        replay = given.order.replay
        note = self.notes.get(replay)
        if note is not None and note.phase in ("active", "done"):
            return "duplicate"
        if note is None or note.phase != "ready":
            return self._protest(given)
        self.notes[replay] = replace(note, phase="active", active_at=dict(given.positions))
        self._run(self.catalogs)
        return "applied"

    def _cancel(self, given: Given) -> Fate:
        """Also of a replay that is not known yet: its prepare may be late."""
        replay = given.order.replay
        note = self.notes.get(replay, ReplayNote(phase="filling"))
        if note.phase == "cancelled":
            return "duplicate"
        if note.phase in ("active", "done"):
            return self._protest(given)
        self.notes[replay] = ReplayNote(
            phase="cancelled", muted=note.muted, filling=note.filling, notify=note.notify, late=note.late
        )
        self._run(self.catalogs)
        return "applied"

    def _done(self, given: Given) -> Fate:
        replay = given.order.replay
        note = self.notes.get(replay)
        if note is not None and note.phase == "done":
            return "duplicate"
        if note is None or note.phase != "active":
            return self._protest(given)
        self._awarding.settle_all_deferred(replay)
        del self.notes[replay]  # the last that is done comes last
        self.notes[replay] = _ended(note)
        self._run(self.catalogs)
        self._tell_completed(replay, given)
        return "applied"

    def _tell_completed(self, replay: str, given: Given) -> None:
        at = append_moment(given.record.timestamp)
        told = replay_completed(replay, self._number, self.notes[replay].notify, self.catalogs, at)
        self._states.tell([(b"", encode_outcome(told))])
        self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        done = [name for name, note in self.notes.items() if note.phase == "done" and not _is_kept(note)]
        for name in done[:-DONE_REMEMBERED]:
            del self.notes[name]

    # --- a full one, until it is promoted ---

    def limit(self, lane: str) -> int | None:
        """How far a lane of the sources may be folded; None for as far as it goes."""
        held = next((note for note in self.notes.values() if note.phase in ("held", "settled")), None)
        if held is None or lane == self.topic or (lane == self.derived and held.phase == "held"):
            return None
        return held.cut.get(lane, 0)  # a topic that only the new versions have is not begun

    @property
    def derived(self) -> str:
        return self._program.program.derived

    @property
    def own_topics(self) -> tuple[str, str]:
        """What this namespace writes itself, so that it follows nobody there."""
        return self.topic, self.derived

    def _hold(self, given: Given) -> Fate:
        order: Hold = given.order
        note = self.notes.get(order.replay)
        if note is not None and (note.phase != "released" or order.attempt <= note.attempt):
            return "duplicate"
        if any(each.phase in UNDER_WAY for each in self.notes.values()):
            return self._protest(given)
        cut = {lane: at for lane, at in given.positions.items() if lane != self.derived}
        self.notes[order.replay] = ReplayNote(phase="held", attempt=order.attempt, cut=cut)
        return "applied"

    def _settle(self, given: Given) -> Fate:
        order: Settle = given.order
        note = self._note(given, "held", "settled")
        if note is None or order.attempt != note.attempt:
            return "skipped"
        derived = max(order.derived, note.cut.get(self.derived, 0))
        self._now(order.replay, phase="settled", cut=note.cut | {self.derived: derived}, refused=None)
        return "applied"

    def _release(self, given: Given) -> Fate:
        """Also of a replay that is not known yet: its hold may be late."""
        order: Release = given.order
        note = self.notes.get(order.replay, ReplayNote(phase="held"))
        if note.phase == "released" or order.attempt < note.attempt:
            return "duplicate"
        if note.phase not in ("held", "settled"):
            return self._protest(given)
        self.notes[order.replay] = ReplayNote(phase="released", attempt=order.attempt)
        return "applied"

    # --- what comes late ---

    def _late(self, given: Given) -> Fate:
        order: Late = given.order
        note = self._note(given, "filling")
        if note is None:
            return "skipped"
        if order.partition != self._number:
            raise BadRecord("bad_order", f"{order.topic}-{order.partition} is none of partition {self._number}'s")
        if order.offset <= note.late.get(order.topic, -1):
            return "duplicate"
        self._now(order.replay, late={**note.late, order.topic: order.offset})
        record = PlainRecord(order.offset, order.timestamp, given.user, order.value, order.headers)
        return self._fold_late(order, record, note)

    def _fold_late(self, order: Late, record: Record, note: ReplayNote) -> Fate:
        notes = self.notes.values()
        if self._counted.is_whole(notes, order.topic, record):
            return "duplicate"
        program = self._program_without(self._counted.metrics(notes, order.topic, record))
        books = program.fact_books(Occasion("replay", order.replay, note.notify == "all"))
        folded = self._states.fold_late(program, order.topic, record, books)
        self._awarding.unlocked += folded.unlocked
        if folded.refused:
            raise folded.refused[0][1]
        return "applied" if folded.applied else "duplicate" if folded.duplicate else "skipped"

    def _program_without(self, counted: frozenset[Named]) -> ReadyProgram:
        """What runs, but for metrics that stay as they are. The last one is kept: records alike come together."""
        if not counted:
            return self._program
        if self._without is None or self._without[0] != (self._program, counted):
            withheld = self._withheld()._replace(unmoved=counted)
            program = self._programs.ready(self.catalogs, withheld, settled=True)
            self._without = (self._program, counted), program
        return self._without[1]

    # --- promotion: prepared with what is read of the shadow, done when the order is folded ---

    def promotion(self, record: Record) -> Promote | None:
        """The order, where it is one to promote, or to rehearse that, and may be obeyed now."""
        order = order_of(record)
        note = self.notes.get(order.replay) if isinstance(order, Promote) else None
        if not isinstance(order, Promote) or note is None or note.phase != "settled":
            return None
        return order if order.attempt == note.attempt else None

    def takeover(self, order: Promote, record: Record, positions: Mapping[str, int], shadow: Control) -> Takeover:
        """What a promote is to be worked out with. Raises: LaurelError when this shadow cannot take over."""
        versions = self.wanted(order)
        if unknown := self._programs.unknown(versions):
            raise LaurelError(f"no catalog is published that is {', '.join(unknown)}")
        program = self._programs.ready(versions)
        self._refuse_unequal(versions, program, positions, shadow)
        self._refuse_unread(order.replay, positions)
        derived = positions.get(self.derived, 0)
        cause_of = partial(self._awarding.cause_of, order, record)
        return Takeover(order, shadow, self._program, program, versions, derived, cause_of, self._awarding.ended)

    def _refuse_unequal(
        self, versions: Versions, program: ReadyProgram, positions: Mapping[str, int], shadow: Control
    ) -> None:
        """The shadow must have folded the very same records, by the very same versions."""
        if shadow.catalogs != versions:
            raise LaurelError(f"the shadow has run {shadow.catalogs}, not {versions}")
        sources = {*program.program.sources} - {*self.own_topics}
        lanes = [lane for lane in positions if place_of(lane, self._number)[0] in sources]
        apart = [
            f"{lane}: {shadow.positions.get(lane, 0)} of {positions[lane]}"
            for lane in lanes
            if shadow.positions.get(lane, 0) != positions[lane]
        ]
        if apart:
            raise LaurelError(f"the shadow does not stand where this partition is held, in {', '.join(apart)}")

    def _refuse_unread(self, replay: str, positions: Mapping[str, int]) -> None:
        end, at = self.notes[replay].cut.get(self.derived, 0), positions.get(self.derived)
        if at is not None and at < end:
            raise LaurelError(f"{self.derived} is read up to {at} here, and was to be up to {end}")

    def _promote(self, given: Given) -> Fate:
        order: Promote = given.order
        if self.promotion(given.record) is None:
            note = self.notes.get(order.replay)
            return "duplicate" if note is not None and note.phase == "done" else self._protest(given)
        takeover = self._rehearsed(order)
        if takeover is None:
            return "skipped"
        self._take_over(order, takeover)
        self._tell_completed(order.replay, given)
        return "applied"

    def _rehearse(self, given: Given) -> Fate:
        if self.promotion(given.record) is None:
            return self._protest(given)
        return "skipped" if self._rehearsed(given.order) is None else "applied"

    def _rehearsed(self, order: Promote) -> Takeover | None:
        """What is prepared for it; where that is nothing, it is noted why."""
        takeover = self.prepared if isinstance(self.prepared, Takeover) else None
        why = None if takeover is not None else self.prepared or "nothing of its shadow was read"
        self._now(order.replay, refused=why)
        if why is not None:
            self._complain(f"replay '{order.replay}' is not promoted here: {why}")
        return takeover

    def _take_over(self, order: Promote, takeover: Takeover) -> None:
        """The states of here go to the shadow, with what is noted of them."""
        cut = self.notes.pop(order.replay).cut
        self.kept = takeover.kept(self.catalogs, self.notes, self.unread)
        whole = {name: replace(note, **takeover.withheld_there(name)) for name, note in self.notes.items()}
        done = ReplayNote(
            phase="done",
            cut=cut,
            catalogs=dict(takeover.versions),
            attempt=order.attempt,
            notify=order.notify,
            revoked=takeover.has_lost,
            promoted=True,
            unmet=sorted(takeover.unmet) if order.policy == "legacy" else [],
        )
        self.notes = whole | {order.replay: done}
        self._run(takeover.versions)
        self._states.replace(takeover.rows)
        self._states.tell(takeover.outcomes)
        self._awarding.unlocked += takeover.unlocked

    # --- what users get ---

    def _facts(self, given: Given) -> Fate:
        note = self._note(given, "active", "done")
        if note is not None:
            self._awarding.give(given, note)
        return "skipped" if note is None else "applied"

    def _values(self, given: Given) -> Fate:
        note = self._note(given, "active", "done")
        if note is not None:
            self._awarding.give_by_values(given, note)
        return "skipped" if note is None else "applied"

    def _revoke(self, given: Given) -> Fate:
        note = self._note(given, "active", "done")
        if note is None:
            return "skipped"
        self._awarding.take_back(given, note, self.catalogs)
        if not note.revoked:
            self._now(given.order.replay, revoked=True)
            self._run(self.catalogs)
        return "applied"

    # --- what should not have come ---

    def _note(self, given: Given, *phases: str) -> ReplayNote | None:
        """What is known of the order's replay, if it is in one of these phases."""
        note = self.notes.get(given.order.replay)
        if note is None or note.phase not in phases:
            self._protest(given)
            return None
        return note

    def _protest(self, given: Given) -> Fate:
        replay = given.order.replay
        known = self.notes.get(replay)
        phase = "not known" if known is None else known.phase
        self._complain(f"{type(given.order).__name__.lower()} came for replay '{replay}', which is {phase}")
        return "skipped"


OBEYED: dict[type, Callable[[Replays, Given], Fate]] = {
    Publish: Replays._publish,
    Prepare: Replays._prepare,
    Base: Replays._base,
    End: Replays._end,
    Activate: Replays._activate,
    Cancel: Replays._cancel,
    Facts: Replays._facts,
    Values: Replays._values,
    Revoke: Replays._revoke,
    Late: Replays._late,
    Done: Replays._done,
    Hold: Replays._hold,
    Settle: Replays._settle,
    Release: Replays._release,
    Promote: Replays._promote,
    Rehearse: Replays._rehearse,
}


def _taken_over(note: ReplayNote, order: Prepare) -> ReplayNote:
    """What a cancelled replay left, less what the new one takes care of."""
    if note.phase != "cancelled":
        return note
    return replace(
        note,
        muted=_less(note.muted, order.muted),
        filling=_less(note.filling, order.filling),
    )


def _less(named: Iterable[Any], taken: Iterable[Any]) -> list[Any]:
    gone = {*taken}
    return [each for each in named if each not in gone]


def _ended(note: ReplayNote) -> ReplayNote:
    """Of one that is done. What it filled has all that lies before its cut, also what was not counted then."""
    if note.filling:
        return replace(note, phase="done", active_at={}, muted=[])
    return replace(note, phase="done", cut={}, active_at={}, muted=[], catalogs={})


def _is_kept(note: ReplayNote) -> bool:
    """Whether it is told for ever what this one did."""
    return note.revoked or note.promoted or bool(note.filling or note.late)
