"""Random logs of a small product: events more or less in the order of their times, some of them repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from bench.reference import COMMANDS

Said = dict[str, Any]

ONE, TWO = "t.one", "t.two"
CLAIM = "claim_challenge"
START = datetime(2025, 10, 20, tzinfo=UTC)  # clocks change within the days that follow
DAYS = 16

FIELDS: dict[str, dict[str, str]] = {
    "alpha": {"text": "string?", "number": "integer?", "flag": "boolean?", "price": "decimal(2)?"},
    "beta": {"text": "string?", "number": "integer?", "flag": "boolean?", "price": "decimal(2)?"},
    "gamma": {"text": "string?", "number": "integer?"},
    "invite": {"text": "string?", "friend": "string?", "price": "decimal(2)?"},
    "invited": {"text": "string?", "by": "string", "price": "decimal(2)?"},
}
TOPICS = {"alpha": ONE, "beta": ONE, "gamma": TWO, "invite": ONE}
VALUES: dict[str, list[Any]] = {
    "string": ["A", " a ", "Ä", "A\u0308", "ä", "a\u0308", "ß", "SS", "", "  ", "1", None],
    "integer": [-11, -10, -1, 0, 1, 2, 9, 10, 11, 2**53, None],
    "boolean": [True, False, None],
    "decimal": [0.5, 1, 1.25, "2.50", -1.5, None],
}
DATE_LINE = ["Pacific/Kiritimati", "Pacific/Honolulu"]  # a day apart
USERS = ["ann", "bob", "zoë"]
ZONES = [None, "UTC", "Asia/Tokyo", "America/New_York", "Europe/London", "Africa/Cairo", *DATE_LINE]

LENGTH_MAX = 200
SEEDS = st.integers(0, 2**32)  # drawn first: what is drawn late varies little
BREAKS = st.sets(st.integers(1, LENGTH_MAX), max_size=8)


def random_log(seed: int, unique: bool = False) -> list[Said]:
    """A log more or less in the order of its times.

    Ids come again now and then, soon (within the window) or later, unless they are to be unique.
    """
    chance = Random(seed)
    length = chance.randint(1, LENGTH_MAX)
    step = chance.choice([600, 7_200, 40_000])
    late = chance.choice([1, 300_000, length * step])
    log: list[Said] = []
    for number in range(length):
        if number and not unique and chance.random() < 0.08:
            log.append(log[-chance.randint(1, min(number, 12))])
        else:
            at = START + timedelta(seconds=number * step - chance.choice([0, 0, chance.randrange(late)]))
            log.append(random_event(chance, at, str(number) if unique else str(chance.randrange(2 * length))))
    return log


def random_event(chance: Random, at: datetime, identity: str) -> Said:
    kind = chance.choice([*TOPICS, "alpha", "invite", "stranger"])
    fields = {name: kind_of(declared) for name, declared in FIELDS.get(kind, {}).items()}
    data = {
        name: chance.choice([*USERS, " "] if name == "friend" else VALUES[each]) for name, each in fields.items()
    }
    zone = chance.choice(ZONES)
    return {
        "specversion": "1.0",
        "id": identity,
        "source": chance.choice(["/web", "/web", "/app"]),
        "type": kind,
        "subject": chance.choice([USERS[0], *USERS]),
        "time": at.replace(microsecond=chance.choice([0, 1, 999_999])).isoformat(),
        **({"timezone": zone} if zone else {}),
        "data": {name: value for name, value in data.items() if value is not None or chance.random() < 0.5},
    }


def kind_of(declared: str) -> str:
    return declared.removesuffix("?").partition("(")[0]


def topic_of(said: Said) -> str:
    return COMMANDS if said["type"] == CLAIM else TOPICS.get(said["type"], ONE)


def with_claims(seed: int, log: list[Said]) -> list[Said]:
    """The log with claims of challenges in it, most of them soon after an event of the user, some made twice."""
    chance = Random(seed)
    mixed: list[Said] = []
    for number, said in enumerate(log):
        mixed.append(said)
        if chance.random() < 0.3:
            claim = random_claim(chance, said, f"{said['subject']}-{number}")
            again = chance.choice([[], [], [claim], [claim | {"id": f"{claim['id']}-again"}]])
            mixed += [claim, *again]
    return mixed


def random_claim(chance: Random, after: Said, identity: str) -> Said:
    at = datetime.fromisoformat(after["time"])
    appended = at + timedelta(seconds=chance.choice([1, 1, 3_600, 60_000]))
    day = chance.choice([None] * 6 + [at.date().isoformat(), "2025-10-21", "2025-11-31"])
    data = {
        "catalog": chance.choice(["one"] * 8 + ["two", "nowhere"]),
        "challenge": chance.choice(["c0", "c1", "c2"] * 3 + ["c9"]),
    }
    zone = chance.choice([None, None, *ZONES])
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "/web",
        "type": CLAIM,
        "subject": after["subject"],
        "time": at.isoformat(),
        "appended": appended.isoformat(),
        "topic": COMMANDS,
        "data": data | ({"day": day} if day else {}),
        **({"timezone": zone} if zone else {}),
    }
