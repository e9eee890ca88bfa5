"""Restoring from a changelog: complete by position, told of, and never for ever. The log is in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import pytest

from processor.kafka import restore as restore_module
from processor.kafka.batches import Place
from processor.kafka.fetch import Chunk
from processor.kafka.log import Extent
from processor.kafka.partition import OwnedPartition
from processor.kafka.restore import changelog_reader
from schemas.errors import LaurelError
from schemas.records import PlainRecord
from tests.unit.test_processor_partition import Counting, in_memory

CHANGELOG = "toy.changelog"


class Clock:
    """An event loop's time, which passes only while a read gets nothing."""

    now = 0.0

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(
        restore_module, "asyncio", SimpleNamespace(get_running_loop=lambda: made, sleep=asyncio.sleep)
    )
    return made


class Changelog:
    """A log of these chunks, and behind them nothing; a number stands for so many seconds of waiting for one."""

    def __init__(self, clock: Clock, end: int, chunks: Sequence[Chunk | int]) -> None:
        self._clock, self._end, self._chunks = clock, end, [*chunks]

    async def bounds(self, places: Iterable[Place]) -> dict[Place, Extent]:
        return {place: Extent(0, self._end) for place in places}

    async def read(self, place: Place, position: int) -> Chunk | None:
        chunk = self._chunks.pop(0) if self._chunks else 1
        if isinstance(chunk, Chunk):
            return chunk
        self._clock.now += chunk
        return None


def chunk(start: int, end: int, *offsets: int) -> Chunk:
    return Chunk(CHANGELOG, 0, start, end, end, [PlainRecord(each, 0, b"user-%d" % each, b"1") for each in offsets])


async def restored(changelog: Changelog, told: list[float]) -> OwnedPartition:
    partition = in_memory(0, Counting())
    reader = await changelog_reader(changelog, CHANGELOG, [partition], lambda: True, told.append)
    await reader.restore(partition)
    return partition


async def test_it_ends_at_the_end_of_the_log_though_no_record_is_there(clock: Clock) -> None:
    """Transaction markers and what compaction took away: the position passes them, and that is what counts."""
    partition = await restored(Changelog(clock, 9, [chunk(0, 5, 0, 3), 1, chunk(5, 9)]), [])

    assert partition.log_position == 9
    assert partition.users == 2


async def test_how_far_it_is_and_the_seconds_left_are_shown_with_every_chunk(clock: Clock) -> None:
    told: list[float] = []

    partition = await restored(Changelog(clock, 9, [2, chunk(0, 3, 0), chunk(3, 6, 3), chunk(6, 9, 6)]), told)

    assert (partition.restored, partition.to_restore) == (9, 9)
    assert told == [4, 1, 0]


async def test_the_log_hears_of_it_at_most_every_few_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    chunks = [1, chunk(0, 3, 0), 2, chunk(3, 6, 3), 1, chunk(6, 7, 6), chunk(7, 9)]

    await restored(Changelog(clock, 9, chunks), [])

    (line,) = [line for line in "".join(capsys.readouterr()).splitlines() if "restoring" in line]
    assert "offsets=6" in line
    assert "of=9" in line
    assert "seconds_left=1.5" in line


async def test_without_progress_it_gives_up_and_says_where_it_stood(clock: Clock) -> None:
    with pytest.raises(
        LaurelError, match=f"restoring {CHANGELOG}-0 stands at 3 of 9 since 60 s: look at the broker"
    ):
        await restored(Changelog(clock, 9, [chunk(0, 3, 0)]), [])


async def test_slow_progress_is_progress(clock: Clock) -> None:
    """Every chunk begins the wait anew, one without records too."""
    slow = [each for start in range(6) for each in (chunk(start, start + 1), 55)]

    assert (await restored(Changelog(clock, 6, slow), [])).log_position == 6


async def test_a_changelog_shorter_than_what_we_wrote_ends_the_process(clock: Clock) -> None:
    partition = in_memory(0, Counting())
    partition.log_position = 12
    reader = await changelog_reader(Changelog(clock, 9, []), CHANGELOG, [partition], lambda: True, print)

    with pytest.raises(LaurelError, match="ends at 9, behind our own last write at 12"):
        await reader.restore(partition)
