"""The answers to the jobs, written straight out: what bench/reference/ says, at a twentieth of its cost.

It knows nothing of catalogs: the metrics and thresholds of jobs/small.yaml, jobs/full.yaml and sweep.yaml stand
here again, by hand. It shares no code with the product, and a test holds it against the reference. Two things it
may take for granted, since the load gives them: times never go back, and an id is `e` with a number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta

import msgspec

Ladders = dict[str, tuple[int, ...]]

LADDER = (1, 5, 10, 25, 50, 100)
SMALL: Ladders = dict.fromkeys(("songs_released", "projects_created", "logins", "artists"), LADDER)
FULL: Ladders = {
    **SMALL,
    "comments": (10, 25, 50, 100),
    "points": (100, 250, 500, 1000),
    "released_artists": (10, 25, 50, 100),
    "login_streak": (3, 7, 14, 30),
}
SWEEP: Ladders = {"songs_released": (3,), "projects_created": (1,), "logins": (5,), "artists": (5,)}
ALL_ROUNDER = {"songs_released": 5, "artists": 5, "logins": 3, "projects_created": 1}
ONE_DAY = timedelta(days=1)

Award = Callable[[str, str, datetime], str]
Metrics = Callable[[str, dict[str, int]], str]


class Data(msgspec.Struct):
    artist: str
    points: int


class Event(msgspec.Struct):
    id: str
    type: str
    subject: str
    time: str
    data: Data


class User:
    """One user of any job. Shapes: values, by metric; reached, since when each part of the compound holds."""

    def __init__(self, ladders: Ladders) -> None:
        self.ladders = ladders
        self.values = dict.fromkeys(ladders, 0)
        self.awards: list[tuple[str, datetime]] = []
        self.played: set[str] = set()
        self.released: set[str] = set()
        self.days: set[date] = set()
        self.reached: dict[str, datetime] = {}

    def raise_to(self, metric: str, value: int, at: datetime) -> None:
        before, self.values[metric] = self.values[metric], value
        for threshold in self.ladders[metric]:
            if before < threshold <= value:
                self.awards.append((f"{metric}_{threshold}", at))

    def streak_with(self, day: date) -> int:
        """The length of the run that a day belongs to."""
        self.days.add(day)
        first, last = day, day
        while first - ONE_DAY in self.days:
            first -= ONE_DAY
        while last + ONE_DAY in self.days:
            last += ONE_DAY
        return (last - first).days + 1


def take_small(user: User, event: Event, at: datetime) -> None:
    values = user.values
    if event.type == "song_released":
        user.raise_to("songs_released", values["songs_released"] + 1, at)
    elif event.type == "project_created":
        user.raise_to("projects_created", values["projects_created"] + 1, at)
    elif event.type == "login":
        user.raise_to("logins", values["logins"] + 1, at)
    elif event.type == "song_played" and event.data.artist not in user.played:
        user.played.add(event.data.artist)
        user.raise_to("artists", len(user.played), at)


def take_full(user: User, event: Event, at: datetime) -> None:
    take_small(user, event, at)
    if event.type == "comment_posted":
        user.raise_to("comments", user.values["comments"] + 1, at)
    elif event.type == "login":
        _log_in(user, at)
    elif event.type == "song_released":
        _release(user, event.data, at)
    _judge_all_rounder(user, at)


def _release(user: User, data: Data, at: datetime) -> None:
    user.raise_to("points", user.values["points"] + data.points, at)
    user.released.add(data.artist.strip().casefold())
    user.raise_to("released_artists", len(user.released), at)


def _log_in(user: User, at: datetime) -> None:
    """A streak is earned at the start of the day that completes it."""
    day = at.date()
    if day not in user.days:
        length = max(user.values["login_streak"], user.streak_with(day))
        user.raise_to("login_streak", length, at.replace(hour=0, minute=0, second=0, microsecond=0))


def _judge_all_rounder(user: User, at: datetime) -> None:
    if len(user.reached) == len(ALL_ROUNDER):
        return
    for metric, threshold in ALL_ROUNDER.items():
        if metric not in user.reached and user.values[metric] >= threshold:
            user.reached[metric] = at
    if len(user.reached) == len(ALL_ROUNDER):
        user.awards.append(("all_rounder", at))


JOBS: dict[str, tuple[Ladders, Callable[[User, Event, datetime], None]]] = {
    "small": (SMALL, take_small),
    "full": (FULL, take_full),
    "sweep": (SWEEP, take_small),
}


def fold(job: str, values: Iterable[bytes], award: Award, metrics: Metrics) -> Iterator[str]:
    """The lines of a job: its awards, and what every user came to. Hot."""
    ladders, take = JOBS[job]
    users: dict[str, User] = defaultdict(lambda: User(ladders))
    decode, moment, seen = msgspec.json.Decoder(Event).decode, datetime.fromisoformat, bytearray()
    for value in values:
        event = decode(value)
        number = int(event.id[1:])
        if number >= len(seen):
            seen.extend(bytes(number + 1))
        if not seen[number]:
            seen[number] = True
            take(users[event.subject], event, moment(event.time))
    for name, user in users.items():
        yield from (award(name, key, at) for key, at in user.awards)
        yield metrics(name, user.values)
