"""A seeded load that goes on until told to stop: events, publishers' repetitions, refused records, aborted ones.

Whatever it publishes says by its key what must become of it, so that the log alone is enough to check the rest.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

from aiokafka.errors import KafkaError

from broker.connections import producer
from broker.producing import Outgoing, Publisher
from broker.topics import partition_counts
from schemas.errors import LaurelError

TOPIC = "faults.activity"  # in the catalog; every namespace has its own in its place
PIECES_A_SECOND = 4
TRANSACTION_EVERY = 3  # pieces; each transaction is followed by one that is aborted
PAUSE_S = 0.5  # before a producer is tried again
SEND_TIMEOUT_S = 20.0
BUSY_USERS = 100
RECENT = 5  # a repetition is of one of so many events before it
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
BETWEEN_EVENTS = timedelta(seconds=20)
REFUSED = "refused"  # a key is refused/<cause>/<number>


def everybody(record: Outgoing) -> bool:
    return True


class Load(NamedTuple):
    """How much of it. Half of the events are of a few busy users; what `keep` does not want is left out."""

    topic: str
    seed: int
    users: int = 300
    events_per_s: int = 200
    keep: Callable[[Outgoing], bool] = everybody


def records(load: Load) -> Iterator[Outgoing]:
    """Without end, the same for the same load, but for events that are dated ahead of the present clock."""
    return filter(load.keep, _all_records(load))


def _all_records(load: Load) -> Iterator[Outgoing]:
    draw = random.Random(load.seed)
    recent: list[Outgoing] = []
    number = 0
    while True:
        number += 1
        chance = draw.random()
        if chance < 0.03 and recent:
            yield draw.choice(recent)
        elif chance < 0.04:
            yield _refused(draw, load, number)
        else:
            recent = [*recent[-RECENT + 1 :], _event(draw, load, number)]
            yield recent[-1]


def _event(draw: random.Random, load: Load, number: int) -> Outgoing:
    user, kind = _user(draw, load), draw.choices(["played", "rated", "unheard_of"], [80, 18, 2])[0]
    data: dict[str, object] = {"stars": draw.randint(1, 5)}
    if kind == "played":
        data = {"piece": f"piece-{draw.randrange(40)}", "minutes": draw.randint(1, 60)}
        if draw.random() < 0.15:
            data["partner"] = _user(draw, load)
    return _outgoing(load, user, user, f"{load.seed}-{number}", kind, _time(draw, number), data)


def _user(draw: random.Random, load: Load) -> str:
    return f"user-{draw.randrange(min(BUSY_USERS, load.users) if draw.random() < 0.5 else load.users)}"


def _time(draw: random.Random, number: int) -> datetime:
    """Mostly onwards; now and then a clock that is far behind, or as far ahead as is allowed."""
    usual = FIRST + number * BETWEEN_EVENTS
    behind, ahead = datetime(1970, 1, 2, tzinfo=UTC), datetime.now(UTC) + timedelta(hours=47)
    late = usual - timedelta(days=draw.randint(1, 30))
    return draw.choices([usual, late, behind, ahead], [90, 8, 1, 1])[0]


def _outgoing(
    load: Load, key: str, subject: str, id: str, kind: str, time: datetime, data: dict[str, object]
) -> Outgoing:
    envelope = {"specversion": "1.0", "source": "faults", "id": id, "type": kind, "subject": subject}
    event = envelope | {"time": time.isoformat().replace("+00:00", "Z"), "data": data}
    return Outgoing(load.topic, key.encode(), json.dumps(event).encode())


def _refused(draw: random.Random, load: Load, number: int) -> Outgoing:
    cause = draw.choice(sorted(SPOILT))
    key = f"{REFUSED}/{cause}/{number}"
    good = _outgoing(load, key, key, f"bad-{number}", "rated", FIRST, {"stars": 1})
    return good._replace(value=SPOILT[cause](good.value))


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "malformed_json": lambda value: value[:-1],
    "invalid_utf8": lambda value: value[:-1] + b"\xff}",
    "bad_envelope": lambda value: value.replace(b'"id"', b'"no_id"'),
    "bad_data": lambda value: value.replace(b'"stars": 1', b'"stars": "one"'),
    "bad_time": lambda value: value.replace(b"2026-01-01", b"2999-01-01"),  # far ahead of any append
    "wrong_key": lambda value: value.replace(b'"subject": "', b'"subject": "not-'),
}


def cause_of(key: bytes | None) -> str | None:
    """Why a record of the load must be refused; None when it must not."""
    kind, _, rest = (key or b"").decode().partition("/")
    return rest.partition("/")[0] if kind == REFUSED else None


class Generator:
    """Publishes a load. Shapes: acknowledged, the hashes of the values that must be in the log."""

    def __init__(self, kafka: str, load: Load) -> None:
        self._kafka, self._load = kafka, load
        self._records = records(load)
        self._stopping = asyncio.Event()
        self.acknowledged: set[int] = set()
        self.published = 0
        self.failures = 0

    async def run(self) -> None:
        """Until stopped. A piece that fails is published again, so what it holds may be there twice."""
        self._stopping.clear()
        number = 0
        piece: Sequence[Outgoing] = ()
        while not self._stopping.is_set():
            try:
                async with self._publishers() as (plain, transactional):
                    while not self._stopping.is_set():
                        piece = piece or self._next_piece()
                        number += 1
                        publish = _in_transactions if number % TRANSACTION_EVERY == 0 else _plainly
                        await asyncio.wait_for(publish(plain, transactional, piece), SEND_TIMEOUT_S)
                        self._remember(piece)
                        piece = ()
                        await asyncio.sleep(1 / PIECES_A_SECOND)
            except (KafkaError, LaurelError, TimeoutError, OSError):
                self.failures += 1
                await asyncio.sleep(PAUSE_S)

    async def stop(self) -> None:
        self._stopping.set()

    def _next_piece(self) -> list[Outgoing]:
        return list(islice(self._records, max(1, self._load.events_per_s // PIECES_A_SECOND)))

    def _remember(self, piece: Sequence[Outgoing]) -> None:
        self.published += len(piece)
        self.acknowledged.update(hash(record.value) for record in piece)

    @asynccontextmanager
    async def _publishers(self) -> AsyncIterator[tuple[Publisher, Publisher]]:
        counts = await partition_counts(self._kafka, [self._load.topic])
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(producer(self._kafka, transactional_id=transactional_id))
                for transactional_id in (None, f"{self._load.topic}.publisher")
            ]
            plain, transactional = (Publisher(client, counts) for client in clients)
            yield plain, transactional


async def _plainly(plain: Publisher, transactional: Publisher, piece: Sequence[Outgoing]) -> None:
    await plain.send_all(piece)


async def _in_transactions(plain: Publisher, transactional: Publisher, piece: Sequence[Outgoing]) -> None:
    await transactional.commit(piece)
    await transactional.abort(record._replace(value=_other(record.value)) for record in piece)


def _other(value: bytes) -> bytes:
    """The same as another event: it would count if it were read."""
    with suppress(ValueError):
        event = json.loads(value)
        return json.dumps(event | {"id": f"aborted-{event.get('id')}"}).encode()
    return value
