"""One seed, from its plan to its verdict."""

from __future__ import annotations

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
    with capture_logs():
        world = World(seed, plan(seed))
        world.run()
        complaints = invariants.complaints(world)
    happened = {**world.happened, **{f"records {kind}": number for kind, number in world.tally.items()}}
    return Verdict(seed, complaints, happened, world.ends, invariants.digest(world), world.loop.time())
