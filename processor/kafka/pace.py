"""When a partition is committed, and how much is folded in one go."""

from __future__ import annotations

from typing import NamedTuple

from processor.kafka.partition import OwnedPartition

SLICE_S = 0.012  # a longer slice starves the event loop, and with it the transactions
SLICE_RECORDS_MIN, SLICE_RECORDS_MAX = 64, 4_096
HEAD_LAG = 1_000  # records; a partition that is no further behind is at the head of its log


class Pace(NamedTuple):
    """Units: seconds between checkpoints at the head and under backlog, records that are enough for one."""

    head_s: float
    backlog_s: float
    records_max: int


def until_next(now: float, interval: float, phase: float) -> float:
    """Seconds until the next moment that lies `phase` behind a multiple of the interval."""
    return interval - (now - phase) % interval


def is_due(partition: OwnedPartition, pace: Pace, now: float) -> bool:
    """At the head of the log people wait for their unlock; under backlog a later cut costs fewer records."""
    if partition.moved_at is None:
        return False
    at_head = sum(partition.lags.values()) <= HEAD_LAG
    return at_head or now - partition.moved_at >= pace.backlog_s


def fitting_slice(size: int, seconds: float) -> int:
    """The number of records that takes about as long as a slice may, at most a factor of two away."""
    wanted = int(size * SLICE_S / max(seconds, 1e-6))
    gradual = max(size // 2, min(wanted, size * 2))
    return max(SLICE_RECORDS_MIN, min(gradual, SLICE_RECORDS_MAX))
