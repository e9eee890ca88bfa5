"""By which versions of the catalogs the states of a partition are shown, and which metrics are shown to nobody.

A checkpoint begins with the partition's control record. So what stands behind one, up to the next, was written
under the versions that it names, and while the replays that it knows were in the phases that it says.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from broker.reading import Batch
from projections.decoding import decode
from projections.projection import place
from schemas.records import Record
from schemas.replays import Named, Phase
from schemas.state import CONTROL_KEY, Control, decode_control
from schemas.topics import COMPACTION_LAG_MS_MIN

HIDING: set[Phase] = {"filling", "ready", "cancelled"}  # what a cancelled one began, nobody will end
WAITED_MS = COMPACTION_LAG_MS_MIN // 2  # what came later is all there

ReadControls = Callable[[], Awaitable[Mapping[int, Control]]]


class View(msgspec.Struct, frozen=True, cache_hash=True):
    """Shapes: catalogs (name, version); hidden are metrics that a replay has not filled yet."""

    catalogs: tuple[tuple[str, int], ...]
    hidden: frozenset[Named]


class Stage(msgspec.Struct, frozen=True):
    """From this offset on, a partition is seen so; None before any control record was."""

    offset: int
    view: View | None


class Views:
    """How each partition is seen where its reader stands."""

    def __init__(self, read_controls: ReadControls) -> None:
        self._read_controls = read_controls
        self._views: dict[int, View] = {}
        self._looked_at_ms = 0.0

    async def look(self) -> None:
        """See what is read from here on as the newest control record says.

        Compaction may have left none of those between: states behind a replay's end would be seen as if it still
        filled, and nobody writes them again. States from before it are seen too early so, until its own follow.
        """
        self._looked_at_ms = time.time() * 1000
        found = await self._read_controls()
        self._views = {partition: view_of(control) for partition, control in found.items()}

    async def catch_up(self, batches: Sequence[Batch]) -> None:
        """Look again where the reader is so far behind that compaction may have been between it and the end."""
        if any(self._may_be_compacted(batch) for batch in batches):
            await self.look()

    def _may_be_compacted(self, batch: Batch) -> bool:
        """Whether it came since the last look, and long ago."""
        if not batch.records:
            return False
        first, last = batch.records[0].timestamp, batch.records[-1].timestamp
        return last > self._looked_at_ms and max(first, self._looked_at_ms) < time.time() * 1000 - WAITED_MS

    def follow(self, batch: Batch) -> list[Stage]:
        """How the records of a batch are seen, one stage after the other."""
        before = self._views.get(batch.partition)
        controls = [record for record in batch.records if record.key == CONTROL_KEY]
        if not controls or viewed(controls[-1], batch) == before:  # versions and phases never go back
            return [Stage(-1, before)]
        stages = [Stage(-1, before), *(Stage(record.offset, viewed(record, batch)) for record in controls)]
        last = stages[-1].view
        assert last is not None, "a control record was read"
        self._views[batch.partition] = last
        return stages


def viewed(record: Record, batch: Batch) -> View:
    """Raises: Undecodable."""
    return view_of(decode(record, decode_control, place(batch)))


def view_of(control: Control) -> View:
    hiding = [note.filling for note in control.replays.values() if note.phase in HIDING]
    hidden = frozenset(metric for metrics in hiding for metric in metrics)
    return View(tuple(sorted(control.catalogs.items())), hidden)
