"""A coordinator that is not ready says so in the head of its answer: nobody may take that for a group at zero."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError
from aiokafka.protocol.commit import OffsetFetchResponse_v3

from broker.coordination import heed_group_errors

PLACE = TopicPartition("topic", 0)
LOADING, ELSEWHERE, REFUSED = 14, 16, 30
READY = OffsetFetchResponse_v3(0, [("topic", [(0, 42, "", 0)])], 0)


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """Gets these answers, one after the other."""

    def __init__(self, answers: list[Any]) -> None:
        self.group_id, self.coordinator_id, self._retry_backoff_ms = "group", 1, 1
        self.found, self._client, self._answers = 0, self, answers

    async def send(self, *_: Any, **__: Any) -> Any:
        return self._answers.pop(0)

    async def ensure_coordinator_known(self) -> None:
        self.found += self.coordinator_id is None
        self.coordinator_id = 1

    def coordinator_dead(self) -> None:
        self.coordinator_id = None


def failing(code: int) -> Any:
    return OffsetFetchResponse_v3(0, [], code)


async def test_positions_are_asked_for_until_the_coordinator_has_loaded_them() -> None:
    """Kafka 4 names no partition in such an answer."""
    heed_group_errors()
    coordinator = Coordinator([failing(LOADING), failing(LOADING), READY])

    positions = await coordinator.fetch_committed_offsets([PLACE])

    assert positions[PLACE].offset == 42


async def test_a_coordinator_that_has_moved_is_looked_for_again() -> None:
    heed_group_errors()
    coordinator = Coordinator([failing(ELSEWHERE), READY])

    positions = await coordinator.fetch_committed_offsets([PLACE])

    assert positions[PLACE].offset == 42
    assert coordinator.found == 1


async def test_an_error_that_will_not_pass_is_raised() -> None:
    heed_group_errors()

    with pytest.raises(GroupAuthorizationFailedError):
        await Coordinator([failing(REFUSED)]).fetch_committed_offsets([PLACE])
