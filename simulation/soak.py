"""Many seeds, on all cores."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Self

from simulation.run import Verdict, simulate

SEEDS_AT_ONCE = 8


class Players:
    """Processes that play seeds: one for each core, started with the first seeds and used until the end."""

    def __init__(self, processes: int | None = None) -> None:
        self._pool = ProcessPoolExecutor(
            processes or os.cpu_count() or 1, mp_context=get_context("spawn"), initializer=_leave_code_alone
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """They end, each behind a few seeds more."""
        self._pool.shutdown(cancel_futures=True)

    def verdicts(self, seeds: Sequence[int]) -> Iterator[Verdict]:
        """In the order of the seeds."""
        with _interrupts_ignored():
            return self._pool.map(simulate, seeds, chunksize=SEEDS_AT_ONCE)


def verdicts(seeds: Sequence[int], processes: int | None = None) -> Iterator[Verdict]:
    """In the order of the seeds. Leaving early ends the processes, each behind a few seeds more."""
    count = min(processes or os.cpu_count() or 1, -(-len(seeds) // SEEDS_AT_ONCE))
    if count <= 1:
        yield from map(simulate, seeds)
        return
    with Players(count) as players:
        yield from players.verdicts(seeds)


def _leave_code_alone() -> None:
    """What is imported stays: looking through it for garbage behind every seed takes a twentieth of the time."""
    gc.collect()
    gc.freeze()


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
