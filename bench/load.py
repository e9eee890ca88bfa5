"""The benchmark's events: seeded, the same on every machine, five types drawn alike.

Every 200th record is the one before it again, as a retrying publisher sends it, unless the load says otherwise.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

TOPIC = "bench.activity"
TYPES = ("song_released", "project_created", "login", "song_played", "comment_posted")
ARTISTS, SONGS, POINTS = 500, 100_000, 20
FIRST, DAYS = date(2026, 1, 1), 90
DAY_MS = 86_400_000
REPEATED_EVERY = 200


class Load(NamedTuple):
    """How much of it, evenly spread over 90 days, times never going back.

    Shapes: zipf, the exponent of how unevenly users are drawn; None draws them alike.
    Units: the last `live` events follow those days, `per_s` a second.
    """

    events: int
    users: int
    zipf: float | None = None
    repeats: bool = True
    seed: int = 1
    live: int = 0
    per_s: int = 1


def values(load: Load) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of every record, in the order of publishing. Hot: millions of records wait for it."""
    draw = Random(load.seed)
    random, user_of = draw.random, users_of(load, draw)
    clock = [f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}" for second in range(86_400)]
    days = [(FIRST + timedelta(day)).isoformat() for day in range(DAYS + 1)]
    choices = len(TYPES) * SONGS * ARTISTS * POINTS
    repeated_every = REPEATED_EVERY if load.repeats else load.events + 1
    past = load.events - load.live
    step_ms, live_step_ms = DAYS * DAY_MS / max(1, past), 1000 / load.per_s
    record = (b"", b"")
    for number in range(load.events):
        if number % repeated_every != repeated_every - 1:
            lived_ms = max(0, number - past) * live_step_ms
            day, now = divmod(int(min(number, past) * step_ms + lived_ms), DAY_MS)
            second, ms = divmod(now, 1000)
            left, kind = divmod(int(random() * choices), len(TYPES))
            left, song = divmod(left, SONGS)
            points, artist = divmod(left, ARTISTS)
            user = f"u{user_of():07d}"
            value = (
                f'{{"specversion":"1.0","id":"e{number:09d}","source":"/bench","type":"{TYPES[kind]}",'
                f'"subject":"{user}","time":"{days[day]}T{clock[second]}.{ms:03d}Z","data":{{'
                f'"song_id":"s{song:06d}","project_id":"p{song:06d}","artist":"artist_{artist:03d}",'
                f'"points":{points}}}}}'
            )
            record = user.encode(), value.encode()
        yield record


def users_of(load: Load, draw: Random) -> Callable[[], int]:
    """Draws a user's number. The busiest are anywhere among them, so that partitions share them."""
    random, users = draw.random, load.users
    if load.zipf is None:
        return lambda: int(random() * users)
    numbers = draw.sample(range(users), users)
    until = [*accumulate(rank**-load.zipf for rank in range(1, users + 1))]
    return lambda: numbers[bisect(until, random() * until[-1], 0, users - 1)]
