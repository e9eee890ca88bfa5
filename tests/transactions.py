"""A transaction's end is answered before its markers are in all of its partitions: tests that look there wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from broker.connections import consumer
from broker.positions import end_positions, last_stable_offsets
from broker.topics import places_of

WAIT_S = 120.0


async def decided(kafka: str, topics: Iterable[str]) -> None:
    """Wait until everything written to these topics by now is committed or aborted."""
    places = await places_of(kafka, topics)
    async with consumer(kafka, isolation="read_uncommitted") as client:
        ends = await end_positions(client, places)
    deadline = time.monotonic() + WAIT_S
    while undecided := {
        place: end for place, end in (await last_stable_offsets(kafka, places)).items() if end < ends[place]
    }:
        assert time.monotonic() < deadline, f"open after {WAIT_S:.0f} s: {undecided} of {ends}"
        await asyncio.sleep(0.02)
