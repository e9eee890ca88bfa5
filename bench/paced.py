"""The benchmark's events at a steady rate, by a process of its own, until it is told to stop.

Run as a program it is that process. It ends by writing down what it appended, and when, into a file.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from bench.latency import TICK_S, Appended
from bench.load import TOPIC, Load, values
from broker.connections import BATCH_BYTES_MAX
from broker.positions import Positions
from processor.profile import percentile
from schemas.errors import LaurelError
from schemas.topics import partition_of

USERS_REMEMBERED = 1_000_000
UNACKNOWLEDGED_S = 5.0  # a broker that is further behind the rate is waited for


class Pace(NamedTuple):
    """The events of a load from `first` on. Shapes: file, where it is written down.

    Units: rate, a second; tick_ms, how often some are sent. Where nobody asks when each came, fewer and larger
    batches cost publisher and broker less.
    """

    load: Load
    first: int
    rate: int
    partitions: int
    file: Path
    tick_ms: int = round(TICK_S * 1000)

    @property
    def arguments(self) -> list[str]:
        """Of the program, behind the broker's address."""
        load = self.load
        numbers = (load.events, load.users, self.first, self.rate, self.partitions, self.tick_ms)
        return [f"{self.file}", *map(str, numbers)]


class Published(NamedTuple):
    """Shapes: events, how many of the load's are in the log, from its beginning. Units: late_ms at p99."""

    events: int
    appended: list[Appended]
    ends: Positions
    late_ms: float


def pace_of(arguments: Sequence[str]) -> Pace:
    file, *numbers = arguments
    events, users, first, rate, partitions, tick_ms = map(int, numbers)
    return Pace(Load(events, users), first, rate, partitions, Path(file), tick_ms)


def published(file: Path) -> Published:
    """What a publisher that has ended wrote down. Raises: LaurelError when it did not."""
    if not file.exists():
        raise LaurelError(f"{file} is not there: the publisher did not end well, see its log")
    told = json.loads(file.read_text())
    appended = [Appended((TOPIC, partition), first, at_ms) for partition, first, at_ms, _ in told["appended"]]
    ends = {(TOPIC, partition): first + records for partition, first, _, records in told["appended"]}
    return Published(told["events"], appended, ends, told["late_ms"])


class Publisher:
    """Keeps to a schedule: what is late goes at once."""

    def __init__(self, client: AIOKafkaProducer, pace: Pace) -> None:
        self._client, self._pace = client, pace
        self._partition_of = lru_cache(USERS_REMEMBERED)(partition_of)
        self._sent: list[tuple[int, int, Any]] = []
        self._late_s: list[float] = []
        self._events = pace.first
        self._tick_s = pace.tick_ms / 1000
        self._unacknowledged_max = round(UNACKNOWLEDGED_S / self._tick_s) * pace.partitions  # batches

    async def run(self, stopping: asyncio.Event) -> dict[str, Any]:
        """Until told to stop, or the load is at its end. Returns what is written down."""
        records = islice(values(self._pace.load), self._pace.first, None)
        began, size = None, max(1, round(self._pace.rate * self._tick_s))
        for number, tick in enumerate(iter(lambda: list(islice(records, size)), [])):
            began = began or time.monotonic()
            wait_s = began + number * self._tick_s - time.monotonic()
            self._late_s.append(max(0.0, -wait_s))
            await asyncio.sleep(max(0.0, wait_s))
            if stopping.is_set():
                break
            await self._send(tick)
        return await self._acknowledged()

    async def _send(self, tick: Sequence[tuple[bytes, bytes]]) -> None:
        for partition, batch in self._batches(tick):
            told = await self._client.send_batch(batch, TOPIC, partition=partition)
            self._sent.append((partition, batch.record_count(), told))
        self._events += len(tick)
        if len(self._sent) > self._unacknowledged_max:
            await self._sent[-self._unacknowledged_max][-1]

    def _batches(self, tick: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[int, Any]]:
        batches: dict[int, Any] = defaultdict(self._client.create_batch)
        for key, value in tick:
            batch = batches[self._partition_of(key, self._pace.partitions)]
            if batch.append(timestamp=None, key=key, value=value) is None:
                raise LaurelError(f"{len(tick)} events are too many for the batches of one tick: lower the rate")
        for partition, batch in batches.items():
            batch.close()
            yield partition, batch

    async def _acknowledged(self) -> dict[str, Any]:
        """Shapes: appended has partition, first offset, append time and records of each batch, in order."""
        appended = []
        for partition, records, acknowledged in self._sent:
            told = await acknowledged
            appended.append([partition, told.offset, told.timestamp, records])
        late_ms = percentile(self._late_s, 0.99) * 1000
        return {"events": self._events, "appended": appended, "late_ms": late_ms}


async def publish(bootstrap: str, pace: Pace) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    client = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks=1, linger_ms=0, enable_idempotence=False, max_batch_size=BATCH_BYTES_MAX
    )
    await client.start()
    try:
        written = await Publisher(client, pace).run(stopping)
    finally:
        await client.stop()
    pace.file.write_text(json.dumps(written))


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1], pace_of(sys.argv[2:])))
