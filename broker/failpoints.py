"""Failpoints: places where a process can be made to die, freeze or fail, to prove what a crash there does.

LAUREL_FAILPOINT=<point>=<action>[@<time>] arms one of them: `checkpoint.5=kill@3` kills the worker when it reaches
step 5 of its third checkpoint. The points are the numbered steps of the processor's checkpoint
(processor/kafka/checkpoint.py), of the projector's (projections/lane.py) and of a replay's job (replays/steps.py).
Unset, a point is an empty call.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from schemas.errors import LaurelError

VARIABLE = "LAUREL_FAILPOINT"
WRITTEN = re.compile(r"(?P<point>[a-z]+\.\d+)=(?P<action>[a-z]+)(?:@(?P<time>[1-9]\d*))?")
POINTS = {"checkpoint": range(1, 8), "projection": range(1, 7), "replay": range(1, 16)}


class InjectedFault(Exception):  # noqa: N818 - what it is
    """What a failpoint raises."""


class Failpoint(NamedTuple):
    """Shapes: time counts from 1."""

    point: str
    action: Callable[[str], None]
    time: int


def _kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze(_: str) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _raise(point: str) -> NoReturn:
    raise InjectedFault(f"failpoint {point}")


ACTIONS: dict[str, Callable[[str], None]] = {"kill": _kill, "freeze": _freeze, "raise": _raise}


def parse(written: str) -> Failpoint:
    """Raises: LaurelError on what is no failpoint of ours."""
    match = WRITTEN.fullmatch(written)
    if match is None or match["action"] not in ACTIONS or not _is_known(match["point"]):
        raise LaurelError(
            f"{VARIABLE} is {written!r}: write <point>=<{'|'.join(ACTIONS)}>[@<time>], the points being "
            + " and ".join(f"{name}.{steps[0]} to {name}.{steps[-1]}" for name, steps in POINTS.items())
        )
    return Failpoint(match["point"], ACTIONS[match["action"]], int(match["time"] or 1))


def _is_known(point: str) -> bool:
    name, _, step = point.partition(".")
    return int(step) in POINTS.get(name, ())


def _unarmed(point: str) -> None: ...


_reach: Callable[[str], None] = _unarmed


def reach(point: str) -> None:
    """A process has come to this point."""
    _reach(point)


def arm(reached: Callable[[str], None]) -> None:
    """Call this at every point from now on."""
    global _reach
    _reach = reached


def disarm() -> None:
    arm(_unarmed)


def arm_from_environment() -> None:
    """Arm what LAUREL_FAILPOINT says, if it says something. Raises: LaurelError."""
    if written := os.environ.get(VARIABLE):
        arm(_trap(parse(written)))


def _trap(wanted: Failpoint) -> Callable[[str], None]:
    times = 0

    def reached(point: str) -> None:
        nonlocal times
        times += point == wanted.point
        if point == wanted.point and times == wanted.time:
            wanted.action(point)

    return reached
