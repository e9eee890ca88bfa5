"""The metric kinds, one file each.

A kind is a monoid over its slots of the user state: `empty` (schemas/state.py holds its defaults), a step that
applies one event, and `merge(earlier, later)`, with merge(fold(a), fold(b)) == fold(a + b) for every cut of a log.

A step is a function made once for a metric and one of the event types that feed it, and called for each event:
`step(state, data, at, event)` changes the slots and returns what waited for the thresholds it crossed, with
the time of crossing, or None, which is what almost every event gets.
"""

from __future__ import annotations

from processor.evaluator.metrics import bridged, count, distinct, each, latest, maximum, streak, sum, xp
from processor.evaluator.metrics.kind import Crossed, Kind, Step, Thresholds

KINDS: dict[str, Kind] = {
    "count": count.KIND,
    "sum": sum.KIND,
    "max": maximum.KIND,
    "latest": latest.KIND,
    "distinct": distinct.KIND,
    "distinct with minus": distinct.KIND_WITH_MINUS,
    "streak": streak.KIND,
    "streak bridged": bridged.KIND,
    "xp": xp.KIND,
    "count each": each.COUNTS,
    "sum each": each.SUMS,
    "distinct each": each.DISTINCT,
}

__all__ = ["KINDS", "Crossed", "Kind", "Step", "Thresholds"]
