"""Which partition of the states a partition of a source belongs to, and what it is called there.

Sources have as many partitions as the states, and partition n of each belongs to partition n of the states. A
repartitioned source may have any number: its partition p belongs to p modulo that of the states, whose owner reads
it, and commits its position in the transaction of the copies. A partition of the states may so have several of one
topic. Each is a *lane*: known by the topic where the numbers agree, else by `topic/p`, which no topic is called. So
a topic that becomes repartitioned goes on where it was.
"""

from __future__ import annotations

MARK = "/"


def lane_of(topic: str, partition: int, partitions: int) -> tuple[str, int]:
    """The lane of a partition of a source, and the partition of the states, of so many, that it belongs to."""
    number = partition % partitions
    return (topic if partition == number else f"{topic}{MARK}{partition}"), number


def place_of(lane: str, number: int) -> tuple[str, int]:
    """The partition of a source that is this lane of a partition of the states."""
    topic, _, partition = lane.partition(MARK)
    return topic, int(partition) if partition else number
