"""When a partition is committed, and how much is folded in one go."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import ceil
from typing import NamedTuple, Protocol, TypeVar

from aiokafka import TopicPartition

from processor.kafka.fetch import Turn
from processor.kafka.partition import OwnedPartition

SLICE_S = 0.012  # a longer slice starves the event loop, and with it the transactions
SLICE_RECORDS_MIN, SLICE_RECORDS_MAX = 64, 4_096
SLICE_ORDERS = 16  # of replays, beside which live transactions go on
HELD_MAX = 4  # checkpoints' worth of records, in all partitions together
COMMITTING_SHARE = 0.3  # of the time; a busy machine gets fewer transactions, not a queue of them
STRETCH_MAX = 2  # beyond it people would notice
DURATION_WEIGHT = 0.1  # of the latest checkpoint, in the mean of all
HEAD_LAG = 2_000  # records; a partition that is no further behind is at the head of its log
ORDERS_AT_ONCE = 400  # of replays
ORDERS_BESIDE_LIVE = 100  # live records wait for them


class Partitioned(Protocol):
    @property
    def partition(self) -> int: ...


PlaceT = TypeVar("PlaceT", bound=Partitioned)


class Pace(NamedTuple):
    """Units: seconds between checkpoints at the head and under backlog, records that are enough for one."""

    head_s: float
    backlog_s: float
    records_max: int


NEVER = Pace(head_s=3_600, backlog_s=3_600, records_max=10**9)  # but when whoever owns the partitions says so


def interval_of(pace: Pace, duration_s: float) -> float:
    """Seconds between checkpoints of a partition at the head of its log, when one takes so long."""
    step_s = pace.head_s / 2
    stretched = step_s * ceil(duration_s / COMMITTING_SHARE / step_s)
    return max(pace.head_s, min(stretched, pace.head_s * STRETCH_MAX))


def mean_with(mean_s: float, latest_s: float) -> float:
    return mean_s + DURATION_WEIGHT * (latest_s - mean_s)


def until_next(now: float, interval: float, phase: float) -> float:
    """Seconds until the next moment that lies `phase` behind a multiple of the interval."""
    return interval - (now - phase) % interval


def is_at_head(partition: OwnedPartition) -> bool:
    return partition.live_lag <= HEAD_LAG


def in_turn(there: Collection[PlaceT], partitions: Mapping[int, OwnedPartition]) -> Collection[PlaceT]:
    """Of the places that have something fetched, those to fold now: all at their heads, and of those behind the
    partition that is nearest to its next cut.

    So a partition that catches up is folded in long stretches: its users' states stay in the core's caches, and
    more of its events share a changelog record. Between equals comes first who was cut longest ago.
    """
    behind = {
        place.partition: partition
        for place in there
        if (partition := partitions.get(place.partition)) is not None and not is_at_head(partition)
    }
    if len(behind) < 2:
        return there
    first = max(behind, key=lambda number: (behind[number].pending, -behind[number].turn))
    return [place for place in there if place.partition == first or place.partition not in behind]


class Turns:
    """Live records and orders of replays, for which nobody waits, take turns, and of orders it is a few each time.

    A fetch of orders is worth a hundred milliseconds of folding, and live records would stand behind it.
    """

    def __init__(self, orders: str) -> None:
        self._orders, self._are_owed = orders, False

    def choose(
        self, there: Collection[TopicPartition], records_max: int, partitions: Mapping[int, OwnedPartition]
    ) -> Turn:
        """Of the places that have something fetched, those to fold now."""
        orders = [place for place in there if place.topic == self._orders]
        live = [place for place in there if place.topic != self._orders]
        if orders and (self._are_owed or not live):
            self._are_owed = False
            return Turn(orders, min(ORDERS_BESIDE_LIVE if live else ORDERS_AT_ONCE, records_max))
        self._are_owed = bool(orders)
        return Turn(in_turn(live, partitions), records_max)


def full_ones(partitions: Collection[OwnedPartition], pace: Pace) -> list[OwnedPartition]:
    """Whose checkpoint waits no longer: who holds enough, and the fullest where all hold too much together.

    Else partitions that begin together are all cut together, and their checkpoints are in memory together.
    """
    full = [each for each in partitions if each.pending >= pace.records_max]
    if sum(each.pending for each in partitions) >= HELD_MAX * pace.records_max:
        full.append(max(partitions, key=lambda each: each.pending))
    return full


def is_due(partition: OwnedPartition, pace: Pace, now: float) -> bool:
    """At the head of the log people wait for their unlock; under backlog a later cut costs fewer records.

    So it waits until it holds more than is still to come.
    """
    if partition.moved_at is None:
        return False
    waits = not is_at_head(partition) and partition.pending < partition.live_lag
    return not waits or now - partition.moved_at >= pace.backlog_s


def fitting_slice(size: int, seconds: float) -> int:
    """The number of records that takes about as long as a slice may, at most a factor of two away."""
    wanted = int(size * SLICE_S / max(seconds, 1e-6))
    gradual = max(size // 2, min(wanted, size * 2))
    return max(SLICE_RECORDS_MIN, min(gradual, SLICE_RECORDS_MAX))
