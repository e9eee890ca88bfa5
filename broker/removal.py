"""Taking away topics and groups that are nobody's any more: those of a namespace that was made for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka.errors import GroupIdNotFound, NoError, NonEmptyGroup, UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.admin import DeleteGroupsRequest

from broker.connections import admin
from broker.topics import partition_counts
from schemas.errors import LaurelError

GONE_TIMEOUT_S = 30.0
LOOK_S = 0.1


async def remove_topics(bootstrap: str, topics: Sequence[str]) -> list[str]:
    """Those that were there, once they are gone. Raises: LaurelError when a broker keeps one."""
    present = [topic for topic, count in (await partition_counts(bootstrap, topics)).items() if count]
    if present:
        async with admin(bootstrap) as client:
            response = await client.delete_topics(present)
        for topic, code in response.topic_error_codes:
            _refuse_kept("topic", topic, code, UnknownTopicOrPartitionError)
        await _await_gone(bootstrap, present)
    return present


async def _await_gone(bootstrap: str, topics: Sequence[str]) -> None:
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while left := [topic for topic, count in (await partition_counts(bootstrap, topics)).items() if count]:
        if time.monotonic() > deadline:
            raise LaurelError(f"topic {left[0]} is still there {GONE_TIMEOUT_S:.0f} s after its end: try again")
        await asyncio.sleep(LOOK_S)


async def remove_group(bootstrap: str, group: str) -> bool:
    """Its positions with it. False while it has members: a static one that ended stays for its session's time."""
    async with admin(bootstrap) as client:
        node = await client.find_coordinator(group)
        response = await client._send_request_to_node(node, DeleteGroupsRequest([group]))
    ((name, code),) = response.results
    if for_code(code) is NonEmptyGroup:
        return False
    _refuse_kept("group", name, code, GroupIdNotFound)
    return True


def _refuse_kept(what: str, name: str, code: int, absent: type[Exception]) -> None:
    error = for_code(code)
    if error not in (NoError, absent):
        raise LaurelError(f"{what} {name} was not deleted: {error.__name__}. See the broker, then try again")
