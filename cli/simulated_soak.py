"""`laurel soak --simulated`: for each seed a deployment in memory with faults of its own, and a reference."""

from __future__ import annotations

import sys
import time
from collections import Counter

from cli.output import print_json, progress
from simulation.run import Verdict
from simulation.soak import replay, verdicts

SHOWN_MAX = 20  # of the failures


def soak_simulated(first: int, count: int, as_json: bool) -> bool:
    """Play these seeds, and tell of each that broke an invariant how to see it again. Returns whether none did."""
    began, failed, happened, played = time.monotonic(), list[Verdict](), Counter[str](), 0
    with progress("simulating") as show:
        for verdict in verdicts(range(first, first + count)):
            played += 1
            happened.update(verdict.happened)
            if verdict.complaints:
                failed.append(verdict)
                _tell(verdict, len(failed))
            show(seeds=played, of=count, failed=len(failed))
    if count == 1:
        _tell_all(verdict)
    _sum_up(first, count, failed, happened, time.monotonic() - began, as_json)
    return not failed


def _tell(verdict: Verdict, number: int) -> None:
    if number <= SHOWN_MAX:
        print(f"seed {verdict.seed} fails: {verdict.complaints[0]}", file=sys.stderr)
        print(f"    replay it: {replay(verdict.seed)}", file=sys.stderr, flush=True)


def _tell_all(verdict: Verdict) -> None:
    """Of a single seed, how each process ended, and all that is wrong."""
    told = f"after {verdict.simulated_s:.1f} simulated seconds, digest {verdict.digest}"
    for line in [*verdict.ends, *verdict.complaints, told]:
        print(line, file=sys.stderr, flush=True)


def _sum_up(
    first: int, count: int, failed: list[Verdict], happened: Counter[str], seconds: float, as_json: bool
) -> None:
    if as_json:
        told = {"first_seed": first, "seeds": count, "failed": len(failed), "seconds": round(seconds, 1)}
        failing = [each.seed for each in failed]
        print_json(told | {"failing_seeds": failing, "happened": dict(sorted(happened.items()))})
        return
    for what, times in sorted(happened.items()):
        print(f"{times:>9,}  {what}")
    print(f"{count:,} simulations from seed {first}, {len(failed)} failed, {seconds:.0f} s")
