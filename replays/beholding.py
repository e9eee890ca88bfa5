"""What a full reprocessing goes by: the committed control records of both namespaces, side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import NamedTuple

from broker.connections import consumer
from broker.controls import control_records
from broker.positions import end_positions
from processor.replay.ports import Notes, Report
from replays.ports import Ends, Rows
from replays.registry import LEVEL, Replay
from schemas.replays import ReplayNote
from schemas.state import Control
from schemas.topics import Names

LEVEL_S = 2.0  # of what comes live: so near it must come
LEFT_S = 10.0  # who was level is so until it is so far behind, and more records than these
LEFT_BEHIND = 100
FOLDING = "folding"
STANDING_STILL = ("held", "settled")

NOTHING = Control()


class Sight(NamedTuple):
    """Both namespaces at one moment: the ends were read after the control records, so what is at one was at rest.

    Shapes: by partition. live_ends and shadow_ends are those of the derived topics; unshown, how many outcomes of
    the shadow its read models do not have yet.
    """

    names: Names
    shadow_names: Names
    live: Mapping[int, Control]
    shadow: Mapping[int, Control]
    live_ends: Mapping[int, int]
    shadow_ends: Mapping[int, int]
    unshown: Mapping[int, int]

    def note(self, replay: Replay, partition: int) -> ReplayNote | None:
        """Of the present attempt to promote it."""
        note = self.live.get(partition, NOTHING).replays.get(replay.id)
        return note if note is not None and note.attempt == replay.attempt else None

    def notes(self, replay: Replay) -> dict[int, ReplayNote | None]:
        return {partition: self.note(replay, partition) for partition in range(replay.partitions)}

    def shared(self, partition: int) -> dict[str, int]:
        """How far each lane is folded live, of those that both fold."""
        own = (self.names.derived, self.names.replay_assignments)
        positions = self.live.get(partition, NOTHING).positions
        return {lane: at for lane, at in positions.items() if lane not in own}

    def folded(self, partition: int) -> dict[str, int]:
        """How far the same lanes are folded by the shadow."""
        positions = self.shadow.get(partition, NOTHING).positions
        return {lane: positions.get(lane, 0) for lane in self.shared(partition)}

    def underived(self, partition: int) -> int:
        """How many records of its derived topic the shadow has not folded."""
        positions = self.shadow.get(partition, NOTHING).positions
        return max(0, self.shadow_ends[partition] - positions.get(self.shadow_names.derived, 0))

    def runs(self, replay: Replay, partition: int) -> bool:
        """Whether the shadow has come to what is to be promoted: a way back begins with what ran before it."""
        return self.shadow.get(partition, NOTHING).catalogs == replay.versions

    def is_at_cut(self, partition: int, note: ReplayNote) -> bool:
        """Whether the shadow has folded exactly what is folded live, and all that came of it."""
        here, there = self.shared(partition), self.folded(partition)
        stands = all(there[lane] == note.cut.get(lane, at) for lane, at in here.items())
        return partition in self.shadow and stands and self.underived(partition) == 0

    def has_settled(self, partition: int, note: ReplayNote) -> bool:
        """Whether all that was derived live, so far, is folded."""
        end = self.live_ends[partition]
        at = self.live.get(partition, NOTHING).positions.get(self.names.derived, end)
        return note.phase == "settled" and note.cut.get(self.names.derived, end) >= end and at >= end


def reports(
    replay: Replay, sight: Sight, before: Sight | None, seconds: float, level: Collection[int]
) -> Iterator[Report]:
    """How far each partition is. Shapes: level, those that were it. Units: seconds, since the sight before."""
    for partition in range(replay.partitions):
        at, of = sum(sight.folded(partition).values()), sum(sight.shared(partition).values())
        rate = (at - sum(before.folded(partition).values())) / seconds if before and seconds else None
        flow = (of - sum(before.shared(partition).values())) / seconds if before and seconds else 0.0
        note = sight.note(replay, partition)
        phase = note.phase if note is not None and note.phase != "released" else None
        behind = of - at + sight.underived(partition) + sight.unshown[partition]
        stands = is_level(behind, flow, partition in level) and sight.runs(replay, partition)
        yield Report(
            partition,
            phase or (LEVEL if stands else FOLDING),
            at,
            of,
            sight.shadow.get(partition, NOTHING).users,
            rate,
        )


def is_level(behind: int, flow: float, was_level: bool) -> bool:
    """Where nothing comes live, only what is whole, to the last row, is level: else a diff would tell of less.

    Units: flow, records a second that come live.
    """
    return behind <= (max(LEFT_BEHIND, LEFT_S * flow) if was_level else LEVEL_S * flow)


class Eyes:
    """On the live namespace, and on the shadow. Shapes: ends, how far partitions are committed; names, of both."""

    def __init__(self, live: Notes, shadow: Notes, ends: Ends, registry: Rows, names: tuple[Names, Names]) -> None:
        self._live, self._shadow, self._ends, self._registry = live, shadow, ends, registry
        self._names, self._shadow_names = names

    async def look(self, partitions: int) -> Sight:
        live, shadow = await self._live.controls(), await self._shadow.controls()
        names, shadow_names = self._names, self._shadow_names
        topics = (names.derived, shadow_names.derived, shadow_names.outcomes)
        places = [(topic, partition) for topic in topics for partition in range(partitions)]
        ends = await self._ends(places)
        derived, shadow_derived, outcomes = (
            {partition: ends[topic, partition] for partition in range(partitions)} for topic in topics
        )
        shown = await self._registry.shown(shadow_names)
        unshown = {partition: max(0, end - shown.get(partition, 0)) for partition, end in outcomes.items()}
        return Sight(names, shadow_names, live, shadow, derived, shadow_derived, unshown)


@asynccontextmanager
async def eyes_on(bootstrap: str, registry: Rows, names: Names, shadow: Names) -> AsyncIterator[Eyes]:
    """Raises: Precondition when one of them has no changelog."""
    async with AsyncExitStack() as stack:
        live = await stack.enter_async_context(control_records(bootstrap, names))
        other = await stack.enter_async_context(control_records(bootstrap, shadow))
        client = await stack.enter_async_context(consumer(bootstrap))
        yield Eyes(live, other, partial(end_positions, client), registry, (names, shadow))
