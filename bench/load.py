"""The benchmark's events: seeded, uniform over users and types, the same on every machine.

Every 200th record is the one before it again, as a retrying publisher sends it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

TOPIC = "bench.activity"
TYPES = ("song_released", "project_created", "login", "song_played", "comment_posted")
ARTISTS = 500
SONGS = 100_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=90)
REPEATED_EVERY = 200


class Load(NamedTuple):
    """How much of it. Events are spread evenly over 90 days."""

    events: int
    users: int
    seed: int = 1


def values(load: Load) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every record, in the order of publishing."""
    draw = random.Random(load.seed)
    step = SPAN / load.events
    record = (b"", b"")
    for number in range(load.events):
        if number % REPEATED_EVERY != REPEATED_EVERY - 1:
            user = f"u{draw.randrange(load.users):07d}"
            record = user.encode(), _value(draw, number, user, FIRST + number * step)
        yield record


def events(load: Load) -> Iterator[dict[str, Any]]:
    """The same events, as the reference reads them."""
    return (json.loads(value) for _, value in values(load))


def _value(draw: random.Random, number: int, user: str, time: datetime) -> bytes:
    kind, song = TYPES[draw.randrange(len(TYPES))], draw.randrange(SONGS)
    artist, points = draw.randrange(ARTISTS), draw.randrange(20)
    return (
        f'{{"specversion":"1.0","id":"e{number:09d}","source":"/bench","type":"{kind}","subject":"{user}",'
        f'"time":"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z","data":{{"song_id":"s{song:06d}",'
        f'"project_id":"p{song:06d}","artist":"artist_{artist:03d}","points":{points}}}}}'
    ).encode()
