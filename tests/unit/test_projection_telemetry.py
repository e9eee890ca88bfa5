from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from projections import telemetry  # noqa: F401 - registers its metrics
from projections.worker import run_together, show_queue
from schemas.errors import LaurelError


def test_the_metrics_have_the_names_that_operators_were_promised():
    assert {
        "laurel_projected_records",
        "laurel_projection_batch_seconds",
        "laurel_projection_lag",
        "laurel_notifications",
        "laurel_queue_oldest_pending_seconds",
        "laurel_queue_depth",
    } <= {metric.name for metric in REGISTRY.collect()}


def test_an_empty_queue_is_shown_as_empty_and_not_as_it_last_was():
    show_queue([("pending", 3, 12.5), ("dead", 1, None)])
    assert REGISTRY.get_sample_value("laurel_queue_depth", {"state": "pending"}) == 3
    assert REGISTRY.get_sample_value("laurel_queue_oldest_pending_seconds") == 12.5

    show_queue([("dead", 0, None)])
    assert REGISTRY.get_sample_value("laurel_queue_depth", {"state": "pending"}) == 0
    assert REGISTRY.get_sample_value("laurel_queue_oldest_pending_seconds") == 0


async def test_when_one_projection_fails_the_others_finish_what_they_do():
    stopping, finished = asyncio.Event(), []

    async def fail() -> None:
        raise LaurelError("broken")

    async def work() -> None:
        await stopping.wait()
        await asyncio.sleep(0)
        finished.append(True)

    with pytest.raises(LaurelError, match="broken"):
        await run_together([work(), fail(), work()], stopping)
    assert finished == [True, True]
