"""Which achievement waits for what, and when it is earned.

A condition is looked at only when one of its thresholds is crossed or an award it requires is won: an event that
crosses nothing costs the same with a hundred definitions and with a hundred thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from heapq import heapify, heappop, heappush
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

from msgspec.structs import replace

from processor.evaluator.filling import NOTHING, Withheld
from schemas.program import (
    XP,
    AchievementSpec,
    All,
    AtLeast,
    CatalogProgram,
    Condition,
    LevelsSpec,
    MetricSpec,
    comparisons,
)
from schemas.state import (
    AWARDS,
    LOW_BYTES,
    AwardEntry,
    State,
    award_entry,
    award_of,
    awarded_at,
    low_byte,
    pack_award,
    value_reader,
    with_award,
)
from schemas.zones import microseconds, moment_of

Since = Callable[[State], int | None]  # microseconds since 1970, None while it does not hold


class Entry:
    """An achievement at run time. Entries are compared by their place in the program.

    Shapes: one that stands alone has a single threshold, and is told alike to everybody, whatever else the record
    comes to.
    """

    __slots__ = (
        "board",
        "counts_xp",
        "dependants",
        "holds_since",
        "is_award",
        "is_told_alike",
        "lasts",
        "low",
        "needs",
        "number",
        "place",
        "progress_of",
        "simple",
        "spec",
        "stands_alone",
    )

    def __init__(
        self, place: int, spec: AchievementSpec, metrics: dict[str, MetricSpec], numbers: dict[str, int]
    ) -> None:
        self.place, self.is_award = place, True
        self.spec = spec
        self.number = spec.number
        self.low = low_byte(spec.number)
        self.simple = isinstance(spec.when, AtLeast) and not spec.requires
        self.lasts = self.simple and _lasts(spec, metrics)
        self.is_told_alike = not (spec.on or spec.context or spec.scopes is not None)
        self.counts_xp = _waits_for_xp(spec)
        self.stands_alone = self.simple and self.is_told_alike and not (spec.xp and self.counts_xp)
        self.holds_since = _all(
            [*map(_award, (numbers[key] for key in spec.requires)), *_parts(spec.when, metrics)]
        )
        self.needs = [low_byte(numbers[key]) for key in spec.requires] + _needs(spec.when)
        self.progress_of = _progress(spec.when, metrics)
        self.dependants: list[Entry] = []
        self.board: Board

    def may_hold(self, awards: bytes) -> bool:
        """Whether nothing is plainly missing. Almost always something is, and to see that is cheap."""
        lows = awards[LOW_BYTES]
        for need in self.needs:  # noqa: SIM110  # hot: `all` makes a generator first
            if need not in lows:
                return False
        return True

    # hot: most that is asked for was never earned

    def is_held(self, awards: bytes) -> bool:
        return self.low in awards[LOW_BYTES] and awarded_at(awards, self.number) is not None

    def was_earned(self, awards: bytes) -> bool:
        """Whether it is held, or was lost since."""
        return self.low in awards[LOW_BYTES] and award_of(awards, self.number) is not None

    def kept_in(self, awards: bytes) -> AwardEntry | None:
        """What is kept of it, if it was ever earned."""
        return award_of(awards, self.number) if self.low in awards[LOW_BYTES] else None

    def __lt__(self, other: Entry) -> bool:
        return self.place < other.place


def _lasts(spec: AchievementSpec, metrics: dict[str, MetricSpec]) -> bool:
    """Whether its condition holds for ever once it was crossed."""
    when = spec.when
    return spec.revocable == "no" and isinstance(when, AtLeast) and metrics[when.metric].only_grows


def _waits_for_xp(spec: AchievementSpec) -> bool:
    return any(each.metric == XP for each in comparisons(spec.when))


def _needs(condition: Condition) -> list[int]:
    """What stands among the low bytes of everyone for whom this holds."""
    if isinstance(condition, All):
        return [need for part in condition.of for need in _needs(part)]
    if isinstance(condition, AtLeast) and condition.number is not None:
        return [low_byte(condition.number)]
    return []


def evaluation(condition: Condition, metrics: dict[str, MetricSpec]) -> Since:
    """When a condition came to hold: all at its latest part, any at the earliest that holds."""
    if isinstance(condition, AtLeast):
        return _comparison(condition, metrics[condition.metric])
    if isinstance(condition, All):
        return _all(_parts(condition, metrics))
    return _any([evaluation(part, metrics) for part in condition.of])


def _parts(condition: Condition, metrics: dict[str, MetricSpec]) -> list[Since]:
    """What all must hold, one beside the other."""
    if isinstance(condition, All):
        return [since for part in condition.of for since in _parts(part, metrics)]
    return [evaluation(condition, metrics)]


def _comparison(condition: AtLeast, metric: MetricSpec) -> Since:
    read, slot, wanted, number = value_reader(metric), metric.slot, condition.at, condition.number
    if number is not None and metric.only_grows:
        return _award(number)  # what was crossed once holds for ever

    def since(state: State) -> int | None:
        if (read(state, slot) or 0) < wanted:
            return None
        return awarded_at(state[AWARDS], number) if number is not None else None

    return since


def _award(number: int) -> Since:
    """When an award was earned, or a condition crossed."""
    return lambda state: awarded_at(state[AWARDS], number)


def _all(parts: list[Since]) -> Since:
    """Hot."""

    def since(state: State) -> int | None:
        latest = 0
        for part in parts:
            moment = part(state)
            if moment is None:
                return None
            if moment > latest:
                latest = moment
        return latest

    return since


def _any(parts: list[Since]) -> Since:
    def since(state: State) -> int | None:
        return min((moment for moment in (part(state) for part in parts) if moment is not None), default=None)

    return since


def _progress(condition: Condition, metrics: dict[str, MetricSpec]) -> Callable[[State], int | None]:
    """The metric's value of a plain condition, nothing of a compound one."""
    if not isinstance(condition, AtLeast):
        return lambda state: None
    metric = metrics[condition.metric]
    if metric.kind == "count" and metric.only_grows:
        return itemgetter(metric.slot)  # hot: most achievements wait for a plain count
    read = value_reader(metric)
    return lambda state: read(state, metric.slot)


class Waiting:
    """What waits for one threshold of one metric."""

    __slots__ = ("board", "entries", "level", "number", "only")

    def __init__(self, board: Board) -> None:
        self.board = board
        self.number: int | None = None
        self.level: int | None = None  # which begins here
        self.entries: list[Entry] = []
        self.only: Entry | None = None

    def settle(self) -> None:
        """Most thresholds have one plain achievement that nothing depends on: `only`, decided on the spot."""
        if len(self.entries) == 1 and self.level is None:
            (entry,) = self.entries
            self.only = entry if entry.simple and not entry.dependants else None


class Board:
    """The achievements of one catalog, by what they wait for. Those that replays mute are left out.

    Shapes: each has a place in the program, and behind them the levels have one, and what is lost; the next board
    begins at `end`.
    """

    def __init__(self, catalog: CatalogProgram, first_place: int, withheld: Withheld = NOTHING) -> None:
        self._catalog = catalog
        self._metrics = metrics = {metric.key: metric for metric in catalog.metrics}
        self._numbers = numbers = {spec.reference: spec.number for spec in catalog.achievements}
        self.idle = {key for name, key in withheld.idle if name == catalog.catalog}
        self._silent = withheld.silent(catalog.catalog)
        muted = {reference for name, reference in withheld.muted if name == catalog.catalog}
        active = [spec for spec in catalog.achievements if spec.is_active and not self._is_muted(spec, muted)]
        self.entries = [Entry(first_place + index, spec, metrics, numbers) for index, spec in enumerate(active)]
        self.place_of_levels = first_place + len(active)
        self.place_of_losses = self.place_of_levels + (catalog.levels is not None)
        self.end = self.place_of_losses + 1
        self.waiting: dict[str, dict[int, Waiting]] = {key: {} for key in metrics}
        by_key = {entry.spec.reference: entry for entry in self.entries}
        self._earnable, self._held = by_key, dict(by_key)
        for entry in self.entries:
            entry.board = self
            for comparison in comparisons(entry.spec.when):
                self._wait(entry, comparison)
            for key in by_key.keys() & entry.spec.requires:
                by_key[key].dependants.append(entry)
        if catalog.levels is not None and catalog.levels.of not in self._silent:
            self._wait_for_levels(catalog.levels)
        for waiting in self.waiting.values():
            for each in waiting.values():
                each.settle()

    def entry(self, reference: str) -> Entry | None:
        """Of an achievement that can be earned."""
        return self._earnable.get(reference)

    def held_entry(self, reference: str) -> Entry | None:
        """Of any achievement of the catalog: what cannot be earned any more may be held."""
        if reference not in self._held:
            specs = (spec for spec in self._catalog.achievements if spec.reference == reference)
            for spec in specs:
                self._held[reference] = entry = Entry(-1, spec, self._metrics, self._numbers)
                entry.board = self
        return self._held.get(reference)

    def former_entry(self, spec: AchievementSpec) -> Entry:
        """Of one that the catalog had before: it can be held, and lost."""
        ended = replace(spec, when=All(of=[]), requires=[], conditions={})
        self._held[spec.reference] = entry = Entry(-1, ended, self._metrics, self._numbers)
        entry.board = self
        return entry

    def _is_muted(self, spec: AchievementSpec, muted: Collection[str]) -> bool:
        return spec.reference in muted or any(each.metric in self._silent for each in comparisons(spec.when))

    def _wait_for_levels(self, levels: LevelsSpec) -> None:
        for level, start in enumerate(levels.starts[1:], 2):
            self.waiting[levels.of].setdefault(start, Waiting(self)).level = level

    def _wait(self, entry: Entry, comparison: AtLeast) -> None:
        waiting = self.waiting[comparison.metric].setdefault(comparison.at, Waiting(self))
        waiting.entries.append(entry)
        if comparison.number is not None:
            waiting.number = comparison.number


class Ready(NamedTuple):
    """What is told, with what is said of it: what it gives may change its metric's value. Shapes: progress as in
    `Unlock`."""

    place: int
    progress: Any
    is_award: bool = True

    def progress_of(self, _state: State, /) -> Any:
        return self.progress


class Reached(Protocol):
    """What is told by its template. Shapes: progress is what this makes of it."""

    @property
    def is_award(self) -> bool: ...

    @property
    def place(self) -> int: ...

    def progress_of(self, state: State, /) -> Any: ...


Won = list[tuple[Reached, datetime]]


def decide(state: State, crossings: list[tuple[Waiting, datetime]]) -> Won:
    """The entries newly earned and when; the state's awards grow."""
    won: Won = []
    involved: list[tuple[Waiting, int]] = []
    for waiting, moment in crossings:
        entry = waiting.only
        if entry is None:
            involved.append((waiting, microseconds(moment)))
        elif not entry.was_earned(state[AWARDS]):
            state[AWARDS] += pack_award(entry.number, 0, microseconds(moment))
            won.append((entry, moment))
    return won + cascade(state, involved) if involved else won


def cascade(state: State, crossings: list[tuple[Waiting, int]]) -> Won:
    """What compounds and requirements make of these crossings, dependants after what they require."""
    for waiting, at in crossings:
        if waiting.number is not None:
            state[AWARDS] = with_award(state[AWARDS], waiting.number, at)
    queue = [(entry, at) for waiting, at in crossings for entry in waiting.entries if entry.may_hold(state[AWARDS])]
    heapify(queue)
    won: Won = []
    while queue:
        entry, crossed_at = heappop(queue)
        earned_at = _earned_at(entry, state, crossed_at)
        if earned_at is not None:
            state[AWARDS] += award_entry(entry.spec.number, earned_at)
            won.append((entry, moment_of(earned_at)))
            for dependant in entry.dependants:
                if dependant.may_hold(state[AWARDS]):
                    heappush(queue, (dependant, earned_at))
    return won


def _earned_at(entry: Entry, state: State, crossed_at: int) -> int | None:
    if entry.was_earned(state[AWARDS]):
        return None  # or it was lost, when the catalogs still took awards back
    return crossed_at if entry.simple else entry.holds_since(state)
