"""From a file of events to Postgres, in processes: equal to the reference, whatever happens on the way."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from broker.positions import Positions
from tests.acceptance.pipeline import (
    PARTITIONS,
    Pipeline,
    Shown,
    about,
    assert_equal,
    every_tenth_repeated,
    growing_file,
    growing_result,
    prepared,
    shown_by,
    shuffled,
    whole_file,
    whole_result,
)
from tests.integration.processors import Metrics, Worker, kept_busy, settled
from tests.servers import Servers

pytestmark = pytest.mark.server

SLOW = {  # many checkpoints, so that a kill falls among them
    "LAUREL_CHECKPOINT_RECORDS": "300",
    "LAUREL_CHECKPOINT_BACKLOG_MS": "100",
}


DELIVERED = """
select notification.metadata ->> 'outcome_id'
from notification_delivery
left join notification on notification.id = notification_delivery.notification_id
"""


# --- the order of the lines ---


@pytest.fixture(scope="module")
def shown(_shared_servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shown]:
    """What one pipeline shows of each file; all of them run through it at the same time."""
    return asyncio.run(run_through(_shared_servers, tmp_path_factory.mktemp("pipeline")))


async def run_through(servers: Servers, folder: Path) -> dict[str, Shown]:
    growing = growing_file()
    half = len(growing) // 2
    files = {
        "whole": whole_file(),
        "growing": growing,
        "shuffled": shuffled(growing),
        "repeated": every_tenth_repeated(growing),
        "halves": growing[:half],
    }
    async with prepared(servers, f"t{secrets.token_hex(6)}", folder) as pipeline:
        pipeline.start_worker()
        pipeline.start_projector()
        events = [event for people, file in files.items() for event in about(people, file)]
        await pipeline.visible(await pipeline.publish(events))
        await pipeline.visible(await pipeline.publish(about("halves", growing[half:])))
        return {people: pipeline.shown(people) for people in files}


def test_awards_metrics_and_points_equal_the_reference(shown: dict[str, Shown]) -> None:
    """Of a file with everything in it, too: undo, repeated ids, late events, journeys, events for others."""
    assert all((len(whole_file()) > 3_000, whole_result().duplicates, whole_result().derived))
    assert_equal(shown["whole"], shown_by(whole_result()))
    assert_equal(shown["growing"], shown_by(growing_result()))


def test_a_shuffled_file_gives_the_same_set_of_awards(shown: dict[str, Shown]) -> None:
    """And the same metrics; only the dates may differ."""
    assert shown["shuffled"].awards.keys() == shown["growing"].awards.keys()
    assert shown["shuffled"].metrics == shown["growing"].metrics


@pytest.mark.parametrize("people", ["repeated", "halves"])
def test_lines_repeated_at_once_and_a_file_in_two_runs_change_nothing(shown: dict[str, Shown], people: str) -> None:
    assert_equal(shown[people], shown["growing"])


# --- what happens on the way ---


async def test_a_transactional_publisher_with_aborted_transactions_gives_the_same_awards(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """Waiting for it ends and lag is zero, though the log ends in records that nobody may read, and a marker."""
    async with prepared(servers, namespace, tmp_path) as pipeline:
        worker = pipeline.start_worker()
        pipeline.start_projector()

        await pipeline.visible(await pipeline.publish_among_aborted(about("all", whole_file()), size=500))

        assert_equal(pipeline.shown("all"), shown_by(whole_result()))
        await settled(pipeline.stage, [worker])
        await worker.shows(lags, [0] * 3 * PARTITIONS)
        await pipeline.until(pipeline.is_projected, "the read models are at the ends of their topics")


def lags(shown: Metrics) -> list[float]:
    return [value for name, value in shown.items() if name[0] == "laurel_lag"]


async def test_kill_9_of_worker_and_projector_in_the_middle_changes_nothing(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """Every award once: as an outcome, a row, a notification and a delivery. Copies of the file keep coming."""
    people: list[str] = []
    ends: Positions = {}
    async with prepared(servers, namespace, tmp_path) as pipeline:

        async def publish_more() -> None:
            people.append(f"copy-{len(people)}")
            ends.update(await pipeline.publish(about(people[-1], whole_file())))

        async with kept_busy(pipeline.stage, publish_more):
            worker, projector = pipeline.start_worker(**SLOW), pipeline.start_projector()
            await pipeline.until(
                lambda: has_rows(pipeline, len(whole_result().awards) // 2), "half a copy's awards"
            )
            worker.process.kill()
            projector.kill()

        pipeline.start_worker()
        pipeline.start_projector()
        await pipeline.visible(ends)

        for each in people:
            assert_equal(pipeline.shown(each), shown_by(whole_result()))
        outcomes = await pipeline.outcome_ids()
        assert len(set(outcomes)) == len(outcomes) == len(people) * len(whole_result().awards)
        assert pipeline.ids("select id from user_achievement") == outcomes
        assert pipeline.ids("select metadata ->> 'outcome_id' from notification") == outcomes
        assert pipeline.ids(DELIVERED) == outcomes


async def has_rows(pipeline: Pipeline, count: int) -> bool:
    return bool(pipeline.rows("select count(*) >= %s from user_achievement", count)[0][0])


async def test_two_workers_give_the_same_awards(servers: Servers, namespace: str, tmp_path: Path) -> None:
    """Each has half of the partitions, and takes part."""
    async with prepared(servers, namespace, tmp_path) as pipeline:
        workers = [pipeline.start_worker(), pipeline.start_worker()]
        pipeline.start_projector()
        await asyncio.gather(*(has_half(worker) for worker in workers))

        await pipeline.visible(await pipeline.publish(about("all", whole_file())))

        assert_equal(pipeline.shown("all"), shown_by(whole_result()))
        applied = [worker.metrics()["laurel_events_total", "applied", pipeline.stage.source] for worker in workers]
        assert min(applied) > 0
        assert sum(applied) == whole_result().applied


async def has_half(worker: Worker) -> None:
    def owns_half() -> bool:
        acquired = worker.lines("acquired")
        return bool(acquired) and len(acquired[-1]["partitions"]) == PARTITIONS // 2

    await worker.wait_for(owns_half, "half of the partitions")
