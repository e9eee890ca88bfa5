"""A broker in memory: partitions, transactions and group positions, as far as Laurel can tell the difference.

What Kafka decides at once and shows later is shown later here too: a transaction is decided when its end is asked
for, and its markers come to each partition, and its positions to the group, in their own time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Literal, NamedTuple

from aiokafka.errors import IllegalOperation, ProducerFenced

from processor.kafka.batches import Place
from processor.kafka.fetch import Chunk
from processor.kafka.log import Extent
from schemas.records import Headers, PlainRecord
from simulation.loop import VirtualLoop
from simulation.process import NOBODY

BEGAN_MS = 1_760_000_000_000  # when simulated time begins; in the past, so that no clock refuses it
TRANSACTION_TIMEOUT_S = 30.0
MARKER_S_MAX = 0.05

State = Literal["open", "committing", "aborting", "committed", "aborted"]


class Sent(NamedTuple):
    """A record on its way. Units: timestamp as the writer has it, None to take the broker's."""

    key: bytes | None
    value: bytes | None
    timestamp: int | None = None
    headers: Headers = ()


class Transaction:
    """Shapes: positions, group and place -> position."""

    def __init__(self, transactional_id: str) -> None:
        self.id = transactional_id
        self.state: State = "open"
        self.places: set[Place] = set()
        self.positions: dict[tuple[str, Place], int] = {}


class Entry:
    """What lies at an offset: a record, or the marker of a transaction; a hole where compaction took a record."""

    __slots__ = ("record", "transaction")

    def __init__(self, record: PlainRecord | None, transaction: Transaction | None) -> None:
        self.record, self.transaction = record, transaction


class Partition:
    def __init__(self, place: Place) -> None:
        self.place = place
        self.entries: list[Entry] = []
        self._open: dict[Transaction, int] = {}

    @property
    def stable_end(self) -> int:
        return min(self._open.values(), default=len(self.entries))

    def append(self, records: Iterable[Sent], now_ms: int, transaction: Transaction | None = None) -> int:
        """Returns the position behind the last of them."""
        if transaction is not None:
            self._open.setdefault(transaction, len(self.entries))
        for key, value, timestamp, headers in records:
            stamped = now_ms if timestamp is None else timestamp
            self.entries.append(Entry(PlainRecord(len(self.entries), stamped, key, value, headers), transaction))
        return len(self.entries)

    def mark(self, transaction: Transaction) -> None:
        self._open.pop(transaction, None)
        self.entries.append(Entry(None, transaction))

    def read(self, position: int, records_max: int) -> Chunk:
        """Committed records from this position, and where the reader stands behind them."""
        end, at = self.stable_end, position
        records: list[PlainRecord] = []
        while at < end and len(records) < records_max:
            entry = self.entries[at]
            if entry.record is not None and is_committed(entry):
                records.append(entry.record)
            at += 1
        return Chunk(*self.place, position, at, end, records)

    def committed(self) -> list[PlainRecord]:
        seen = self.entries[: self.stable_end]
        return [entry.record for entry in seen if entry.record is not None and is_committed(entry)]

    def newest(self, key: bytes) -> bytes | None:
        """What the last committed record of this key says."""
        for entry in reversed(self.entries[: self.stable_end]):
            if entry.record is not None and entry.record.key == key and is_committed(entry):
                return entry.record.value
        return None

    def compact(self) -> int:
        """Take away what a later record of the same key has replaced. Returns how many that were."""
        last = {record.key: record.offset for record in self.committed()}
        replaced = 0
        for entry in self.entries[: self.stable_end]:
            record = entry.record
            if record is not None and is_committed(entry) and last[record.key] != record.offset:
                entry.record, replaced = None, replaced + 1
        return replaced


def is_committed(entry: Entry) -> bool:
    return entry.transaction is None or entry.transaction.state in ("committing", "committed")


class Broker:
    """Shapes: positions, group and place -> position.

    `on_position` is told of each move of one, `on_commit` of each commit.
    """

    def __init__(self, loop: VirtualLoop, chance: Random) -> None:
        self.partitions: dict[Place, Partition] = {}
        self.positions: dict[tuple[str, Place], int] = {}
        self.on_position: list[Callable[[str, Place, int | None, int], None]] = []
        self.on_commit: list[Callable[[str, str], None]] = []
        self._loop, self._chance = loop, chance
        self._epochs: dict[str, int] = defaultdict(int)
        self._present: dict[str, Transaction] = {}
        self._waiting: list[Callable[[], bool]] = []

    def now_ms(self) -> int:
        return BEGAN_MS + int(self._loop.time() * 1000)

    def partition(self, place: Place) -> Partition:
        if place not in self.partitions:
            self.partitions[place] = Partition(place)
        return self.partitions[place]

    def when_news(self, told: Callable[[], bool]) -> None:
        """Call this whenever there might be more to read than before, until it says that there was."""
        self._waiting.append(told)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._waiting += [told for told in waiting if not told()]

    def publish(self, place: Place, records: Iterable[Sent]) -> None:
        """Without a transaction."""
        self.partition(place).append(records, self.now_ms())
        self._tell()

    def extent(self, place: Place) -> Extent:
        return Extent(0, self.partition(place).stable_end)

    def fence(self, transactional_id: str) -> int | None:
        """The epoch of a new producer; None while what an earlier one began is not decided in every partition."""
        self._epochs[transactional_id] += 1
        present = self._present.get(transactional_id)
        if present is not None and present.state == "open":
            self._decide(present, "aborting")
        return None if self._is_deciding(transactional_id) else self._epochs[transactional_id]

    def _is_deciding(self, transactional_id: str) -> bool:
        present = self._present.get(transactional_id)
        return present is not None and present.state in ("committing", "aborting")

    def add(self, transactional_id: str, epoch: int, places: Iterable[Place]) -> bool:
        """Make places part of the transaction, which begins here. False: ask again, the last one is not done."""
        self._check(transactional_id, epoch)
        if self._is_deciding(transactional_id):
            return False
        present = self._present.get(transactional_id)
        if present is None or present.state != "open":
            present = self._present[transactional_id] = Transaction(transactional_id)
            self._loop.call_later(TRANSACTION_TIMEOUT_S, self._expire, present, context=NOBODY)
        present.places.update(places)
        return True

    def append(self, transactional_id: str, epoch: int, place: Place, records: Sequence[Sent]) -> int:
        present = self._open(transactional_id, epoch)
        if place not in present.places:
            raise IllegalOperation(f"{place} is no part of the transaction")
        return self.partition(place).append(records, self.now_ms(), present)

    def move(self, transactional_id: str, epoch: int, group: str, positions: Mapping[Place, int]) -> None:
        present = self._open(transactional_id, epoch)
        present.positions.update({(group, place): at for place, at in positions.items()})

    def end(self, transactional_id: str, epoch: int, *, commit: bool, by: str = "") -> None:
        """Shapes: by, the name of the process that asks, for those who are told of a commit."""
        ended = self._open(transactional_id, epoch)
        self._decide(ended, "committing" if commit else "aborting")
        for told in self.on_commit if commit else ():
            told(by, transactional_id)

    def set_position(self, group: str, place: Place, position: int) -> None:
        """By hand."""
        self.positions[group, place] = position

    def _check(self, transactional_id: str, epoch: int) -> None:
        if epoch != self._epochs[transactional_id]:
            raise ProducerFenced(f"{transactional_id} has epoch {self._epochs[transactional_id]}, not {epoch}")

    def _open(self, transactional_id: str, epoch: int) -> Transaction:
        self._check(transactional_id, epoch)
        present = self._present.get(transactional_id)
        if present is None or present.state != "open":
            raise IllegalOperation(f"{transactional_id} has no open transaction")
        return present

    def _expire(self, transaction: Transaction) -> None:
        if transaction.state == "open":
            self._epochs[transaction.id] += 1
            self._decide(transaction, "aborting")

    def _decide(self, transaction: Transaction, state: State) -> None:
        """From here on it is decided; markers and positions follow."""
        transaction.state = state
        left = [*sorted(transaction.places), None]
        for place in [*left]:
            self._loop.call_later(
                self._chance.random() * MARKER_S_MAX, self._mark, transaction, place, left, context=NOBODY
            )

    def _mark(self, transaction: Transaction, place: Place | None, left: list[Place | None]) -> None:
        if place is not None:
            self.partition(place).mark(transaction)
        elif transaction.state == "committing":
            self._take_positions(transaction)
        left.remove(place)
        if not left:
            transaction.state = "committed" if transaction.state == "committing" else "aborted"
        self._tell()

    def _take_positions(self, transaction: Transaction) -> None:
        for (group, place), position in transaction.positions.items():
            before = self.positions.get((group, place))
            self.positions[group, place] = position
            for told in self.on_position:
                told(group, place, before, position)

    @property
    def is_quiet(self) -> bool:
        """Whether every transaction is decided in all of its partitions."""
        return all(each.state in ("committed", "aborted") for each in self._present.values())
