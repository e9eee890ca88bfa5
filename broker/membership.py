"""Static membership, which aiokafka has by half: it joins under an id, but its heartbeats do not say it.

Without it a broker cannot tell a member whose id was taken by a later process from one that was away for too long:
both are "unknown", and the older process would join again and take the id back, for ever.
What is overridden: consumer/group_coordinator.py GroupCoordinator._send_req.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest
from aiokafka.protocol.types import Int16, Int32, Schema, String

from schemas.errors import Precondition

FENCED_INSTANCE_ID = 82  # aiokafka has no name for it


class _HeartbeatResponse(Response):  # type: ignore[misc]
    API_KEY = 12
    API_VERSION = 3
    SCHEMA = Schema(("throttle_time_ms", Int32), ("error_code", Int16))


class _HeartbeatStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 12
    API_VERSION = 3
    RESPONSE_TYPE = _HeartbeatResponse
    SCHEMA = Schema(
        ("group", String("utf-8")),
        ("generation_id", Int32),
        ("member_id", String("utf-8")),
        ("group_instance_id", String("utf-8")),
    )


class StaticHeartbeat(Request[_HeartbeatStruct]):  # type: ignore[misc]
    """A heartbeat that says the member's id."""

    API_KEY = 12

    def __init__(self, group: str, generation: int, member: str, instance: str) -> None:
        self._told = (group, generation, member, instance)

    def build(self, request_struct_class: type[_HeartbeatStruct]) -> _HeartbeatStruct:
        return request_struct_class(*self._told)


def stay_static(client: Any, taken: Callable[[Precondition], None]) -> None:
    """Make a started consumer say its id, and `taken` hear when another process has taken it."""
    coordinator = client._coordinator
    send, instance = coordinator._send_req, coordinator._group_instance_id

    async def send_as_static(request: Any) -> Any:
        if isinstance(request, HeartbeatRequest):
            request = StaticHeartbeat(coordinator.group_id, coordinator.generation, coordinator.member_id, instance)
        response = await send(request)
        if getattr(response, "error_code", 0) == FENCED_INSTANCE_ID:
            taken(_taken(instance))
        return response

    coordinator._send_req = send_as_static


async def leave_group(coordinator: Any) -> None:
    """Give the id up, so that the group divides everything again; the coordinator joins anew by itself.

    A group gives a static member that comes back what it had, whatever it subscribes to now.
    """
    await coordinator._send_req(LeaveGroupRequest(coordinator.group_id, coordinator.member_id))
    coordinator.reset_generation()
    coordinator.request_rejoin()


def _taken(instance: str) -> Precondition:
    return Precondition(
        f"another process joined the group as '{instance}' after this one: give each process a LAUREL_MEMBER_ID of "
        "its own"
    )
