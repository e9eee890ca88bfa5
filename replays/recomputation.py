"""Some users' states, folded anew from the beginning of the log by the very evaluator that folds live."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from heapq import merge
from itertools import groupby
from typing import NamedTuple

from broker.positions import Place, Positions
from broker.reading import read_to_end
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from replays.uncounted import Uncounted
from schemas.outcomes import Outcome, Revoked, RevokedOutcome, Unlocked, decode_any_outcome
from schemas.program import Program
from schemas.records import Record
from schemas.state import decode_state, fresh_state, metric_values
from schemas.topics import partition_of

NOTHING = Uncounted()
Award = tuple[str, str, str, str]
"""User, catalog, reference of the achievement, scope."""
Values = dict[str, dict[str, int | None]]
"""Catalog -> metric -> value."""


class Held(NamedTuple):
    """An award as it stands."""

    n: int
    earned_at: datetime


class PartitionFold:
    """The chosen users of one partition."""

    def __init__(self, program: Program, ready: ReadyProgram, partition: int, partitions: int) -> None:
        self.program = program
        self._evaluator = PartitionEvaluator(ready, partition, partitions)
        self._fresh = fresh_state(program.ledger)
        self.awards: dict[Award, Held] = {}
        self.metrics: dict[str, Values] = {}

    def fold(self, by_topic: Mapping[str, list[Record]]) -> None:
        """Topics have no order among each other; that of their append times is the likeliest."""
        streams = [[(topic, record) for record in records] for topic, records in sorted(by_topic.items())]
        in_order = merge(*streams, key=lambda each: each[1].timestamp)
        for topic, stretch in groupby(in_order, key=lambda each: each[0]):
            self._evaluator.fold(topic, [record for _, record in stretch])
        self._take_cut()

    def _take_cut(self) -> None:
        made = self._evaluator.cut()
        for _, value in made.outcomes:
            self._take(decode_any_outcome(value))
        for user, row in made.states:
            if row is not None:
                state = decode_state(row, self._fresh)
                self.metrics[user.decode()] = metric_values(state, self.program)

    def _take(self, said: object) -> None:
        if isinstance(said, Outcome):
            self.awards[award_of(said.subject, said.data)] = Held(said.data.n, said.data.earned_at)
        elif isinstance(said, RevokedOutcome):
            del self.awards[award_of(said.subject, said.data)]


def folded_topics(program: Program) -> list[str]:
    """The topics whose records move states; of a repartitioned one these are its copies."""
    return [topic for topic in program.sources if topic not in program.repartitioned]


def award_of(user: str, data: Unlocked | Revoked) -> Award:
    return user, data.catalog, "/".join(filter(None, (data.achievement, data.tier))), data.scope


class Recomputation:
    """Users of several partitions; `read_on` goes on from where the log ended before."""

    def __init__(
        self,
        bootstrap: str,
        programs: Mapping[int, Program],
        users: Collection[str],
        uncounted: Uncounted = NOTHING,
    ) -> None:
        """Shapes: programs, what each partition of the state runs."""
        self._bootstrap, self._partitions, self._uncounted = bootstrap, len(programs), uncounted
        self._users = {user.encode() for user in users}
        ready = {id(program): ReadyProgram(program) for program in programs.values()}  # most run the same one
        self._folds = {
            partition: PartitionFold(programs[partition], ready[id(programs[partition])], partition, len(programs))
            for partition in sorted({*map(self.partition_of, users)})
        }
        self.positions: Positions = {}
        self.records = 0

    def places(self) -> list[Place]:
        return [(topic, number) for number, fold in self._folds.items() for topic in folded_topics(fold.program)]

    async def read_on(self) -> set[str]:
        """Fold up to where the log ends now. Returns who had a record in it."""
        found: dict[int, dict[str, list[Record]]] = {}
        async for batch in read_to_end(self._bootstrap, self.places(), self.positions):
            self.positions[batch.topic, batch.partition] = self._uncounted.end(batch)
            theirs = [record for record in self._uncounted.counted(batch) if record.key in self._users]
            if theirs:
                found.setdefault(batch.partition, {}).setdefault(batch.topic, []).extend(theirs)
        for partition, by_topic in found.items():
            self._folds[partition].fold(by_topic)
        moved = [record for by_topic in found.values() for records in by_topic.values() for record in records]
        self.records += len(moved)
        return {(record.key or b"").decode() for record in moved}

    def awards(self) -> Iterator[tuple[Award, Held]]:
        return (award for fold in self._folds.values() for award in fold.awards.items())

    def metrics(self) -> dict[str, Values]:
        return {user: values for fold in self._folds.values() for user, values in fold.metrics.items()}

    def partition_of(self, user: str) -> int:
        return partition_of(user.encode(), self._partitions)
