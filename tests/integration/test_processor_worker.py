"""Real workers on a real broker: whatever befalls them, outcomes, states and positions are those of the events."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.integration.processors import (
    PARTITIONS,
    Metrics,
    Worker,
    assert_exactly,
    committed_and_ends,
    computed,
    computed_below,
    endless_events,
    moved_on,
    play,
    play_in_transactions,
    recreate,
    set_up,
    settled,
    some_events,
    workers_of,
)
from tests.servers import Servers

pytestmark = pytest.mark.server

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

    It is told while events keep coming. 0 says that it was in time: one that commits too late ends otherwise.
    """
    stage = await set_up(servers.kafka, namespace)
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start(**SLOW)
        async with endless_events(stage) as events:
            await moved_on(stage)

            assert await worker.stop() == 0

        committed, _ = await committed_and_ends(stage)
        await assert_exactly(stage, await computed_below(stage, events, committed))
        await settled(stage, [workers.start()])
    await assert_exactly(stage, computed(events))


async def test_kill_9_and_a_rebalance_under_load_lose_and_double_nothing(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """One worker of two is killed between two of its lines; a third joins while the second takes over."""
    stage = await set_up(servers.kafka, namespace)
    with workers_of(stage, tmp_path) as workers:
        async with endless_events(stage) as events:
            first, second = workers.start(**SLOW), workers.start(**SLOW)
            await share(first, second)
            await moved_on(stage)

            first.process.send_signal(signal.SIGKILL)
            third = workers.start(**SLOW)
            await share(second, third)
            await moved_on(stage)
        await settled(stage, [second, third])
    await assert_exactly(stage, computed(events))


async def share(*workers: Worker) -> None:
    """Wait until all partitions are theirs, in equal parts."""

    def in_equal_parts() -> bool:
        owned = sorted(number for worker in workers for number in worker.owned)
        return owned == [*range(PARTITIONS)] and len({len(worker.owned) for worker in workers}) == 1

    await asyncio.gather(*(worker.wait_for(in_equal_parts, "equal parts") for worker in workers))


async def test_metrics_add_up_to_what_was_read(servers: Servers, namespace: str, tmp_path: Path) -> None:
    stage = await set_up(servers.kafka, namespace)
    events = some_events(200, users=20)
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start()
        await play(stage, events)
        await settled(stage, [worker])

        def sums(shown: Metrics) -> tuple[float, ...]:
            applied = shown.get(("laurel_events_total", "applied", stage.source), 0)
            users = sum(value for name, value in shown.items() if name[0] == "laurel_users")
            return applied, shown["laurel_unlocks_total",], users

        totals = computed(events)
        await worker.shows(sums, (len(events), totals.outcome_ids.total(), len(totals.values)))
        await worker.shows(lags, [0] * PARTITIONS * 3)

        assert await worker.stop() == 0
        restored = workers.start()
        await restored.wait_for(lambda: len(restored.owned) == PARTITIONS, "all partitions")
        shown = restored.metrics()
        done, wanted = (of_partitions(shown, f"laurel_{name}_offsets") for name in ("restored", "restore"))
        assert done == wanted
        assert all(wanted.values())
        assert shown["laurel_restore_seconds_left",] == 0


def of_partitions(shown: Metrics, metric: str) -> dict[str, float]:
    return {name[1]: value for name, value in shown.items() if name[0] == metric}


def lags(shown: Metrics) -> list[float]:
    return [value for name, value in shown.items() if name[0] == "laurel_lag"]


async def test_a_topic_that_was_recreated_is_refused_with_the_remedy(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """Old states would meet a source in which they never happened; or old positions a changelog without states."""
    stage = await set_up(servers.kafka, namespace)
    await play(stage, some_events(100))
    with workers_of(stage, tmp_path) as workers:
        worker = workers.start()
        await settled(stage, [worker])
        assert await worker.stop() == 0
        for topic in (stage.source, stage.names.changelog):
            await recreate(stage, topic)

            worker = workers.start()

            assert await worker.ended() == 4
            assert "recreated" in worker.log
            assert "a new namespace" in worker.log
