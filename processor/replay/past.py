"""One partition's history, folded aside: what its users' new metrics come to, and what they crossed on the way.

The fold is the evaluator's own, over an excerpt of the program and states of its own; where it settles what was
crossed, a recorder looks over its shoulder. What comes out is a function of what came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

from msgspec.structs import replace

from processor.evaluator.partition import DECODED_MAX, PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from processor.replay.excerpt import Aim, excerpt_of
from processor.replay.recording import Recorder
from processor.replay.spool import Shelf, Told
from schemas.program import Program
from schemas.records import Record
from schemas.replays import ByEvent, Crossing, Fact, Named
from schemas.state import AWARD, AWARDS, LOST, State, award_of, decode_state

RECORDS_BETWEEN_CUTS = 50_000
SHELVED_AT_ONCE = 2_000


class Past:
    """Synchronous; one thread. Shapes: aim and program as of the whole replay; what is folded is an excerpt."""

    def __init__(
        self,
        program: Program,
        aim: Aim,
        partition: int,
        partitions: int,
        decoded_max: int = DECODED_MAX,
    ) -> None:
        self.excerpt = excerpt_of(program, aim)
        ready = ReadyProgram(self.excerpt.program, settled=True)
        ready.books = self._recorder = Recorder(ready, self.excerpt, aim)
        self._numbers = program.ledger.awards
        self._partition, self._decoded_max = partition, decoded_max
        self._begin = partial(PastEvaluator, ready, partition, partitions, decoded_max)
        self._aside, self._shelf = self._begin(), Shelf()
        self._facts: list[Told] = []
        self._since_cut = 0

    def __len__(self) -> int:
        """How many users were met."""
        return len(self._aside)

    def fold(self, topic: str, records: Sequence[Record]) -> None:
        """Take the next records of a topic."""
        self._aside.fold(topic, records)
        if self._recorder.notes:
            self._facts += self._told(topic, {record.offset: record for record in records})
        self._since_cut += len(records)
        if self._since_cut > RECORDS_BETWEEN_CUTS or self._aside.decoded > self._decoded_max:
            self._aside.cut()  # states that are too many go back to bytes; nobody needs what it returns
            self._since_cut = 0

    def rest(self) -> None:
        """Until it is woken the states are in a file: other partitions are folded meanwhile."""
        self._aside.cut()
        for users in batches(self._aside.users(), SHELVED_AT_ONCE):
            self._shelf.append([(user, self._aside.get(user)) for user in users])
        self._aside = self._begin()

    def wake(self) -> None:
        """Go on from where it rested, if it did."""
        for rows in self._shelf:
            self._aside.load(rows)
        self._shelf.clear()

    def fork(self) -> Past:
        """Another one, which goes on from here by itself."""
        self._aside.cut()
        other = copy(self)
        other._aside, other._shelf, other._facts = self._begin(), Shelf(), []
        other._aside.load((user, self._aside.get(user)) for user in self._aside.users())
        return other

    def facts(self) -> list[Told]:
        """What was crossed since this was last asked, in the order of the log."""
        told, self._facts = self._facts, []
        return told

    def outlasting(self, user: bytes, facts: Iterable[Fact]) -> list[Fact]:
        """These, less the awards that were lost since, as far as the past is folded; the last of them as a loss."""
        return [self._as_it_stands(user, fact) for fact in facts]

    def _as_it_stands(self, user: bytes, fact: Fact) -> Fact:
        state = self._aside.state(user) if any(isinstance(each, ByEvent) for each in fact.crossings) else None
        if state is None:
            return fact
        stood = (self._stood(each, state[AWARDS]) for each in fact.crossings)
        return replace(fact, crossings=[each for each in stood if each is not None])

    def _stood(self, crossing: Crossing, awards: bytes) -> Crossing | None:
        if not isinstance(crossing, ByEvent):
            return crossing
        kept = award_of(awards, self._numbers[f"{crossing.catalog}/{crossing.achievement}"])
        assert kept is not None, "what the fold gave is remembered"
        if kept.at != LOST:
            return crossing if kept.revoked == crossing.n else None
        return replace(crossing, lost=True) if kept.revoked == crossing.n + 1 else None

    def bases(self) -> Iterator[tuple[bytes, dict[int, list[Any]]]]:
        """The users whose filling metrics were moved. Shapes: as in a Base."""
        fresh, spans = self._aside.fresh, self.excerpt.spans
        if not spans:
            return
        empty = [fresh[span.own : span.own + span.width] for span in spans]
        for user, state in self._aside.states():
            kept = [state[span.own : span.own + span.width] for span in spans]
            slots = {
                span.real: values
                for span, values, default in zip(spans, kept, empty, strict=True)
                if values != default
            }
            if slots:
                yield user, slots

    def given(self, user: bytes) -> set[int]:
        """The numbers of the awards that the fold left with a user."""
        state = self._aside.state(user)
        rows = () if state is None else AWARD.iter_unpack(state[AWARDS])
        return {number for number, _, at in rows if at != LOST}

    def scopes(self, user: bytes, name: Named) -> bytes:
        """The hashes of the scopes in which the fold left an award with a user."""
        slot = self.excerpt.program.ledger.extras.get(f"scopes/{'/'.join(name)}")
        state = None if slot is None else self._aside.state(user)
        return b"" if slot is None or state is None else state[slot]

    def _told(self, topic: str, records: Mapping[int, Record]) -> Iterator[Told]:
        for note in self._recorder.drained():
            record = records[note.offset]
            assert record.value is not None, "what was folded has a value"
            yield (
                note.user,
                Fact(
                    topic=topic,
                    partition=self._partition,
                    offset=record.offset,
                    timestamp=record.timestamp,
                    value=record.value,
                    headers=list(record.headers),
                    crossings=note.crossings,
                ),
            )


def batches(users: Sequence[bytes], size: int) -> Iterator[Sequence[bytes]]:
    return (users[start : start + size] for start in range(0, len(users), size))


class PastEvaluator(PartitionEvaluator):
    """An evaluator whose states can be looked through."""

    @property
    def fresh(self) -> State:
        return self._fresh

    def states(self) -> Iterator[tuple[bytes, State]]:
        for user in self._users:
            state = self.state(user)
            assert state is not None
            yield user, state

    def state(self, user: bytes) -> State | None:
        """A user's, without taking it for touched."""
        kept = self._users.get(user)
        return decode_state(kept, self._fresh) if isinstance(kept, bytes) else kept
