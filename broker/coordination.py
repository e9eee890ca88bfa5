"""What Kafka 4 answers and aiokafka does not read: an error of the whole group, when positions are asked for.

A coordinator that is just starting, or no longer the one, says so in the head of its answer and names no partition.
aiokafka looks for errors in the partitions alone, and finds a group without positions: whoever believes that starts
over, or refuses to start. What is overridden: consumer/group_coordinator.py GroupCoordinator._send_req.
"""

from __future__ import annotations

from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import NoError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest

_send = GroupCoordinator._send_req


def heed_group_errors() -> None:
    """Let all consumers of this process ask again until the coordinator really answers."""
    GroupCoordinator._send_req = _send_and_heed


async def _send_and_heed(coordinator: Any, request: Any) -> Any:
    """Raises: KafkaError, one that the caller tries again after when that helps."""
    answer = await _send(coordinator, request)
    if isinstance(request, OffsetFetchRequest):
        error = for_code(getattr(answer, "error_code", 0))
        if error is NotCoordinatorForGroupError:
            coordinator.coordinator_dead()
        if error is not NoError:
            raise error
    return answer
