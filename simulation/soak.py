"""Many seeds, on all cores."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from simulation.run import Verdict, simulate

SEEDS_AT_ONCE = 8


def verdicts(seeds: Sequence[int], processes: int | None = None) -> Iterator[Verdict]:
    """In the order of the seeds. Leaving early ends the processes, each behind a few seeds more."""
    count = min(processes or os.cpu_count() or 1, -(-len(seeds) // SEEDS_AT_ONCE))
    if count <= 1:
        yield from map(simulate, seeds)
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_leave_interrupts)
    try:
        yield from pool.map(simulate, seeds, chunksize=SEEDS_AT_ONCE)
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C goes to the whole group of processes; ours is told by the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def replay(seed: int) -> str:
    """The command that shows this seed again."""
    return f"laurel soak --simulated --seed {seed} --seeds 1"
