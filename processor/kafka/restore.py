"""Restoring partitions from their changelog, complete by position."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog

from processor.kafka.batches import Place
from processor.kafka.fetch import Chunk
from processor.kafka.log import Extent, Reader
from processor.kafka.partition import OwnedPartition
from schemas.errors import LaurelError
from schemas.records import Record
from schemas.state import CONTROL_KEY, decode_control

STALL_S_MAX = 60.0
SAY_EVERY_S = 3.0

log = structlog.get_logger(__name__)


class Progress:
    """How far a restore has come, told to the log once in a while and to `show` all the time: the seconds left.

    Units: offsets, which are records, markers and what compaction took away.
    """

    def __init__(self, offsets: int, show: Callable[[float], None]) -> None:
        self._clock, self._show = asyncio.get_running_loop().time, show
        self._began = self._said = self._clock()
        self._offsets, self._done = offsets, 0

    def moved(self, offsets: int) -> None:
        self._done += offsets
        now = self._clock()
        left_s = (now - self._began) * (self._offsets - self._done) / max(1, self._done)
        self._show(left_s)
        if now - self._said >= SAY_EVERY_S:
            self._said = now
            log.info("restoring", offsets=self._done, of=self._offsets, seconds_left=round(left_s, 1))


class ChangelogReader:
    """Brings partitions up to the end of their changelog. They are fenced: where it ends now is where it ends."""

    def __init__(
        self,
        reader: Reader,
        changelog: str,
        extents: Mapping[Place, Extent],
        go_on: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self._reader, self._changelog, self._extents, self._go_on = reader, changelog, extents, go_on
        self._progress = progress

    async def restore(self, partition: OwnedPartition) -> int:
        """Read what memory does not have yet. Returns the number of records.

        A kept partition reads from behind our own last write: after a generation that we missed, somebody else may
        have written.
        """
        place = (self._changelog, partition.number)
        begin, end = self._extents[place]
        if partition.log_position > end:
            raise _shrunk(place, partition.log_position, end)
        partition.log_position = max(partition.log_position, begin)
        return await self._read(partition, place, end) if partition.log_position < end else 0

    async def _read(self, partition: OwnedPartition, place: Place, end: int) -> int:
        clock = asyncio.get_running_loop().time
        count, moved_at = 0, clock()
        while partition.log_position < end and self._go_on():
            chunk = await self._reader.read(place, partition.log_position)
            if chunk is not None:
                _load(partition, chunk)
                self._progress.moved(chunk.end - chunk.start)
                count, moved_at = count + len(chunk.records), clock()
            elif clock() - moved_at > STALL_S_MAX:
                raise _stalled(place, partition.log_position, end)
            await asyncio.sleep(0)
        return count


async def changelog_reader(
    reader: Reader,
    changelog: str,
    partitions: Iterable[OwnedPartition],
    go_on: Callable[[], bool],
    show: Callable[[float], None],
) -> ChangelogReader:
    """A reader of these partitions as they are now.

    `go_on` says whether it is still wanted, `show` is told the seconds left.
    """
    numbered = {(changelog, partition.number): partition for partition in partitions}
    extents = await reader.bounds(numbered)
    for place, partition in numbered.items():
        begin, end = extents[place]
        partition.restored, partition.to_restore = 0, max(0, end - max(begin, partition.log_position))
    progress = Progress(sum(partition.to_restore for partition in numbered.values()), show)
    return ChangelogReader(reader, changelog, extents, go_on, progress)


def _load(partition: OwnedPartition, chunk: Chunk) -> None:
    partition.evaluator.load(_states(partition, chunk.records))
    partition.log_position = chunk.end
    partition.restored += chunk.end - chunk.start


def _states(partition: OwnedPartition, records: Iterable[Record]) -> Iterator[tuple[bytes, bytes | None]]:
    """The rows of users; the control record among them is kept aside."""
    for record in records:
        if record.key == CONTROL_KEY and record.value is not None:
            partition.control = decode_control(record.value)
        elif record.key is not None:
            yield record.key, record.value


def _shrunk(place: Place, position: int, end: int) -> LaurelError:
    topic, partition = place
    return LaurelError(
        f"changelog {topic}-{partition} ends at {end}, behind our own last write at {position}: the "
        "topic was recreated or its broker lost data. A restart begins from what is there now"
    )


def _stalled(place: Place, position: int, end: int) -> LaurelError:
    topic, partition = place
    return LaurelError(
        f"restoring {topic}-{partition} stands at {position} of {end} since {STALL_S_MAX:.0f} s: "
        "look at the broker's log; a restart tries again"
    )
