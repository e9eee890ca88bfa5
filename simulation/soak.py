"""Many seeds, on all cores."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from simulation.run import Verdict, simulate

SEEDS_AT_ONCE = 8


def verdicts(seeds: Sequence[int], processes: int | None = None) -> Iterator[Verdict]:
    """In the order of the seeds. Leaving early ends the processes, each behind a few seeds more."""
    count = min(processes or os.cpu_count() or 1, -(-len(seeds) // SEEDS_AT_ONCE))
    if count <= 1:
        yield from map(simulate, seeds)
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    try:
        with _interrupts_ignored():
            made = pool.map(simulate, seeds, chunksize=SEEDS_AT_ONCE)
        yield from made
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that start meanwhile ignore them for good, from their first moment on.

    Ctrl-C goes to the whole group of processes; these are told by the one that started them. Deaf only once they
    run, they would die of it with a traceback while they still import.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def replay(seed: int) -> str:
    """The command that shows this seed again."""
    return f"laurel soak --simulated --seed {seed} --seeds 1"
