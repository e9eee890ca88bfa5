"""Metrics that a replay fills: what of a user's they hold, and how the past joins it.

The slot `@replays` of a state has an entry for each replay that has touched the user and is not done yet: the hash
of its id (8 bytes), and a byte that says whether the past has joined, or all facts have come. Without an entry the
slots of the replay's metrics hold what a cancelled replay left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from xxhash import xxh3_64_digest

from processor.evaluator.metrics import KINDS, Crossed, Step
from processor.evaluator.metrics.bridged import united_edges
from processor.evaluator.metrics.distinct import place_of
from schemas.errors import BadRecord
from schemas.events import Attributes
from schemas.program import REPLAYS_SLOT, MetricSpec, Program
from schemas.replays import Named
from schemas.state import State, fresh_state, slots_of, storage_of

BEGUN, BASED, TOLD = b"\0", b"\1", b"\2"
ENTRY_BYTES = 9


class Deferred(NamedTuple):
    """What a replay that is active gives by facts: to whom they have not come, live events give it behind them."""

    replay: str
    awards: frozenset[Named]
    metrics: frozenset[Named]


class Withheld(NamedTuple):
    """What replays keep from having effect.

    Shapes: muted achievements are not given. `filling`, (replay, its metrics), are counted, and nothing waits for
    them; `idle` are those that a cancelled replay left half filled: they are not even counted. `deferred`, one for
    each active replay, waits for users' facts.
    """

    muted: frozenset[Named] = frozenset()
    filling: tuple[tuple[str, frozenset[Named]], ...] = ()
    idle: frozenset[Named] = frozenset()
    unmoved: frozenset[Named] = frozenset()  # what waits for them does, but they stay as they are
    deferred: tuple[Deferred, ...] = ()
    orphaned: tuple[str, ...] = ()  # the cancelled replays that left `idle`: their entries tell in whose states

    def silent(self, catalog: str) -> set[str]:
        """The metrics of a catalog for which nothing waits."""
        filling = {named for _, metrics in self.filling for named in metrics}
        return {key for name, key in filling | self.idle if name == catalog}


NOTHING = Withheld()


class Filling:
    """The metrics of one replay that is not active yet.

    Shapes: others are the hashes of the ids of the other replays whose entries still count.
    """

    def __init__(self, replay: str, metrics: Sequence[MetricSpec], program: Program, others: set[bytes]) -> None:
        self.sign, self._others = mark_of(replay), others
        self.slot = program.ledger.extras[REPLAYS_SLOT]
        self._metrics = {metric.slot: metric for metric in metrics}
        fresh = fresh_state(program.ledger)
        self._defaults = [(slots, fresh[slots]) for metric in metrics for slots in places_of(metric)]

    def begin(self, state: State) -> None:
        """Take out what a cancelled replay left, before the first of this one goes in. Hot while a replay runs."""
        entries: bytes = state[self.slot]
        if place_of(entries, self.sign, ENTRY_BYTES) >= 0:
            return
        self.clear(state)
        state[self.slot] = with_standing(entries, self.sign, BEGUN, self._others)

    def clear(self, state: State) -> None:
        """As if nothing had ever been counted."""
        for slots, default in self._defaults:
            state[slots] = default

    def is_based(self, state: State) -> bool:
        return standing_of(state[self.slot], self.sign) == BASED

    def join(self, state: State, past: Mapping[int, Sequence[Any]]) -> None:
        """Put what was before the cut before what has been since.

        Shapes: past as in schemas.replays.Base. Raises: BadRecord when it is not of these metrics.
        """
        self._check(past)
        self.begin(state)
        for first, metric in self._metrics.items():
            if first in past:
                join(state, metric, past)
        state[self.slot] = with_standing(state[self.slot], self.sign, BASED, self._others)

    def _check(self, past: Mapping[int, Sequence[Any]]) -> None:
        sizes = {slots.start: slots.stop - slots.start for slots, _ in self._defaults}
        strange = [slot for slot, values in past.items() if sizes.get(slot) != len(values)]
        if strange:
            raise BadRecord("bad_order", f"a base names slots {strange}, which its replay does not fill like this")


def join(state: State, metric: MetricSpec, past: Mapping[int, Sequence[Any]]) -> None:
    slots, *edges = places_of(metric)
    for place in edges:
        state[place.start] = united_edges(past.get(place.start, [b""])[0], state[place.start])
    kind = KINDS[storage_of(metric)]
    state[slots] = kind.merge(tuple(past[slots.start]), tuple(state[slots]))
    if kind.settle is not None:
        kind.settle(state, metric)


def places_of(metric: MetricSpec) -> list[slice]:
    """The slots of a metric, then that of its edge days if it has some."""
    slots = slice(metric.slot, metric.slot + len(slots_of(metric)))
    return [slots] if metric.edges is None else [slots, slice(metric.edges, metric.edges + 1)]


def fillings(program: Program, withheld: Withheld) -> dict[str, Filling]:
    """By the replay's id."""
    marks = current_marks(withheld)
    return {
        replay: Filling(replay, specs_of(program, named), program, marks - {mark_of(replay)})
        for replay, named in withheld.filling
        if named
    }


def current_marks(withheld: Withheld) -> set[bytes]:
    """Of the replays whose entries in a state still count."""
    deferred = (each.replay for each in withheld.deferred)
    return {mark_of(replay) for replay in (*dict(withheld.filling), *deferred, *withheld.orphaned)}


def specs_of(program: Program, named: Collection[Named]) -> list[MetricSpec]:
    placed = {(catalog.catalog, metric.key): metric for catalog in program.catalogs for metric in catalog.metrics}
    return [placed[each] for each in sorted(named) if each in placed]


def mark_of(replay: str) -> bytes:
    return xxh3_64_digest(replay.encode())


def standing_of(entries: bytes, mark: bytes) -> bytes:
    """How far a replay is with a user; nothing where it has not touched the user."""
    place = place_of(entries, mark, ENTRY_BYTES)
    return b"" if place < 0 else entries[place + ENTRY_BYTES - 1 : place + ENTRY_BYTES]


def with_standing(entries: bytes, mark: bytes, standing: bytes, others: Collection[bytes]) -> bytes:
    """The entries with this one said anew, and no more than these others."""
    each = (entries[start : start + ENTRY_BYTES] for start in range(0, len(entries), ENTRY_BYTES))
    return b"".join(entry for entry in each if entry[:-1] in others and entry[:-1] != mark) + mark + standing


def filled(step: Step, filling: Filling) -> Step:
    """The step of a metric that is being filled."""
    begin = filling.begin

    def fill(state: State, data: Any, at: datetime, event: Attributes) -> Crossed | None:
        begin(state)
        return step(state, data, at, event)

    return fill
