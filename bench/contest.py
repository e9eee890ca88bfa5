"""Ours and the others, turn by turn on one broker: on a noisy machine only neighbours can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.load import Load
from bench.oracle import expected
from bench.peers.engines import PEERS
from bench.run import Cost, Engine, run
from bench.stage import Say, Stage, staged
from bench.worker import Worker
from schemas.errors import LaurelError

JOBS = Path(__file__).parent / "jobs"
FULL = "laurel-full"
OTHERS = (*PEERS, FULL)


class Turn(NamedTuple):
    """A run of ours and the run after it."""

    ours: Cost
    other: Cost


class Standing(NamedTuple):
    """A figure of several runs."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> Standing:
        values = [*figures]
        return cls(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{self.middle:.2f} ({self.least:.2f}–{self.most:.2f})"


class Contest(NamedTuple):
    """Shapes: turns by name of the other; absent, why somebody did not take part."""

    turns: dict[str, list[Turn]]
    absent: dict[str, str]

    @property
    def ours(self) -> list[Cost]:
        return [turn.ours for turns in self.turns.values() for turn in turns]


def compete(others: Iterable[str], rounds: int, load: Load, cache: Path, say: Say) -> Contest:
    """Run ours and each other in turn, so many times. Who cannot be installed, or fails, is told and left out."""
    lines = {job: expected(job, load, cache) for job in ("small", "full")}
    contest = Contest({}, {})
    with staged(load, say) as stage:
        for number, other in _order([*others], rounds):
            if other not in contest.absent:
                _take_turn(contest, stage, other, number, lines, say)
    return contest


def _order(others: list[str], rounds: int) -> Iterator[tuple[int, str]]:
    return ((number, other) for number in range(1, rounds + 1) for other in others)


def _take_turn(
    contest: Contest, stage: Stage, other: str, number: int, lines: dict[str, list[str]], say: Say
) -> None:
    name = f"{other}-{number}"
    engine, wanted = engine_of(other, name, lines)
    ours = run(Worker(JOBS / "small.yaml", f"before-{name}"), stage, lines["small"], say)
    try:
        theirs = run(engine, stage, wanted, say)
    except LaurelError as failure:
        if other not in PEERS:
            raise
        contest.absent[other] = str(failure)
        say(f"{other} does not take part: {failure}")
    else:
        contest.turns.setdefault(other, []).append(Turn(ours, theirs))


def engine_of(other: str, run_name: str, lines: dict[str, list[str]]) -> tuple[Engine, list[str]]:
    """The engine, and the lines it must come to."""
    if other == FULL:
        return Worker(JOBS / "full.yaml", run_name, name=FULL), lines["full"]
    kind = PEERS[other]
    return kind.engine(other, run_name, kind.command, lines["small"]), lines["small"]


def full_over(turns: Mapping[str, Sequence[Turn]], peer: str, figure: Callable[[Cost], float]) -> Standing | None:
    """Ours with the full fold divided by a peer with the small one, of each round; None when one was missing."""
    rounds = zip(turns.get(FULL, ()), turns.get(peer, ()), strict=False)
    ratios = [figure(full.other) / figure(other.other) for full, other in rounds]
    return Standing.of(ratios) if ratios else None


def ratio(turns: Iterable[Turn], figure: Callable[[Cost], float]) -> Standing:
    """Ours divided by the other's, of each turn."""
    return Standing.of(figure(turn.ours) / figure(turn.other) for turn in turns)
