"""What a seed makes of a simulation: how much of what, and which faults are in it at all.

Not every fault in every simulation: where everything always happens, nothing ever gets far enough to be hurt by the
next thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal, NamedTuple

from processor.kafka.pace import Pace
from schemas.replays import Notify, Policy
from simulation.catalogs import ADDITIONS, ANEW, MILDER, NOTHING

STARTS_S_MAX = 6.0
FAULTS_S = 14.0  # so long faults happen; then everything has to come to an end
REPLAYED_S = 24.0  # replays are slow among faults, and their own befall them behind those, too
PARTITIONS_MAX = 3
REPLAYS_CHANCE = 1 / 3
NOTHING_CHANCE = 0.3
LEFT_OUT_CHANCE = 0.2
LOOK_AGAIN_CHANCE = 0.15
LATE_CHANCE = 0.15
ANEW_CHANCE = 0.1
POLICIES: tuple[Policy, ...] = ("keep", "revoke")
HOLDS_S = (4.0, 10.0, 40.0)

NOTIFY: tuple[Notify, ...] = ("none", "digest", "all")
KINDS = ("kill", "kill at a step", "pause", "pause at a step", "join", "leave", "rewind", "compact", "kill all")
OFTEN = ("pause at a step", "kill at a step")  # a process that wakes in the middle of a step is the worst there is
REPLAY_KINDS = ("kill job", "pause replay", "cancel replay")
ORDER_KINDS = ("kill at an order", "pause at an order", "kill worker at an order")
LOSSES = ("append", "move", "commit", "fence", "statement", "database commit", "order")
STRANGE_KINDS = ("again", "unknown", "malformed", "without value", "another key", "future", "another partition")


How = Literal["replay", "publish", "look again", "late", "anew"]


class Wish(NamedTuple):
    """To have a version run, the past looked at again by what runs, folded late what only this version can read, or
    everything anew. Shapes: version, how many additions it has; after_s, seconds from when the wish before came
    true."""

    how: How
    version: int
    after_s: float
    notify: Notify


class Replays(NamedTuple):
    """What operators change while everything runs. Shapes: additions in the order of their versions. Units: hold_s,
    how long live events may wait for a promotion. policy is what becomes then of what the new rules do not give."""

    additions: tuple[str, ...]
    wishes: list[Wish]
    replayers: int
    faults: list[str]
    hold_s: float = 0.0
    policy: Policy = "keep"

    @property
    def is_anew(self) -> bool:
        return ANEW in self.additions


NO_REPLAYS = Replays((), [], 0, [])


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
    replays: Replays


def plan(seed: int) -> Plan:
    chance = Random(f"plan {seed}")
    head_s = chance.choice((0.2, 0.3, 0.5, 1.0))
    replays = _replays(chance) if chance.random() < REPLAYS_CHANCE else NO_REPLAYS
    made = _plan(chance, head_s, replays)
    if MILDER in replays.additions:
        return _with_loose_ones(chance, made)
    other = Random(f"anew {seed}")
    return _anew(other, made) if replays.wishes and other.random() < ANEW_CHANCE else made


def _anew(chance: Random, plan: Plan) -> Plan:
    """Everything is folded anew, behind a replay or as the first of all."""
    additions = [*chance.sample([*ADDITIONS], chance.choice((0, 0, 1))), ANEW]
    wishes = [*_wishes(chance, additions[:-1])]
    wishes.append(Wish("anew", len(additions), chance.random() * 2, chance.choice(NOTIFY)))
    replayers, hold_s = chance.choice((1, 2)), chance.choice(HOLDS_S)
    faults, policy = _replay_faults(chance), chance.choice(POLICIES)
    replays = Replays(tuple(additions), wishes, replayers, faults, hold_s, policy)
    return plan._replace(replays=replays, events=80, users=chance.choice((3, 3, 8)))


def _plan(chance: Random, head_s: float, replays: Replays) -> Plan:
    return Plan(
        partitions=chance.randint(1, PARTITIONS_MAX),
        workers=chance.choice((1, 2, 2, 3)),
        projectors=chance.choice((1, 1, 2) if replays.wishes else (1, 2, 2)),
        pace=Pace(head_s, 2 * head_s, chance.choice((5, 20, 1000))),
        events=chance.choice((40, 80) if replays.wishes else (40, 80, 80, 160)),
        users=chance.choice((3, 8, 20)),
        rates={kind: chance.choice((0.0, 0.02, 0.1)) for kind in STRANGE_KINDS},
        faults=_faults(chance),
        losses={what: chance.choice((0.0, 0.0, 0.02, 0.1)) for what in LOSSES},
        slow=chance.choice((0.0, 0.01, 0.05)),
        mishaps=chance.choice((0.0, 0.0, 0.02, 0.1)),
        in_transactions=chance.choice((0.0, 0.3, 1.0)),
        decoded_max=chance.choice((1, 4, 1000)),
        replays=replays,
    )


def _with_loose_ones(chance: Random, plan: Plan) -> Plan:
    """Positions that are set back by hand are not covered, and where a version both counts something new and can
    read what was refused, a retry of that counts twice: it was never seen."""
    rates = plan.rates | {"loose": chance.choice((0.1, 0.3))}
    if {*ADDITIONS} & {*plan.replays.additions}:
        rates["again"] = 0.0
    faults = ["kill" if fault == "rewind" else fault for fault in plan.faults]
    return plan._replace(rates=rates, faults=faults)


def _faults(chance: Random) -> list[str]:
    """A handful, out of a few kinds."""
    kinds = [*chance.sample(KINDS, chance.randint(1, 4)), chance.choice(OFTEN)]
    return chance.choices(kinds, k=chance.randint(3, 9))


def _replay_faults(chance: Random) -> list[str]:
    return [*chance.choices(ORDER_KINDS, k=2), *chance.choices(REPLAY_KINDS, k=chance.randint(0, 3))]


def _replays(chance: Random) -> Replays:
    is_late = chance.random() < LATE_CHANCE
    additions = chance.sample([*ADDITIONS], chance.choice((0, 1, 1) if is_late else (1, 1, 1, 2, 3)))
    if is_late or chance.random() < NOTHING_CHANCE:
        additions.insert(chance.randint(0, len(additions)), MILDER if is_late else NOTHING)
    wishes, replayers = [*_wishes(chance, additions)], chance.choice((1, 1, 2))
    if is_late:
        _add_late_ones(chance, wishes, additions.index(MILDER) + 1)
    return Replays(tuple(additions), wishes, replayers, _replay_faults(chance))


def _add_late_ones(chance: Random, wishes: list[Wish], version: int) -> None:
    """Anywhere behind the wish that brings this version."""
    first = next(number for number, wish in enumerate(wishes, 1) if wish.version >= version)
    for _ in range(chance.choice((1, 1, 2))):
        late = Wish("late", version, chance.random() * STARTS_S_MAX, chance.choice(NOTIFY))
        wishes.insert(chance.randint(first, len(wishes)), late)


def _wishes(chance: Random, additions: Sequence[str]) -> Iterator[Wish]:
    """Of several versions one may be left out, and what it brings comes with the next."""
    if chance.random() < LOOK_AGAIN_CHANCE:
        yield Wish("look again", 0, chance.random() * STARTS_S_MAX, "all")
    is_left_out = False
    for version, addition in enumerate(additions, 1):
        is_last = version == len(additions)
        is_silent = addition in (NOTHING, MILDER)
        how: How = "publish" if is_silent and not is_left_out else "replay"
        is_left_out = how == "replay" and not is_last and (is_left_out or chance.random() < LEFT_OUT_CHANCE)
        if not is_left_out:
            yield Wish(how, version, chance.random() * STARTS_S_MAX, chance.choice(NOTIFY))
