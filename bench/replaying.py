"""A deployment on a stack of its own, jobs of replays as processes beside it, and what is known of them later."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection

from bench.draining import cpu_s_of, peak_mb_of
from bench.load import TOPIC
from broker.connections import producer
from broker.failpoints import VARIABLE
from broker.positions import Positions
from broker.producing import Outgoing, Publisher
from broker.reading import read_to_end
from broker.topics import places_of
from cli.settings import Settings
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.pipeline import CHECKOUT
from projections.database import connect
from schemas.errors import LaurelError
from schemas.replays import Publish, ReplayOrder, decode_order

LOOK_S = 0.2
JOB_TIMEOUT_S = 1800.0
RESET_PEAK = "5"  # proc(5), clear_refs: from here on the peak is a new one


class Spent(NamedTuple):
    """What a process cost in a time. Units: CPU seconds; MB in memory at most."""

    cpu_s: float
    peak_mb: int


class Ended(NamedTuple):
    """A process that was waited for. Shapes: spent, its own under its name, and of all that ran beside it."""

    code: int | None
    began_s: float
    seconds: float
    spent: dict[str, Spent]


class Sent(NamedTuple):
    """Orders of a kind. Units: seconds since 1970, by the broker."""

    orders: int
    first_s: float
    last_s: float


class Deployment:
    """What `cli.stack.pipeline.running` has started, and files and processes of ours in it."""

    def __init__(self, stack: LocalStack, settings: Settings) -> None:
        self.stack, self.settings = stack, settings
        self._numbers = count(1)

    def file(self, name: str, text: str) -> str:
        path = self.stack.data_dir / name
        path.write_text(text, encoding="utf-8")
        return f"{path}"

    def laurel(self, *arguments: str, failpoint: str = "") -> Child:
        """A `laurel` command that nobody starts again."""
        env = {VARIABLE: failpoint} if failpoint else {}
        return self.run(arguments[0], [sys.executable, "-P", "-m", "cli.main", *arguments], env)

    def run(self, name: str, argv: list[str], env: Mapping[str, str] | None = None) -> Child:
        told = {
            "LAUREL_KAFKA": self.settings.kafka,
            "LAUREL_POSTGRES": self.settings.database.postgres.get_secret_value(),
            "LAUREL_NAMESPACE": self.settings.namespace,
            "LAUREL_WHO": "bench",
            "PYTHONPATH": str(CHECKOUT),
        }
        return self.stack.run(f"{name}-{next(self._numbers)}", argv, {**told, **(env or {})}, restart=False)

    def answer(self, child: Child) -> dict[str, Any]:
        """The JSON object that a command ended with. Raises: LaurelError when there is none."""
        lines = self.stack.log_of(child.name).read_text().splitlines()
        for line in reversed(lines):
            if line.startswith("{") and '"progress"' not in line:
                told: dict[str, Any] = json.loads(line)
                return told
        raise LaurelError(f"'{child.name}' said nothing:\n{child.last_lines()}")

    def connection(self) -> Connection:
        return connect(self.settings.database)

    def rows(self, query: bytes, wanted: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            return connection.execute(query, wanted).fetchall()

    def wait(self, child: Child, beside: Iterable[str] = ()) -> Ended:
        """Until it has ended, looking at what it and others cost meanwhile. Raises: LaurelError."""
        others = {name: self.stack.children[name].pid for name in beside}
        before = {name: _measured_anew(pid) for name, pid in others.items()}
        began, clock, own = time.time(), time.monotonic(), Spent(0.0, 0)
        while child.alive:
            own = Spent(cpu_s_of(child.pid) or own.cpu_s, peak_mb_of(child.pid) or own.peak_mb)
            if time.monotonic() - clock > JOB_TIMEOUT_S:
                child.kill()
                raise LaurelError(f"'{child.name}' takes more than {JOB_TIMEOUT_S:.0f} s:\n{child.last_lines()}")
            child.wait(LOOK_S)
        seconds = time.monotonic() - clock
        self.stack.children.pop(child.name, None)
        spent = {name: Spent(cpu_s_of(pid) - before[name], peak_mb_of(pid)) for name, pid in others.items()}
        return Ended(child.exit_code(), began, seconds, {"job": own, **spent})

    def succeed(self, child: Child, beside: Iterable[str] = ()) -> Ended:
        """The same. Raises: LaurelError when it did not end well."""
        ended = self.wait(child, beside)
        if ended.code != 0:
            raise LaurelError(f"'{child.name}' ended with {ended.code}:\n{child.last_lines()}")
        return ended


def plain_environment() -> dict[str, str]:
    """What is configured is not for what starts servers of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LAUREL_")}


def _measured_anew(pid: int) -> float:
    """The CPU so far; the peak of its memory begins here."""
    Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)
    return cpu_s_of(pid)


async def publish(bootstrap: str, partitions: int, records: Iterable[tuple[bytes, bytes]]) -> Positions:
    """As fast as it goes. Returns where it ends."""
    async with producer(bootstrap) as client:
        publisher = Publisher(client, {TOPIC: partitions})
        for key, value in records:
            await publisher.send(Outgoing(TOPIC, key, value))
        await publisher.flush()
    return publisher.ends


async def sent_for(settings: Settings, replay: str) -> dict[str, Sent]:
    """What the owners of the partitions were sent for a replay, by the kind of order."""
    found: dict[str, Sent] = {}
    places = await places_of(settings.kafka, [settings.names.replay_assignments])
    async for batch in read_to_end(settings.kafka, places):
        for record in batch.records:
            order = decode_order(record.value or b"")
            if _is_for(order, replay):
                at_s, kind = record.timestamp / 1000, type(order).__name__.lower()
                orders, first_s, last_s = found.get(kind, Sent(0, at_s, at_s))
                found[kind] = Sent(orders + 1, min(first_s, at_s), max(last_s, at_s))
    return found


def _is_for(order: ReplayOrder, replay: str) -> bool:
    return not isinstance(order, Publish) and order.replay == replay
