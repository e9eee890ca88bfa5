"""One seed, from its plan to its verdict."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from structlog.testing import capture_logs

from simulation import invariants
from simulation.plan import plan
from simulation.world import World


class Verdict(NamedTuple):
    """Shapes: complaints, empty when everything held; happened, what happened how often; ends, of processes and
    why; digest, of everything that is left."""

    seed: int
    complaints: list[str]
    happened: dict[str, int]
    ends: list[str]
    digest: str
    simulated_s: float


def simulate(seed: int) -> Verdict:
    with capture_logs(), uncollected():
        world = World(seed, plan(seed))
        world.run()
        complaints = invariants.complaints(world)
    happened = {**world.happened, **{f"records {kind}": number for kind, number in world.tally.items()}}
    return Verdict(seed, complaints, happened, world.ends, invariants.digest(world), world.loop.time())


@contextmanager
def uncollected() -> Iterator[None]:
    """What hangs together in circles is looked for once, at the end: a quarter of the time, if all the while."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
