"""Where a worker's seconds went, for a benchmark to read."""

from __future__ import annotations

import json
import math
import resource
import time
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path

CHECKPOINTS_REMEMBERED = 65_536
SHARES = {"p50": 0.5, "p99": 0.99}


class Profile:
    """Seconds by what they were spent on, and counts of what was done in them.

    Units: fetch, fold and encode are seconds of computing; produce and commit are seconds from the first request
    to the last answer, in which folding goes on, and those of several partitions overlap. Starting is what the
    process computed before the end of its first fold.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._began = time.perf_counter()
        self._starting_cpu_s: float | None = None
        self.seconds: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._checkpoints_s: deque[float] = deque(maxlen=CHECKPOINTS_REMEMBERED)

    def add(self, what: str, started: float) -> float:
        """Count the seconds since `started`, a value of perf_counter, and return them."""
        seconds = time.perf_counter() - started
        if what == "fold" and self._starting_cpu_s is None:
            self._starting_cpu_s = time.process_time()
        self.seconds[what] += seconds  # type: ignore[assignment]  # a Counter counts fractions too
        return seconds

    def checkpoint(self, seconds: float) -> None:
        """Count a checkpoint that took so long; of the last ones it is known how long each took."""
        self.counts["checkpoints"] += 1
        self._checkpoints_s.append(seconds)

    def write(self) -> None:
        """Append one JSON line to the file that was asked for, if one was."""
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(self._line()) + "\n")

    def _line(self) -> dict[str, object]:
        return {
            "seconds": {what: round(seconds, 6) for what, seconds in self.seconds.items()},
            "counts": dict(self.counts),
            "checkpoint_ms": {
                name: round(percentile(self._checkpoints_s, share) * 1000, 1) for name, share in SHARES.items()
            },
            "wall_s": round(time.perf_counter() - self._began, 6),
            "cpu_s": round(time.process_time(), 6),
            "starting_cpu_s": round(self._starting_cpu_s or 0, 6),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }


def percentile(values: Iterable[float], share: float) -> float:
    """The least value that so large a share of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
