"""Partitions of sources go where the partitions of the states are that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any, Protocol

from faust.assignor.partition_assignor import PartitionAssignor

from processor.kafka.fetch import Chunk
from schemas.lanes import lane_of


class Assigned(Protocol):
    """What a member of the group gets: topic -> partitions."""

    actives: MutableMapping[str, list[int]]


class FollowingAssignor(PartitionAssignor):  # type: ignore[misc]
    """Faust's assignor spreads topics of another number of partitions by themselves; here they follow."""

    def _protocol_assignments(self, assignments: Mapping[str, Assigned], *more: Any) -> Mapping[str, Any]:
        (changelog,) = self._table_manager.changelog_topics
        follow(assignments.values(), changelog)
        given: Mapping[str, Any] = super()._protocol_assignments(assignments, *more)
        return given


def follow(members: Collection[Assigned], changelog: str) -> None:
    """Give every partition to the member with the partition of the states that it belongs to."""
    counts: Counter[str] = Counter()
    for member in members:
        counts.update({topic: len(numbers) for topic, numbers in member.actives.items()})
    partitions = counts.pop(changelog, 0)
    for member in members:
        owned = {*member.actives.get(changelog, ())}
        member.actives.update(
            {
                topic: [number for number in range(count) if number % partitions in owned]
                for topic, count in counts.items()
                if count != partitions
            }
        )


def in_lane(chunk: Chunk, partitions: int) -> Chunk:
    """A chunk as the partition of the states knows it."""
    if chunk.partition < partitions:
        return chunk
    lane, number = lane_of(chunk.topic, chunk.partition, partitions)
    return chunk._replace(topic=lane, partition=number)
