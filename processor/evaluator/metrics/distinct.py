"""distinct: how many different values. A value is its 64-bit hash.

Slots: hashes, time. With `minus` types every value has a signed number of occurrences and counts while it is
above zero: entries, size, time. Values beyond DISTINCT_MAX are not taken in.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec
from xxhash import xxh3_64_digest

from processor.evaluator.metrics.bounds import keep_out
from processor.evaluator.metrics.kind import Crossed, Data, FeedContext, Kind, Slots, Step
from schemas.events import Attributes
from schemas.state import DISTINCT_MAX, ENTRY, ID_BYTES, State
from schemas.texts import normal

HASHES_BYTES_MAX = DISTINCT_MAX * ID_BYTES
ENTRIES_BYTES_MAX = DISTINCT_MAX * ENTRY.size
HASHES_CACHED = 65_536
OCCURRENCES = struct.Struct(">i")

Hash = Callable[[Any], bytes | None]


def make_step(context: FeedContext) -> Step:
    """The values only ever grow in number."""
    hashes, time = context.metric.slot, context.metric.slot + 1
    read, hash_of, reached = value_of(context), value_hash(context), context.thresholds.reached

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        digest = hash_of(read(data))
        if digest is None:
            return None
        if at > state[time]:
            state[time] = at
        known = state[hashes]
        parts = known.partition(digest)
        if parts[1] and (not len(parts[0]) % ID_BYTES or place_of(known, digest, ID_BYTES) >= 0):
            return None
        if len(known) >= HASHES_BYTES_MAX:
            keep_out("distinct values")
            return None
        state[hashes] = known = known + digest
        size = len(known) // ID_BYTES
        return [(reached[size], state[time])] if size in reached else None

    return step


def make_counted_step(context: FeedContext) -> Step:
    """The values may go again: each keeps its occurrences. Most are met for the first time. Hot."""
    entries, size, time = range(context.metric.slot, context.metric.slot + 3)
    read, hash_of, reached = value_of(context), value_hash(context), context.thresholds.reached
    sign = context.feed.sign
    once = OCCURRENCES.pack(sign)

    def step(state: State, data: Data, at: datetime, event: Attributes) -> Crossed | None:
        digest = hash_of(read(data))
        if digest is None:
            return None
        if at > state[time]:
            state[time] = at
        known = state[entries]
        if known.partition(digest)[1] or len(known) >= ENTRIES_BYTES_MAX:
            state[entries], change = moved(known, digest, sign)
            if change == 0:
                return None
            state[size] = counted = state[size] + change
        else:
            state[entries] = known + (digest + once)
            if sign < 0:
                return None
            state[size] = counted = state[size] + 1
        return [(reached[counted], state[time])] if sign > 0 and counted in reached else None

    return step


def place_of(packed: bytes, digest: bytes, width: int) -> int:
    """Where the item of this width that starts with the digest lies, -1 if nowhere."""
    place = packed.find(digest)
    while place >= 0 and place % width:
        place = packed.find(digest, place + 1)
    return place


def moved(entries: bytes, digest: bytes, change: int) -> tuple[bytes, int]:
    """The entries with one more or fewer occurrence of a value, and what that does to their size."""
    place = place_of(entries, digest, ENTRY.size)
    if place < 0:
        if len(entries) >= ENTRIES_BYTES_MAX:
            keep_out("distinct values")
            return entries, 0
        return entries + digest + OCCURRENCES.pack(change), int(change > 0)
    (before,) = OCCURRENCES.unpack_from(entries, place + ID_BYTES)
    after = before + change
    kept = digest + OCCURRENCES.pack(after) if after else b""
    return entries[:place] + kept + entries[place + ENTRY.size :], int(after > 0) - int(before > 0)


def value_of(context: FeedContext) -> Callable[[Data], Any]:
    """What reads an event's value: of several fields, one behind the other."""
    return attrgetter(*map(context.attribute, context.metric.by))


def value_hash(context: FeedContext) -> Hash:
    """What makes the hash of a value, or None where a part of it is absent or blank."""
    metric = context.metric
    types, bucket = [context.type_of(name) for name in metric.by], metric.bucket or 1
    text_of = _normal_hash if metric.normalize else _text_hash
    if types == ["string"]:
        return text_of
    if types == ["integer"]:
        return _integer_hash(bucket)
    return _single_hash(text_of, bucket) if len(types) == 1 else _tuple_hash(metric.normalize, bucket)


def _text_hash(text: str | None) -> bytes | None:
    """Hot. Not remembered: most values are ids, which are never met again, and a miss costs four times this."""
    return xxh3_64_digest(text.encode()) if text and text.strip() else None


@lru_cache(maxsize=HASHES_CACHED)
def _normal_hash(text: str | None) -> bytes | None:
    return None if text is None else _text_hash(normal(text))


def _integer_hash(bucket: int) -> Hash:
    """Numbers in buckets are few, and remembered."""

    def hash_of(value: int | None) -> bytes | None:
        return None if value is None else xxh3_64_digest(str(value // bucket).encode())

    return hash_of if bucket == 1 else lru_cache(maxsize=HASHES_CACHED)(hash_of)


def _single_hash(text_of: Hash, bucket: int) -> Hash:
    def hash_of(value: Any) -> bytes | None:
        if type(value) is int:
            value = str(value // bucket)
        return None if value is None else text_of(str(value))

    return hash_of


def _tuple_hash(normalized: bool, bucket: int) -> Hash:
    def hash_of(values: Sequence[Any]) -> bytes | None:
        parts = [value // bucket if type(value) is int else value for value in values]
        if any(part is None or (type(part) is str and not part.strip()) for part in parts):
            return None
        if normalized:
            parts = [normal(part) if type(part) is str else part for part in parts]
        return xxh3_64_digest(msgspec.json.encode(parts))

    return hash_of


def merge(earlier: Slots, later: Slots) -> Slots:
    known = earlier[0]
    for start in range(0, len(later[0]), ID_BYTES):
        digest = later[0][start : start + ID_BYTES]
        if place_of(known, digest, ID_BYTES) < 0 and len(known) < HASHES_BYTES_MAX:
            known += digest
    return known, max(earlier[1], later[1])


def merge_counted(earlier: Slots, later: Slots) -> Slots:
    entries, size, _ = earlier
    for digest, occurrences in ENTRY.iter_unpack(later[0]):
        entries, change = moved(entries, digest.to_bytes(ID_BYTES, "big"), occurrences)
        size += change
    return entries, size, max(earlier[2], later[2])


KIND = Kind(make_step, merge)
KIND_WITH_MINUS = Kind(make_counted_step, merge_counted)
