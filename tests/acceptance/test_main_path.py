"""From a file of events to Postgres, in processes: equal to the reference, whatever happens on the way."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

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
from tests.integration.processors import Worker, committed_and_ends, settled
from tests.servers import Servers

pytestmark = pytest.mark.server

SLOW = {  # many checkpoints, so that a kill falls among them
    "LAUREL_CHECKPOINT_RECORDS": "300",
    "LAUREL_CHECKPOINT_BACKLOG_MS": "100",
}
COPIES = 6  # of the file, so that there is a middle


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
        lag = {name: value for name, value in worker.metrics().items() if name[0] == "laurel_lag"}
        assert len(lag) == 2 * PARTITIONS
        assert set(lag.values()) == {0}
        await pipeline.until(pipeline.is_projected, "the read models are at the ends of their topics")


async def test_kill_9_of_worker_and_projector_in_the_middle_changes_nothing(
    servers: Servers, namespace: str, tmp_path: Path
) -> None:
    """Every award once: as an outcome, a row, a notification and a delivery."""
    people = [f"copy-{number}" for number in range(COPIES)]
    due = COPIES * len(whole_result().awards)
    async with prepared(servers, namespace, tmp_path) as pipeline:
        ends = await pipeline.publish(event for each in people for event in about(each, whole_file()))
        worker, projector = pipeline.start_worker(**SLOW), pipeline.start_projector()
        await pipeline.until(lambda: has_rows(pipeline, due // 10), "some awards in Postgres")

        worker.process.kill()
        projector.kill()

        committed, _ = await committed_and_ends(pipeline.stage)
        assert any(committed[place] < end for place, end in ends.items()), "the kill came too late: more copies"
        assert not await has_rows(pipeline, due), "the kill came too late: more copies"
        pipeline.start_worker()
        pipeline.start_projector()
        await pipeline.visible(ends)

        for each in people:
            assert_equal(pipeline.shown(each), shown_by(whole_result()))
        outcomes = await pipeline.outcome_ids()
        assert len(set(outcomes)) == len(outcomes) == due
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
