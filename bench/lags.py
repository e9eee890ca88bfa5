"""How far the processor is behind a load, looked at while it flows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from broker.catalogs import read_program
from cli.settings import Settings
from replays.traffic import live_traffic

LOOK_S = 0.5


class Lag(NamedTuple):
    """Units: at_s since 1970; records that are published and not folded, those on their way among them."""

    at_s: float
    records: int


class Stretch(NamedTuple):
    """A time in which it was behind. Units: seconds; records at most."""

    seconds: float
    records: int


async def note_lags(settings: Settings, lags: list[Lag]) -> None:
    """Until it is cancelled."""
    program = await read_program(settings.kafka, settings.names)
    async with live_traffic(settings.kafka, settings.names, program.sources) as traffic:
        while True:
            lags.append(Lag(time.time(), await traffic.behind()))
            await asyncio.sleep(LOOK_S)


def behind(lags: Iterable[Lag], records: int) -> list[Stretch]:
    """The stretches in which every look found it further behind than that."""
    late = [[*looks] for is_late, looks in groupby(lags, lambda lag: lag.records > records) if is_late]
    return [Stretch(looks[-1].at_s - looks[0].at_s + LOOK_S, max(lag.records for lag in looks)) for looks in late]
