"""One owned partition: its evaluator, where each source topic stands, and what waits for the next checkpoint."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from operator import attrgetter
from typing import NamedTuple, Protocol

from broker.parking import Parking
from processor.evaluator.orders import States
from processor.evaluator.partition import Cut, Folded
from processor.evaluator.replays import Replays
from processor.evaluator.takeover import Kept
from processor.kafka.fetch import Chunk
from processor.kafka.log import Writer
from schemas.errors import BadRecord, LaurelError
from schemas.lanes import place_of
from schemas.notes import Step, Suspect
from schemas.records import Record
from schemas.state import Control

Tally = Counter[tuple[str, str]]  # (topic, outcome) -> records


OFFSET = attrgetter("offset")
TURNS = count()  # who was cut longest ago has the lowest


class Evaluator(States, Protocol):
    """The user states of one partition; processor/evaluator/partition.py is the real one."""

    def load(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None: ...
    def fold(self, topic: str, records: Sequence[Record]) -> Folded: ...
    def cut(self) -> Cut: ...
    def get(self, user: bytes) -> bytes | None: ...
    def users(self) -> list[bytes]: ...
    def __len__(self) -> int: ...


class Refusal(NamedTuple):
    """A record that becomes a dead letter."""

    topic: str
    partition: int
    record: Record
    bad: BadRecord


class Snapshot(NamedTuple):
    """Everything one checkpoint makes durable."""

    cut: Cut
    refusals: list[Refusal]
    control: Control
    positions: dict[str, int]
    tally: Tally
    unlocked: int
    derived_skipped: int
    kept: Kept | None


class Raised(Exception):  # noqa: N818 - what happened
    """Our own code raised on one of these records. Shapes: stretches topic -> (first offset, last plus one)."""

    def __init__(self, step: Step, stretches: Mapping[str, tuple[int, int]], bug: Exception) -> None:
        self.error = type(bug).__name__  # not its text, which may quote an event
        super().__init__(self.error)
        self.step, self.stretches, self.bug = step, dict(stretches), bug


class OwnedPartition:
    """A partition of the user table, and its lanes: the partitions of source topics that belong to it. Where it
    says topic, a lane is meant (schemas/lanes.py), which is a topic unless that is repartitioned.

    It is open from the moment its positions are known until its release; only then records are folded. Its
    memory outlives a release, and is true up to `log_position` of the changelog.
    """

    def __init__(self, number: int, evaluator: Evaluator, replays: Replays) -> None:
        self.number = number
        self.evaluator = evaluator
        self.replays = replays
        self.control = Control()  # as last written or restored
        self.log_position = 0
        self.restored = self.to_restore = 0  # offsets of the changelog, of the last restore
        self.writer: Writer | None = None
        self.is_open = False
        self.positions: dict[str, int] = {}
        self._furthest: dict[str, int] = {}  # where the states had come to when they were restored
        self.stable_ends: dict[str, int] = {}
        self.parkings: dict[str, Parking] = {}  # what is noted of suspect records, by topic
        self.parked: dict[str, int] = {}  # topic -> offset of the record that it does not get past
        self.followed: dict[str, int] | None = None  # how far the namespace is that a shadow follows, by topic
        self.held: set[str] = set()  # topics that are at their limit, and of which nothing more is fetched
        self._reopened: set[str] = set()
        self.writing = asyncio.Lock()
        self.full = asyncio.Event()  # set when enough has been folded for a checkpoint before its time
        self._forget_pending()

    def _forget_pending(self) -> None:
        self.pending = 0
        self.turn = next(TURNS)
        self.moved_at: float | None = None
        self._stretches: dict[str, tuple[int, int]] = {}  # offsets folded since the last cut, by topic
        self._refusals: list[Refusal] = []
        self._tally: Tally = Counter()
        self._unlocked = self._derived_skipped = 0
        self.full.clear()

    def recall(self) -> None:
        """Run what the control record says."""
        control = self.control
        self.replays.restore(control.catalogs, control.replays, control.unread, control.began)

    def open(self, positions: Mapping[str, int], stable_ends: Mapping[str, int]) -> None:
        """Begin to take chunks, each topic's at its position."""
        self.positions, self.stable_ends = dict(positions), dict(stable_ends)
        recorded, known = self.control.positions, self.control.furthest
        self._furthest = {topic: max(at, known.get(topic, 0)) for topic, at in recorded.items()}
        self.parked, self.held, self._reopened = {}, set(), set()
        self.is_open = True

    def begin(self, chunk: Chunk) -> bool:
        """Whether a chunk is ours to fold. Raises: LaurelError on a gap, which nothing can mend in memory."""
        if not self.is_open or chunk.topic not in self.positions:
            return False  # released while it waited: its next owner reads it again
        if self._is_passed_over(chunk):
            return False
        if chunk.start != self.positions[chunk.topic]:
            raise LaurelError(
                f"{self._named(chunk.topic)} was read up to {self.positions[chunk.topic]}, but the next chunk "
                f"begins at {chunk.start}: records in between were deleted by retention, or came twice. "
                "A restart reads on from the last checkpoint"
            )
        self.stable_ends[chunk.topic] = chunk.stable_end
        return True

    def _is_passed_over(self, chunk: Chunk) -> bool:
        """Whether a chunk is on its way from before its topic was parked or held."""
        if chunk.topic in self._reopened and chunk.start == self.positions[chunk.topic]:
            self._reopened.discard(chunk.topic)
        return chunk.topic in self.parked or chunk.topic in self.held or chunk.topic in self._reopened

    def unpark(self, topic: str) -> None:
        """Take chunks of this topic again, from its position on."""
        del self.parked[topic]
        self._reopened.add(topic)

    def limit(self, topic: str) -> int | None:
        """How far a topic may be folded now; None for as far as it goes."""
        if self.followed is None or topic in self.replays.own_topics:
            return self.replays.limit(topic)
        return self.followed.get(topic, 0)

    def within_limit(self, chunk: Chunk) -> Chunk:
        """The part of a chunk that may be folded now; where that is not all, the topic is held."""
        limit = self.limit(chunk.topic)
        if limit is None or chunk.end <= limit:
            return chunk
        self.held.add(chunk.topic)
        end = max(limit, chunk.start)
        return chunk._replace(end=end, records=chunk.records[: bisect_left(chunk.records, end, key=OFFSET)])

    def let_go(self) -> list[str]:
        """Topics that were held and may go on, from their positions on."""
        limits = {topic: self.limit(topic) for topic in sorted(self.held)}
        free = [topic for topic, limit in limits.items() if limit is None or limit > self.positions[topic]]
        self.held -= {*free}
        self._reopened |= {*free}
        return free

    def suspect_in(self, chunk: Chunk) -> Suspect | None:
        """What is noted of records of this chunk."""
        parking = self.parkings.get(chunk.topic)
        suspect = parking and parking.suspect
        return suspect if suspect and chunk.start < suspect.end and suspect.start < chunk.end else None

    def fold(self, topic: str, records: Sequence[Record], end: int, now: float) -> None:
        """Fold records and move the topic's position behind them; without records only the position moves.

        Raises: Raised, after which the evaluator is worth nothing.
        """
        if records:
            first, last = records[0].offset, records[-1].offset + 1
            try:
                is_order = topic == self.replays.topic
                self._count(topic, self._obey(records) if is_order else self.evaluator.fold(topic, records))
            except LaurelError:
                raise
            except Exception as bug:
                raise Raised("fold", {topic: (first, last)}, bug) from bug
            self._stretches[topic] = (self._stretches.get(topic, (first, last))[0], last)
        self._move(topic, len(records), end, now)

    def _obey(self, records: Sequence[Record]) -> Folded:
        return self.replays.fold(records, self.places())

    def places(self) -> dict[str, int]:
        """Where the sources stand when an order comes.

        What was folded before a position was set back by hand lies before the order: live will not count it.
        """
        places = {topic: max(at, self._furthest.get(topic, 0)) for topic, at in self.positions.items()}
        del places[self.replays.topic]
        return places

    def refuse(self, topic: str, record: Record, bad: BadRecord, end: int, now: float) -> None:
        """Make a dead letter of a record that is not folded at all."""
        place = place_of(topic, self.number)
        self._tally[place[0], "dead_letter"] += 1
        self._refusals.append(Refusal(*place, record, bad))
        self._move(topic, 1, end, now)

    def _move(self, topic: str, records: int, end: int, now: float) -> None:
        self.positions[topic] = end
        self.pending += records
        self.moved_at = self.moved_at or now

    def distrust(self) -> None:
        """Take no more chunks, and let nothing of memory be committed."""
        self.is_open = False
        self._forget_pending()

    def _named(self, lane: str) -> str:
        topic, partition = place_of(lane, self.number)
        return f"{topic}-{partition}"

    def _count(self, lane: str, folded: Folded) -> None:
        topic, partition = place_of(lane, self.number)
        self._tally[topic, "applied"] += folded.applied
        self._tally[topic, "duplicate"] += folded.duplicate
        self._tally[topic, "skipped"] += folded.skipped
        self._tally[topic, "dead_letter"] += len(folded.refused)
        if folded.copied:
            self._tally[topic, "copied"] += folded.copied
        self._unlocked += folded.unlocked
        self._derived_skipped += folded.derived_skipped
        self._refusals += [Refusal(topic, partition, record, bad) for record, bad in folded.refused]

    def snapshot(self) -> Snapshot | None:
        """Cut what is to be committed, synchronously; nothing when no position moved since the last one.

        Raises: Raised, as `fold` does.
        """
        if self.moved_at is None:
            return None
        made = Snapshot(
            self._cut(),
            self._refusals,
            self._present_control(),
            dict(self.positions),
            self._tally,
            self._unlocked,
            self._derived_skipped,
            self.replays.kept,
        )
        self.replays.kept = None
        self._forget_pending()
        return made

    def _present_control(self) -> Control:
        """A topic that this process does not read keeps the position that was last known."""
        positions = {**self.control.positions, **self.positions}
        return Control(
            catalogs=self.replays.catalogs,
            positions=positions,
            replays=dict(self.replays.notes),
            unread=self.replays.unread,
            began=self.replays.began,
            furthest={topic: at for topic, at in self._furthest.items() if at > positions[topic]},
            users=self.users,
        )

    def _cut(self) -> Cut:
        try:
            return self.evaluator.cut()
        except Exception as bug:
            raise Raised("cut", self._stretches, bug) from bug

    def written(self, control: Control, log_position: int) -> None:
        """A checkpoint is durable: memory is what the changelog says up to here."""
        self.control, self.log_position = control, log_position

    @property
    def users(self) -> int:
        return len(self.evaluator)

    @property
    def behind(self) -> dict[str, int]:
        """Records and markers not folded yet, by topic, as far as the last fetch of each has shown."""
        return {topic: max(0, self.stable_ends[topic] - at) for topic, at in [*self.positions.items()]}

    @property
    def lags(self) -> dict[str, int]:
        """The same without the topics that are parked or held: what somebody is at work on."""
        return {
            topic: lag for topic, lag in self.behind.items() if topic not in self.parked and not self._waits(topic)
        }

    @property
    def live_lag(self) -> int:
        """Without the orders of replays, for which nobody waits."""
        return sum(lag for topic, lag in self.lags.items() if topic != self.replays.topic)

    def _waits(self, topic: str) -> bool:
        limit = self.limit(topic)
        return limit is not None and self.positions[topic] >= limit


def slices(chunk: Chunk, size: int) -> Iterator[tuple[Sequence[Record], int]]:
    """A chunk in pieces, each with the position behind it: where the next begins, at last the chunk's end."""
    records = chunk.records
    for start in range(0, len(records), size):
        last = start + size >= len(records)
        yield records[start : start + size], chunk.end if last else records[start + size].offset
    if not records:
        yield (), chunk.end
