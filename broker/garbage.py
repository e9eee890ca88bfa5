"""What a process that goes through batches of records asks of the garbage collector."""

from __future__ import annotations

import gc

THRESHOLDS = (200_000, 50, 1_000)
FEW = 20_000


def collect_rarely() -> None:
    """Batches and restored states are many objects and no cycles: looking through them is half of decoding them.

    What is there already stays out of sight for good. Within a running loop, to which Ctrl-C is a cancel:
    finalizers run here, and would swallow a KeyboardInterrupt.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def collect_early() -> None:
    """Where people wait, and no batch is in memory: look through young objects before they are many.

    It takes the same time in all, in pauses of a tenth.
    """
    if gc.get_count()[0] >= FEW:
        gc.collect(0)
