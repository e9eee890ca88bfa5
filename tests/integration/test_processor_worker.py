"""Real workers on a real broker: whatever befalls them, outcomes, states and positions are those of the events."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.processors import (
    PARTITIONS,
    Event,
    Stage,
    Worker,
    assert_exactly,
    committed_and_ends,
    computed,
    computed_below,
    play,
    play_in_transactions,
    recreate,
    set_up,
    settled,
    some_events,
    some_progress,
    workers_of,
)
from tests.servers import Servers

pytestmark = pytest.mark.server

STOPS_WITHIN_S = 10.0
SLOW = {"LAUREL_CHECKPOINT_RECORDS": "50"}  # many checkpoints, to fall between them


async def test_a_transactional_source_is_read_to_its_end(servers: Servers, namespace: str, tmp_path: Path) -> None:
    """Aborted events count for nothing; positions pass them and every marker, also where nothing comes behind."""
    stage = await set_up(servers.kafka, namespace)
    events = some_events(600)
    with workers_of(stage, tmp_path) as workers:
        await play_in_transactions(stage, events[:300], size=40)
        workers.start()
        await settled(stage, workers.all)
        await play_in_transactions(stage, events[300:], size=25)

        await settled(stage, workers.all)

        await assert_exactly(stage, computed(events))


async def test_a_worker_told_to_stop_commits_what_it_folded_and_ends_with_0(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """What is in the topics then is what the events below the positions give, no more and no less.

    A publisher goes on beyond the end of the worker, so that it is certain to be stopped in the middle.
    """
    stage = await set_up(servers.kafka, namespace)
    events = some_events(12_000, users=1_000)
    await play(stage, events[:4_000])
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start(**SLOW)
        await some_progress(stage, 1_000)

        (code, seconds), _ = await asyncio.gather(timed_stop(worker), play_slowly(stage, events[4_000:11_500]))
        await play(stage, events[11_500:])

        assert code == 0
        assert seconds < STOPS_WITHIN_S
        committed, ends = await committed_and_ends(stage)
        assert committed != ends
        await assert_exactly(stage, await computed_below(stage, events, committed))
        await settled(stage, [workers.start()])
    await assert_exactly(stage, computed(events))


async def timed_stop(worker: Worker) -> tuple[int, float]:
    """Its exit code, and the seconds it took to stop."""
    began = time.monotonic()
    return await worker.stop(), time.monotonic() - began


async def play_slowly(stage: Stage, events: Sequence[Event]) -> None:
    for start in range(0, len(events), 500):
        await play(stage, events[start : start + 500])


async def test_kill_9_and_a_rebalance_under_load_lose_and_double_nothing(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """One worker of two is killed between two of its lines; a third joins while the second takes over."""
    stage = await set_up(servers.kafka, namespace)
    events = some_events(24_000, users=1_000)
    await play(stage, events[:12_000])
    with workers_of(stage, tmp_path) as workers:
        first, second = workers.start(**SLOW), workers.start(**SLOW)
        await some_progress(stage, 2_000)
        await play(stage, events[12_000:])

        first.process.send_signal(signal.SIGKILL)
        third = workers.start(**SLOW)
        await settled(stage, [second, third])

        await assert_exactly(stage, computed(events))
        owned = [worker.lines("acquired")[-1]["partitions"] for worker in (second, third)]
        assert sorted(owned[0] + owned[1]) == [*range(PARTITIONS)]


async def test_metrics_add_up_to_what_was_read(servers: Servers, namespace: str, tmp_path: Path) -> None:
    stage = await set_up(servers.kafka, namespace)
    events = some_events(200, users=20)
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start()
        await play(stage, events)
        await settled(stage, [worker])

        shown = worker.metrics()

        totals = computed(events)
        assert shown["laurel_events_total", "applied", stage.source] == len(events)
        assert shown["laurel_unlocks_total",] == totals.outcome_ids.total()
        assert sum(value for name, value in shown.items() if name[0] == "laurel_users") == len(totals.values)
        assert [value for name, value in shown.items() if name[0] == "laurel_lag"] == [0] * PARTITIONS * 2


async def test_a_source_that_was_recreated_is_refused_with_the_remedy(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """Its old states would meet a log in which they never happened."""
    stage = await set_up(servers.kafka, namespace)
    await play(stage, some_events(100))
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start()
        await settled(stage, [worker])
        assert await worker.stop() == 0
        await recreate(stage, stage.source)

        worker = workers.start()

        assert await worker.ended() == 4
        assert "was recreated" in worker.log
