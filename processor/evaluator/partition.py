"""The user states of one partition: records in, states, unlocks and derived events out. Bytes at its edges.

No Kafka client, no clock, no randomness: what comes out is a function of what came in.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, reduce
from itertools import chain, groupby, islice
from operator import add, attrgetter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import astuple
from xxhash import xxh3_64_digest, xxh3_64_intdigest

from processor.evaluator.copies import Copy, copy_of
from processor.evaluator.entries import Won, decide
from processor.evaluator.metrics import Crossed
from processor.evaluator.outcomes import Derivation, Outcomes, Row, evidence_of
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.settlement import Books, Crossings
from processor.evaluator.telling import Cause
from schemas.errors import BadRecord
from schemas.events import EVENT_BYTES_MAX, Attributes, check_partition, check_user, in_utc, latest_time
from schemas.lanes import place_of
from schemas.records import Record
from schemas.state import ID_BYTES, STATE_BYTES_MAX, WINDOW_IDS, ZONE, State, decode_state, encode_state
from schemas.zones import EPOCH, find_zone

SOURCES_CACHED = 4096
DECODED_MAX = 12_500  # states of a partition; about 2 KB each
WINDOW_BYTES = WINDOW_IDS * ID_BYTES
BEHIND_THE_OLDEST = slice(ID_BYTES, None)
LARGE_BYTES = STATE_BYTES_MAX // 2  # of a state; from here on each record of the user is weighed
PIECE_RECORDS = 512  # between two looks at who has a large state
LOOKED_AT_EVERY = 128  # records; to weigh a state costs a third of folding one
Rows = list[tuple[bytes, bytes]]
Deriving = tuple[list[Derivation], Attributes, Any]
"""The rules of an event's type, the event, its data."""
Crossing = tuple[State, Crossed, Attributes, Any, datetime, Record]
"""Of a user: the state, what a record crossed, its event, data, moment, and itself."""
timestamp_of = attrgetter("timestamp")
NOT_PLAIN = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError, BadRecord)


class Folded(NamedTuple):
    """What became of a chunk: applied + duplicate + skipped + refused + copied = records read.

    Shapes: derived_skipped counts derived events that had nobody to go to; it is no part of the sum.
    """

    applied: int
    duplicate: int
    skipped: int
    refused: list[tuple[Record, BadRecord]]
    unlocked: int
    derived_skipped: int
    copied: int = 0


class Cut(NamedTuple):
    """Everything that changed since the last cut, as (key, value); a state without a value is erased."""

    states: Sequence[tuple[bytes, bytes | None]]
    outcomes: Collection[tuple[bytes, bytes]]
    derived: Rows
    copies: Sequence[Copy] = ()


class PartitionEvaluator:
    """Folds the records of one partition into its users' states. Synchronous; one thread.

    A state is bytes until it is first touched, and again when more than `decoded_max` are decoded: what a cut has
    made clean goes back, down to half of the bound, so that this is rare.
    """

    def __init__(
        self, program: ReadyProgram, partition: int, partitions: int, decoded_max: int = DECODED_MAX
    ) -> None:
        self._partition, self._partitions = partition, partitions
        self._program, self._fresh = program, program.fresh
        self._evidence = {topic: evidence_of(topic, partition) for topic in program.readers}
        self._users: dict[bytes, State | bytes] = {}
        self._decoded, self._decoded_max = 0, decoded_max
        self._dirty: dict[bytes, State] = {}
        self._replaced: dict[bytes, bytes | None] = {}
        self._outcomes = Outcomes(program.templates)
        self._derived: Rows = []
        self._copies: list[Copy] = []
        self._large: set[bytes] = set()  # users whose state was seen to be large

    def __len__(self) -> int:
        return len(self._users)

    def load(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take states from the changelog, in its order; they stay bytes until they are first touched."""
        for user, row in rows:
            if row is None:
                self._users.pop(user, None)
            else:
                self._users[user] = row
                if len(row) >= LARGE_BYTES:
                    self._large.add(user)
        if self._decoded:  # memory was kept, and somebody else has written since
            self._decoded = sum(type(state) is list for state in self._users.values())

    @property
    def decoded(self) -> int:
        """How many states are not kept as bytes."""
        return self._decoded

    def get(self, user: bytes) -> bytes | None:
        """A user's state in wire form."""
        state = self._users.get(user)
        return encode_state(state) if isinstance(state, list) else state

    def change(self, program: ReadyProgram) -> None:
        """Fold by this program from here on. Its ledger has grown out of that of the one before."""
        self._program, self._fresh = program, program.fresh
        for topic in program.readers:
            self._evidence.setdefault(topic, evidence_of(topic, self._partition))
        self._outcomes.change(program.templates)
        grown = (state for state in self._users.values() if type(state) is list)
        for state in grown:
            state += self._fresh[len(state) :]

    def user(self, key: bytes) -> State:
        """A user's state, to be changed: the next cut has it. Raises: BadRecord for who may not be, or not here."""
        kept = self._users.get(key)
        self._dirty[key] = state = kept if type(kept) is list else self._touch(key, kept)
        return state

    def having(self, slot: int, sign: bytes) -> list[bytes]:
        """The users with these bytes in a slot of their state; perhaps some who have them elsewhere."""
        return [user for user, kept in self._users.items() if sign in (kept[slot] if type(kept) is list else kept)]

    def users(self) -> list[bytes]:
        """Everybody who has a state."""
        return [*self._users]

    def replace(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Put these in the place of what is known of their users; the next cut has them."""
        self._dirty = {user: state for user, state in self._dirty.items() if user not in rows}
        self._replaced |= rows
        self.load(rows.items())

    def tell(self, outcomes: Rows) -> None:
        """Outcomes of what is no record of a source."""
        self._outcomes.write(outcomes)

    def cut(self) -> Cut:
        """Everything dirty since the last cut; folding may go on at once."""
        states = [(user, encode_state(state)) for user, state in self._dirty.items()]
        self._large.update(user for user, row in states if len(row) >= LARGE_BYTES)
        made = Cut([*self._replaced.items(), *states], self._outcomes, self._derived, self._copies)
        if self._decoded > self._decoded_max:
            self._shelve(states)
        self._dirty, self._outcomes, self._derived = {}, Outcomes(self._program.templates), []
        self._copies, self._replaced = [], {}
        return made

    def _shelve(self, cut: Rows) -> None:
        """Back to bytes: first whom this cut did not touch, then whom it did, whose bytes are there."""
        spare = self._decoded - self._decoded_max // 2
        idle = (user for user, state in self._users.items() if type(state) is list and user not in self._dirty)
        rows = ((user, encode_state(self._users[user])) for user in idle)  # type: ignore[arg-type]
        self._users.update(islice(chain(rows, cut), spare))
        self._decoded -= spare

    def _copy(self, lane: str, records: Sequence[Record]) -> Folded:
        """Take a chunk of a repartitioned topic, whose users are anybody's."""
        refused: list[tuple[Record, BadRecord]] = []
        for record in records:
            try:
                self._copies.append(copy_of(lane, self._partition, record))
            except BadRecord as bad:
                refused.append((record, bad))
        return Folded(0, 0, 0, refused, 0, 0, len(records) - len(refused))

    def fold(self, topic: str, records: Sequence[Record]) -> Folded:
        """Apply a chunk of one source topic; of users whose state is large, record by record."""
        if place_of(topic, self._partition)[0] in self._program.repartitioned:
            return self._copy(topic, records)
        if topic not in self._program.readers:
            return Folded(0, 0, len(records), [], 0, 0)  # of a version that does not run here yet
        parts = []
        for start in range(0, len(records), PIECE_RECORDS):
            piece = records[start : start + PIECE_RECORDS]
            parts += self._fold_apart(topic, piece) if self._large else [self._fold(topic, piece)]
            self._look_at(piece[::LOOKED_AT_EVERY])
        return parts[0] if len(parts) == 1 else together(parts)

    def _fold_apart(self, topic: str, records: Sequence[Record]) -> list[Folded]:
        parts = []
        for is_large, found in groupby(records, lambda record: record.key in self._large):
            group = [*found]
            parts += [self._fold_large(topic, each) for each in group] if is_large else [self._fold(topic, group)]
        return parts

    def _fold_large(self, topic: str, record: Record) -> Folded:
        return self._tried(record, lambda trial: trial._fold(topic, [record]))

    def _tried(self, record: Record, fold: Callable[[PartitionEvaluator], Folded]) -> Folded:
        """Apply a record, unless a state becomes too large by it: then nothing of it stays."""
        key: bytes = record.key  # type: ignore[assignment]  # a user's, or it would not be large
        trial = PartitionEvaluator(self._program, self._partition, self._partitions)
        trial.load([(key, self.get(key))])
        folded = fold(trial)
        after, made = trial._users[key], trial.cut()
        if any(len(row) > STATE_BYTES_MAX for _, row in made.states if row is not None):
            return Folded(0, 0, 0, [(record, state_full(key))], 0, 0)
        if made.states:
            self.user(key)[:] = after
        self._outcomes.write([*made.outcomes])
        self._derived += made.derived
        return folded

    def _look_at(self, records: Sequence[Record]) -> None:
        """Note users whose state has become large; whoever has many records among them is met for sure."""
        found = {record.key: self._users.get(record.key) for record in records if record.key is not None}
        for key, state in found.items():
            if type(state) is list and len(encode_state(state)) >= LARGE_BYTES:
                self._large.add(key)

    def _fold(self, topic: str, records: Sequence[Record]) -> Folded:  # noqa: C901
        """The hot loop: long on purpose.

        Most records are read right here. What is not plain goes to the reader, which knows all else that an event
        may be, and why a record is none.
        """
        reader, runs = self._program.readers[topic], self._program.runs[topic]
        decode, read = reader.decode, reader.read
        mark = self._program.marks[topic]
        users, dirty = self._users, self._dirty
        latest = latest_time(min(map(timestamp_of, records), default=0))
        behind_the_oldest = BEHIND_THE_OLDEST
        state: State
        source, seed = "", 0
        applied = duplicate = skipped = unlocked = 0
        crossed: dict[bytes, Crossing] = {}
        refused: list[tuple[Record, BadRecord]] = []
        told: list[Row] = []
        deriving: list[Deriving] = []

        for record in records:
            value: bytes = record.value  # type: ignore[assignment]  # None is not plain
            key: bytes = record.key  # type: ignore[assignment]
            try:
                event = decode(value)
                window_slot, step, derivations, scale = runs[type(event)]
                _, name, said_by, subject, moment, data, _, zone = astuple(event)
                if moment.tzinfo is not UTC:
                    moment = in_utc(moment, value)
                plain = (
                    subject.encode() == key
                    and EPOCH <= moment <= latest
                    and (value.isascii() or value.decode())
                    and not record.headers
                    and (zone is None or find_zone(zone))
                    and len(value) <= EVENT_BYTES_MAX
                )
                if scale is not None:
                    scale(data)
            except NOT_PLAIN:
                plain = False
            try:
                if not plain:
                    reading = read(record)
                    if reading is None:
                        skipped += 1
                        continue
                    place, event, data, moment = reading
                    window_slot, step, derivations, _ = runs[place]
                    name, said_by, subject, zone = event.id, event.source, event.subject, event.timezone
                kept = users.get(key)
                state = kept if type(kept) is list else self._touch(key, kept)
            except BadRecord as bad:
                refused.append((record, bad))
                continue
            if said_by != source:
                source = said_by
                seed = seed_of(source)
            digest = xxh3_64_digest(name.encode(), seed)
            window = state[window_slot]
            offset = record.offset
            if offset <= state[mark] or (window.partition(digest)[1] and seen(window, digest)):
                duplicate += 1
                continue
            if key in crossed:
                unlocked += self._decide(topic, crossed, told)
            applied += 1
            state[mark] = offset
            state[window_slot] = (window[behind_the_oldest] if len(window) == WINDOW_BYTES else window) + digest
            if zone is not None:
                state[ZONE] = zone
            dirty[key] = state
            if step is not None:
                crossings = step(state, data, moment, event)
                if crossings is not None:
                    crossed[key] = state, crossings, event, data, moment, record
            if derivations:
                deriving.append((derivations, event, data))
        unlocked += self._decide(topic, crossed, told)
        self._outcomes.tell(self._evidence[topic], told)
        return Folded(applied, duplicate, skipped, refused, unlocked, self._derive(deriving))

    def _decide(self, topic: str, crossed: dict[bytes, Crossing], told: list[Row]) -> int:
        """What these records come to, of each user one. Returns how many awards. Hot.

        Not in the midst of the fold, but before any of these users' next record, and at the end of a chunk: what is
        done seldom is done faster in a row.
        """
        books, unlocked = self._program.books, 0
        won: Won
        more: Crossings
        for key, (state, crossings, event, data, moment, record) in crossed.items():
            subject, offset, name = event.subject, record.offset, event.id
            if books is None:
                won, more = decide(state, crossings), ()
            else:
                won, more = books.decide(state, crossings, data)
            for entry, earned_at in won:
                told.append((key, subject, entry.place, earned_at, entry.progress_of(state), offset, name))
                unlocked += entry.is_award
            if more and books is not None:
                cause = Cause(topic, self._partition, offset, record.timestamp, event, data, moment, record)
                settled = books.settle(state, more, cause)
                told += [each if isinstance(each, tuple) else (key, each) for each in settled.told]
                unlocked += settled.unlocked
        crossed.clear()
        return unlocked

    def fold_late(self, program: ReadyProgram, topic: str, record: Record, books: Books) -> Folded:
        """Apply a record whose place was passed over, as if it arrived now: all but its mark. Raises: BadRecord.

        Shapes: program is that which runs, but for metrics that have the record in them already.
        """
        if record.key in self._large:
            return self._tried(record, lambda trial: trial._fold_late(program, topic, record, books))
        folded = self._fold_late(program, topic, record, books)
        self._look_at([record])
        return folded

    def _fold_late(self, program: ReadyProgram, topic: str, record: Record, books: Books) -> Folded:
        reading = program.readers[topic].read(record) if topic in program.readers else None
        if reading is None:
            return Folded(0, 0, 1, [], 0, 0)
        place, event, data, moment = reading
        window, step, derivations, _ = program.runs[topic][place]
        key: bytes = record.key  # type: ignore[assignment]  # it was read, so it is its subject's
        kept = self._users.get(key)
        state = kept if type(kept) is list else self._touch(key, kept)
        if not remember(state, window, event):
            return Folded(0, 1, 0, [], 0, 0)
        self._dirty[key] = state
        cause = Cause(topic, self._partition, record.offset, record.timestamp, event, data, moment, record)
        crossings = None if step is None else step(state, data, moment, event)
        settled = books.settle(state, crossings or (), cause)
        self._outcomes.write([(key, outcome) for outcome in settled.outcomes])
        return Folded(1, 0, 0, [], settled.unlocked, self._derive([(derivations, event, data)]))

    def _touch(self, key: bytes, kept: State | bytes | None) -> State:
        """A state ready to fold into. Raises: BadRecord for a new user who may not be, or not here."""
        if kept is None:
            check_user(key)
            check_partition(key, self._partition, self._partitions)
            state = self._fresh[:]
        else:
            state = decode_state(kept, self._fresh)  # type: ignore[arg-type]
        self._users[key] = state
        self._decoded += 1
        return state

    def _derive(self, deriving: Sequence[Deriving]) -> int:
        """Returns how many rules had nobody to give an event to. Behind a chunk's fold, not in the midst of it, for
        it takes code that is nowhere else."""
        made = [rule.derive(event, data) for derivations, event, data in deriving for rule in derivations]
        rows = [row for row in made if row is not None]
        self._derived += rows
        return len(made) - len(rows)


def together(parts: Iterable[Folded]) -> Folded:
    """What became of the whole, by that of its parts."""
    whole = Folded(0, 0, 0, [], 0, 0)
    return Folded(*[reduce(add, found) for found in zip(whole, *parts, strict=True)])


def state_full(key: bytes) -> BadRecord:
    return BadRecord(
        "state_full",
        f"with it the state of user {key.decode()!r} would have more than {STATE_BYTES_MAX} bytes: see whether one "
        "user publishes for many; what is kept of each is in the catalog's metrics",
    )


@lru_cache(maxsize=SOURCES_CACHED)
def seed_of(source: str) -> int:
    """An id is one of its source: equal ids of two sources are two events."""
    return xxh3_64_intdigest(source.encode())


def remember(state: State, window: int, event: Attributes) -> bool:
    """Note an event in the window of its type; False when it is there already."""
    digest, known = xxh3_64_digest(event.id.encode(), seed_of(event.source)), state[window]
    if seen(known, digest):
        return False
    state[window] = (known + digest)[-WINDOW_BYTES:]
    if event.timezone is not None:
        state[ZONE] = event.timezone
    return True


def seen(window: bytes, digest: bytes) -> bool:
    """Whether one of the window's ids is this one, not a stretch over two of them."""
    return any(window[start : start + ID_BYTES] == digest for start in range(0, len(window), ID_BYTES))
