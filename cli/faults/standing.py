"""Where everything stands: the lag of each stage, and whether any position ever moved back or ahead of its log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from aiokafka.errors import KafkaError
from psycopg import OperationalError

from broker.positions import Place, Positions, group_positions, last_stable_offsets
from broker.topics import places_of
from cli.settings import Settings
from projections.database import connect_async
from schemas.errors import LaurelError

LOOK_S = 1.0
ASK_S = 10.0
AWAY = (KafkaError, LaurelError, OperationalError, OSError, TimeoutError)  # what was asked is not there just now

PROJECTED = b"select projection, topic, partition, next_position from projection_position"
OPEN = b"select count(*) from notification_delivery where state in ('pending', 'leased')"


class Standing(NamedTuple):
    """One look. Shapes: projected has a key (projection, topic, partition); deliveries counts those not done."""

    committed: Positions
    ends: Positions
    stable: Positions
    projected: dict[tuple[str, str, int], int]
    deliveries: int

    @property
    def lags(self) -> dict[str, int]:
        """What each stage has still to do; 0 where nothing."""
        processed = sum(self.ends[place] - at for place, at in self.committed.items())
        undecided = sum(max(0, end - self.stable[place]) for place, end in self.ends.items())
        shown = sum(max(0, self.ends[topic, number] - at) for (_, topic, number), at in self.projected.items())
        return {"processor": processed, "undecided": undecided, "projector": shown, "queue": self.deliveries}


async def look(settings: Settings, source: str) -> Standing:
    """Positions first, ends afterwards, so that a position beyond its end is one."""
    names = settings.names
    read = await places_of(settings.kafka, [source, names.derived])
    others = [names.catalogs, names.changelog, names.outcomes, names.dead_letters]
    async with group_positions(settings.kafka, names.processor) as group:
        committed = await group.committed(read)
        projected, deliveries = await _in_postgres(settings)
        places = read + await places_of(settings.kafka, others)
        ends = await group.ends(places)
    stable = await last_stable_offsets(settings.kafka, places)
    return Standing(committed, ends, stable, projected, deliveries)


async def _in_postgres(settings: Settings) -> tuple[dict[tuple[str, str, int], int], int]:
    async with await connect_async(settings.database, "laurel soak") as connection:
        rows: list[tuple[Any, ...]] = await (await connection.execute(PROJECTED)).fetchall()
        waiting = await (await connection.execute(OPEN)).fetchone()
    return {(name, topic, number): at for name, topic, number, at in rows}, waiting[0] if waiting else 0


class Watch:
    """Looks every second, from the beginning to the end. Shapes: faults, lines about positions that moved back."""

    def __init__(self, settings: Settings, source: str) -> None:
        self._settings, self._source = settings, source
        self._highest: dict[tuple[str, Place], int] = {}
        self.faults: list[str] = []
        self.looks = 0
        self.last: Standing | None = None

    async def run(self) -> None:
        while True:
            with suppress(*AWAY):  # a fault is under way
                self.take(await asyncio.wait_for(look(self._settings, self._source), ASK_S))
            await asyncio.sleep(LOOK_S)

    def take(self, standing: Standing) -> None:
        self.looks += 1
        self.last = standing
        positions = {("processor", place): at for place, at in standing.committed.items()}
        positions |= {(name, (topic, number)): at for (name, topic, number), at in standing.projected.items()}
        for (who, place), at in positions.items():
            if at < self._highest.get((who, place), 0):
                self.faults.append(f"{who} moved back to {at} in {place} from {self._highest[who, place]}")
            if at > standing.ends.get(place, at):
                self.faults.append(f"{who} stands at {at} in {place}, which ends at {standing.ends[place]}")
            self._highest[who, place] = at


class Drained(NamedTuple):
    """How it ended. Units: seconds until no stage had anything left to do; None when one still has."""

    seconds: float | None
    lags: dict[str, int]


async def drained(settings: Settings, source: str, seconds_max: float, stages: Callable[[str], bool]) -> Drained:
    """Wait until these stages have nothing left to do."""
    began, lags = time.monotonic(), {"": 1}
    while time.monotonic() - began < seconds_max:
        try:
            standing = await asyncio.wait_for(look(settings, source), ASK_S)
        except AWAY:
            await asyncio.sleep(LOOK_S)
            continue
        lags = {stage: lag for stage, lag in standing.lags.items() if lag and stages(stage)}
        if not lags and standing.projected:
            return Drained(time.monotonic() - began, {})
        await asyncio.sleep(LOOK_S / 4)
    return Drained(None, lags)
