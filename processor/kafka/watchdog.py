"""The watchdog: ends a worker that lives on without working.

A group can lose a member without telling it, a coordinator can stay away, a service of Faust can hang. From
inside each looks like a quiet day.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from processor.kafka.exit import exit_now

LOOK_EVERY_S = 1.0


class Look(NamedTuple):
    """What the watchdog sees. Shapes: progress only grows, with every step forward; lag is in offsets."""

    is_member: bool
    is_acquiring: bool
    lag: int
    progress: int


class Watchdog(threading.Thread):
    """Looks from a thread of its own, since an event loop that hangs cannot look at itself."""

    def __init__(self, look: Callable[[], Look], patience_s: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._look, self._patience_s = look, patience_s
        self._judge = Judge(patience_s)

    def run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            if complaint := self._judge.complaint(self._look(), time.monotonic()):
                exit_now(complaint)


class Judge:
    """Remembers since when something is amiss."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._progress = -1
        self._member_at: float | None = None
        self._moved_at: float | None = None

    def complaint(self, look: Look, now: float) -> str | None:
        """What is wrong for longer than one may wait, if anything. A spare without partitions has no lag."""
        if look.is_member or self._member_at is None:
            self._member_at = now
        if look.progress != self._progress or look.lag == 0 or look.is_acquiring or self._moved_at is None:
            self._progress, self._moved_at = look.progress, now
        if now - self._member_at > self._patience_s:
            return f"no stable membership of the group for {self._patience_s:.0f} s"
        if now - self._moved_at > self._patience_s:
            return f"no progress for {self._patience_s:.0f} s with a lag of {look.lag} offsets"
        return None
