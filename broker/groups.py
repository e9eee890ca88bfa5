"""Looking at a consumer group from outside."""

from __future__ import annotations

from typing import NamedTuple

from broker.connections import admin


class Group(NamedTuple):
    """Shapes: state is Kafka's word for it: Stable, Empty, Dead, PreparingRebalance, CompletingRebalance."""

    state: str
    members: int


async def look_at_group(bootstrap: str, group: str) -> Group:
    async with admin(bootstrap) as client:
        (response,) = await client.describe_consumer_groups([group])
    _, _, state, _, _, members, *_ = response.groups[0]
    return Group(state, len(members))
