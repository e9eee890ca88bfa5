"""How a replay ended, as an exit code."""

from __future__ import annotations

import sys

from broker.connections import consumer
from broker.positions import Positions, as_partitions
from broker.reading import read_to_end
from broker.topics import places_of
from cli.dead_letters import dead_letter
from cli.settings import Settings
from replays.registry import Replay
from schemas.errors import LaurelError

OK, DEAD_LETTERS = 0, 3


async def exit_code(settings: Settings, replay: Replay) -> int:
    """Of one that has ended: 0 when it is done or was cancelled, as somebody wished; 1 when it failed.

    3 when it is done, and orders of that time were dead letters.
    """
    if replay.status != "done":
        return LaurelError.exit_code if replay.status == "failed" else OK
    count = await refused_orders(settings, replay)
    if count:
        topic = settings.names.replay_assignments
        print(f"{count} orders were dead letters: see `laurel dlq list --topic {topic}`", file=sys.stderr)
    return DEAD_LETTERS if count else OK


async def refused_orders(settings: Settings, replay: Replay) -> int:
    """How many orders an owner could not read since this replay was started."""
    names, starts = settings.names, await _positions_at(settings, replay)
    letters = [
        dead_letter(batch.partition, record)
        async for batch in read_to_end(settings.kafka, starts, starts)
        for record in batch.records
    ]
    return sum(letter.topic == names.replay_assignments for letter in letters)


async def _positions_at(settings: Settings, replay: Replay) -> Positions:
    """In the dead letters, which have the time of their original: none that is younger lies before these."""
    partitions = as_partitions(await places_of(settings.kafka, [settings.names.dead_letters]))
    since_ms = round(replay.created_at.timestamp() * 1000)
    async with consumer(settings.kafka) as client:
        ends = await client.end_offsets(partitions)
        found = await client.offsets_for_times(dict.fromkeys(partitions, since_ms))
    return {each: found[each].offset if found.get(each) else ends[each] for each in partitions}
