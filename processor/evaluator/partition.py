"""The user states of one partition: records in, states, unlocks and derived events out. Bytes at its edges.

No Kafka client, no clock, no randomness: what comes out is a function of what came in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from xxhash import xxh3_64_digest, xxh3_64_intdigest

from processor.evaluator.entries import decide
from processor.evaluator.metrics import Crossed
from processor.evaluator.outcomes import Derivation, EvidenceTemplate, encode
from processor.evaluator.plan import Plans
from schemas.errors import BadRecord
from schemas.events import Envelope, readers
from schemas.program import Program
from schemas.records import Record
from schemas.state import ID_BYTES, WINDOW_IDS, ZONE, State, decode_state, encode_state, fresh_state
from schemas.topics import partition_of

SOURCES_CACHED = 4096
WINDOW_BYTES = WINDOW_IDS * ID_BYTES
Rows = list[tuple[bytes, bytes]]


class Folded(NamedTuple):
    """What became of a chunk: applied + duplicate + skipped + refused = records read.

    Shapes: derived_skipped counts derived events that had nobody to go to; it is no part of the sum.
    """

    applied: int
    duplicate: int
    skipped: int
    refused: list[tuple[Record, BadRecord]]
    unlocked: int
    derived_skipped: int


class Cut(NamedTuple):
    """Everything that changed since the last cut, as (key, value); a state without a value is erased."""

    states: list[tuple[bytes, bytes | None]]
    outcomes: Rows
    derived: Rows


class PartitionEvaluator:
    """Folds the records of one partition into its users' states. Synchronous; one thread."""

    def __init__(self, program: Program, partition: int, partitions: int) -> None:
        self._program = program
        self._partition, self._partitions = partition, partitions
        self._fresh = fresh_state(program.ledger)
        plans = Plans(program)
        self._templates = plans.templates
        self._readers = readers(program)
        self._evidence = {topic: EvidenceTemplate(topic, partition) for topic in self._readers}
        self._plans = {
            topic: [plans.by_event[topic, *key] for key in reader.keys] for topic, reader in self._readers.items()
        }
        self._users: dict[bytes, State | bytes] = {}
        self._dirty: dict[bytes, State] = {}
        self._outcomes: Rows = []
        self._derived: Rows = []

    def __len__(self) -> int:
        return len(self._users)

    def load(self, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take states from the changelog, in its order; they stay bytes until they are first touched."""
        for user, row in rows:
            if row is None:
                self._users.pop(user, None)
            else:
                self._users[user] = row

    def get(self, user: bytes) -> bytes | None:
        """A user's state in wire form."""
        state = self._users.get(user)
        return encode_state(state) if isinstance(state, list) else state

    def cut(self) -> Cut:
        """Everything dirty since the last cut; folding may go on at once."""
        states: list[tuple[bytes, bytes | None]] = [
            (user, encode_state(state)) for user, state in self._dirty.items()
        ]
        made = Cut(states, self._outcomes, self._derived)
        self._dirty, self._outcomes, self._derived = {}, [], []
        return made

    def fold(self, topic: str, records: Sequence[Record]) -> Folded:  # noqa: C901
        """Apply a chunk of one source topic. The hot loop: long on purpose."""
        read = self._readers[topic].read
        plans = self._plans[topic]
        mark = self._program.mark_of(topic)
        users, dirty = self._users, self._dirty
        state: State
        applied = duplicate = skipped = unlocked = derived_skipped = 0
        refused: list[tuple[Record, BadRecord]] = []

        for record in records:
            try:
                event = read(record)
                if event is None:
                    skipped += 1
                    continue
                key: bytes = record.key  # type: ignore[assignment]
                kept = users.get(key)
                state = kept if type(kept) is list else self._touch(key, kept)
            except BadRecord as bad:
                refused.append((record, bad))
                continue
            place, envelope, data, at = event
            window_slot, moves, derivations = plans[place]
            digest = xxh3_64_digest(envelope.id.encode(), seed_of(envelope.source))
            window = state[window_slot]
            offset = record.offset
            if offset <= state[mark] or (digest in window and seen(window, digest)):
                duplicate += 1
                continue
            applied += 1
            state[mark] = offset
            state[window_slot] = window[ID_BYTES:] + digest if len(window) == WINDOW_BYTES else window + digest
            if envelope.timezone is not None:
                state[ZONE] = envelope.timezone
            dirty[key] = state
            crossings: Crossed | None = None
            for where, step in moves:
                if where is None or where(data, envelope):
                    crossed = step(state, data, at, envelope)
                    if crossed is not None:
                        crossings = crossed if crossings is None else crossings + crossed
            if crossings is not None:
                unlocked += self._unlock(topic, record, envelope, state, crossings)
            if derivations:
                derived_skipped += self._derive(derivations, envelope, data)
        return Folded(applied, duplicate, skipped, refused, unlocked, derived_skipped)

    def _touch(self, key: bytes, kept: State | bytes | None) -> State:
        """A state ready to fold into. Raises: BadRecord for a new user who is on the wrong partition."""
        if kept is None:
            self._check_partition(key)
            state = self._fresh[:]
        else:
            state = decode_state(kept, self._fresh)  # type: ignore[arg-type]
        self._users[key] = state
        return state

    def _check_partition(self, key: bytes) -> None:
        wanted = partition_of(key, self._partitions)
        if wanted != self._partition:
            raise BadRecord(
                "wrong_partition",
                f"user {key.decode()!r} belongs on partition {wanted}, the record is on {self._partition}: "
                "set partitioner=murmur2_random in the publisher (librdkafka's own default is another)",
            )

    def _unlock(self, topic: str, record: Record, envelope: Envelope, state: State, crossings: Crossed) -> int:
        won = decide(state, crossings)
        if won:
            key: bytes = record.key  # type: ignore[assignment]
            user, evidence = encode(envelope.subject), self._evidence[topic].render(record.offset, envelope.id)
            for entry, earned_at in won:
                template = self._templates[entry.place]
                unlock = template.render(user, earned_at, entry.progress_of(state), evidence)
                self._outcomes.append((key, unlock))
        return len(won)

    def _derive(self, derivations: list[Derivation], envelope: Envelope, data: Any) -> int:
        """Returns how many rules had nobody to give an event to."""
        made = [rule.derive(envelope, data) for rule in derivations]
        found = [row for row in made if row is not None]
        self._derived += found
        return len(made) - len(found)


@lru_cache(maxsize=SOURCES_CACHED)
def seed_of(source: str) -> int:
    """An id is one of its source: equal ids of two sources are two events."""
    return xxh3_64_intdigest(source.encode())


def seen(window: bytes, digest: bytes) -> bool:
    """Whether one of the window's ids is this one, not a stretch over two of them."""
    return any(window[start : start + ID_BYTES] == digest for start in range(0, len(window), ID_BYTES))
