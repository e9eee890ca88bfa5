"""What a seed makes of a simulation: how much of what, and which faults are in it at all.

Not every fault in every simulation: where everything always happens, nothing ever gets far enough to be hurt by the
next thing.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from processor.kafka.pace import Pace

FAULTS_S = 14.0  # so long faults happen; then everything has to come to an end
PARTITIONS_MAX = 3

KINDS = ("kill", "kill at a step", "pause", "pause at a step", "join", "leave", "rewind", "compact", "kill all")
OFTEN = ("pause at a step", "kill at a step")  # a process that wakes in the middle of a step is the worst there is
LOSSES = ("append", "move", "commit", "fence", "statement", "database commit")
STRANGE_KINDS = ("again", "unknown", "malformed", "without value", "another key", "future", "another partition")


class Plan(NamedTuple):
    """Shapes: losses, request -> likelihood of being lost; rates, kind of publication -> likelihood."""

    partitions: int
    workers: int
    projectors: int
    pace: Pace
    events: int
    users: int
    rates: dict[str, float]
    faults: list[str]
    losses: dict[str, float]
    slow: float
    mishaps: float
    in_transactions: float
    decoded_max: int


def plan(seed: int) -> Plan:
    chance = Random(f"plan {seed}")
    head_s = chance.choice((0.2, 0.3, 0.5, 1.0))
    return Plan(
        partitions=chance.randint(1, PARTITIONS_MAX),
        workers=chance.choice((1, 2, 2, 3)),
        projectors=chance.choice((1, 2, 2)),
        pace=Pace(head_s, 2 * head_s, chance.choice((5, 20, 1000))),
        events=chance.choice((40, 80, 80, 160)),
        users=chance.choice((3, 8, 20)),
        rates={kind: chance.choice((0.0, 0.02, 0.1)) for kind in STRANGE_KINDS},
        faults=_faults(chance),
        losses={what: chance.choice((0.0, 0.0, 0.02, 0.1)) for what in LOSSES},
        slow=chance.choice((0.0, 0.01, 0.05)),
        mishaps=chance.choice((0.0, 0.0, 0.02, 0.1)),
        in_transactions=chance.choice((0.0, 0.3, 1.0)),
        decoded_max=chance.choice((1, 4, 1000)),
    )


def _faults(chance: Random) -> list[str]:
    """A handful, out of a few kinds."""
    kinds = [*chance.sample(KINDS, chance.randint(1, 4)), chance.choice(OFTEN)]
    return chance.choices(kinds, k=chance.randint(3, 9))
