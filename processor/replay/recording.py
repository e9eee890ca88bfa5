"""What the fold of a past notes where the live one would tell: crossings, with all that makes an award of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple

from processor.evaluator.entries import Entry, Waiting, Won
from processor.evaluator.metrics.each import Instance
from processor.evaluator.metrics.kind import Thresholds
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.scoped import DirectAward, is_free, scopes_slot
from processor.evaluator.settlement import Books, Crossings, Settlement
from processor.evaluator.telling import Cause
from processor.replay.excerpt import Aim, Excerpt
from schemas.periods import period_name
from schemas.program import XP, MetricSpec
from schemas.replays import ByEvent, Crossing, InPeriod, Named, Threshold
from schemas.state import AWARD, AWARDS, LOST, State, awarded_at, value_reader, with_award
from schemas.zones import microseconds


class Note(NamedTuple):
    """What a record crossed."""

    user: bytes
    offset: int
    crossings: list[Crossing]


class Watched(NamedTuple):
    """A threshold that the aim waits for.

    Shapes: number is where the first crossing is remembered, None where every one is told.
    """

    catalog: str
    metric: MetricSpec
    at: int
    number: int | None

    def value(self, state: State) -> int:
        return value_reader(self.metric)(state, self.metric.slot) or 0


class Recorder(Books):
    """Settles as the books of a program do, tells nothing, and notes what is crossed.

    A threshold for which something of the aim, or a level, waits: of a metric that does not only grow the first
    time, unless a compound remembers when it was last crossed. An event that is an award, or a period's threshold,
    while its scope is free. And every award of the aim that hangs on more than one threshold, or that can be lost,
    whenever it is given: the values of now cannot tell that.
    """

    def __init__(self, ready: ReadyProgram, excerpt: Excerpt, aim: Aim) -> None:
        books = ready.books
        assert books is not None, "made ready to be settled"
        super().__init__(books.rules, books.offers, ready.templates)
        self.notes: list[Note] = []
        self._numbers = count(excerpt.free_number)
        self._aim = frozenset(aim.awards)
        self._watched: dict[Waiting, Watched] = {}
        self._wanted: dict[Entry, Named] = {}
        self._verdicts: dict[int, Named] = {}
        self._experience: list[tuple[MetricSpec, Thresholds]] = []
        for catalog in excerpt.program.catalogs:
            board = ready.boards[catalog.catalog]
            self._note_entries(catalog.catalog, board.entries)
            for metric in catalog.metrics:
                self._watch(catalog.catalog, metric, board.waiting[metric.key])

    def drained(self) -> list[Note]:
        notes, self.notes = self.notes, []
        return notes

    def decide(self, state: State, crossings: Crossings, data: Any) -> tuple[Won, Crossings]:
        """All is noted with its record."""
        return [], crossings

    def settle(self, state: State, crossings: Crossings, cause: Cause) -> Settlement:
        """What a record crossed; of the settlement nothing is left to be told."""
        crossings = list(crossings)
        found = [each for crossed, at in crossings for each in self._crossed(state, crossed, at, cause)]
        before, experience = state[AWARDS], self._xp_values(state)
        super().settle(state, crossings, cause)
        found += self._crossed_by_awards(state, experience)
        found += self._given(before, state[AWARDS])
        if found:
            self.notes.append(Note(cause.event.subject.encode(), cause.offset, found))
        return Settlement(self, state, cause)

    # --- what is watched ---

    def _note_entries(self, catalog: str, entries: list[Entry]) -> None:
        for entry in entries:
            name = catalog, entry.spec.reference
            if name in self._aim:
                self._wanted[entry] = name
                if not (entry.spec.on or entry.spec.scopes is not None) and _has_verdict(entry):
                    self._verdicts[entry.spec.number] = name

    def _watch(self, catalog: str, metric: MetricSpec, waiting: dict[int, Waiting]) -> None:
        for at, each in waiting.items():
            if each.level is not None or any(entry in self._wanted for entry in each.entries):
                is_told_always = metric.only_grows or each.number is not None or self._may_lose(each)
                number = None if is_told_always else next(self._numbers)
                self._watched[each] = Watched(catalog, metric, at, number)
        watched = {at: each for at, each in waiting.items() if each in self._watched}
        if metric.key == XP and watched:
            self._experience.append((metric, Thresholds(watched)))

    def _may_lose(self, waiting: Waiting) -> bool:
        """Each verdict comes with the value that the metric had come to."""
        return any(entry in self._wanted and entry.spec.revocable != "no" for entry in waiting.entries)

    # --- what is crossed ---

    def _crossed(self, state: State, crossed: Any, at: datetime, cause: Cause) -> Iterator[Crossing]:
        if isinstance(crossed, Waiting):
            yield from self._threshold(state, crossed, at)
        elif isinstance(crossed, Instance):
            yield from self._period(state, crossed, at)
        elif isinstance(crossed, DirectAward) and crossed.entry in self._wanted and _is_new(state, crossed):
            catalog, reference = self._wanted[crossed.entry]
            yield ByEvent(catalog=catalog, achievement=reference, scope=crossed.scope, crossed_at=microseconds(at))

    def _threshold(self, state: State, waiting: Waiting, at: datetime) -> Iterator[Crossing]:
        watched = self._watched.get(waiting)
        if watched is None:
            return
        catalog, metric, threshold, number = watched
        if number is not None:
            if awarded_at(state[AWARDS], number) is not None:
                return
            state[AWARDS] = with_award(state[AWARDS], number, microseconds(at))
        value = watched.value(state)
        yield Threshold(catalog=catalog, metric=metric.key, at=threshold, value=value, crossed_at=microseconds(at))

    def _period(self, state: State, instance: Instance, at: datetime) -> Iterator[Crossing]:
        waiting = instance.waiting
        watched = self._watched.get(waiting) if isinstance(waiting, Waiting) else None
        if watched is None or not any(self._is_free(state, entry, instance) for entry in _entries(waiting)):
            return
        yield InPeriod(
            catalog=watched.catalog,
            metric=watched.metric.key,
            at=watched.at,
            period=instance.period,
            value=instance.value,
            crossed_at=microseconds(at),
        )

    def _is_free(self, state: State, entry: Entry, instance: Instance) -> bool:
        window = entry.spec.window
        if entry not in self._wanted or window is None or window.every is None:
            return False
        return is_free(state[scopes_slot(entry)], period_name(instance.period, window.every))

    def _xp_values(self, state: State) -> list[int]:
        return [value_reader(metric)(state, metric.slot) or 0 for metric, _ in self._experience]

    def _crossed_by_awards(self, state: State, before: list[int]) -> Iterator[Crossing]:
        """What the XP of awards and challenges came to, which no event crosses."""
        for (metric, thresholds), value in zip(self._experience, before, strict=True):
            after = value_reader(metric)(state, metric.slot) or 0
            for waiting, at in thresholds.between(value, after, state[metric.slot + 2]) or ():
                yield from self._threshold(state, waiting, at)

    def _given(self, before: bytes, after: bytes) -> Iterator[Crossing]:
        """The verdicts: what was not held before, and is now."""
        if not self._verdicts or after is before:
            return
        known = {(number, n) for number, n, at in AWARD.iter_unpack(before) if at != LOST}
        for number, n, at in AWARD.iter_unpack(after):
            if number in self._verdicts and (number, n) not in known and at != LOST:
                catalog, reference = self._verdicts[number]
                yield ByEvent(catalog=catalog, achievement=reference, scope="", crossed_at=at, n=n)


def _is_new(state: State, award: DirectAward) -> bool:
    spec = award.entry.spec
    if spec.scopes is None:
        return awarded_at(state[AWARDS], spec.number) is None
    return is_free(state[spec.scopes], award.scope)


def _has_verdict(entry: Entry) -> bool:
    return not entry.simple or entry.spec.revocable != "no"


def _entries(waiting: object) -> list[Entry]:
    return waiting.entries if isinstance(waiting, Waiting) else []
