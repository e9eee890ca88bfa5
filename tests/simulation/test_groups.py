"""The simulated consumer group, where it might leave somebody alone for ever."""

from __future__ import annotations

import asyncio
from random import Random

from simulation.groups import SESSION_S, Group, Member
from simulation.loop import virtual_loop
from simulation.process import Process


def test_whoever_is_put_out_while_it_waits_to_join_hears_of_it_and_joins_again() -> None:
    """The other member never comes to the rebalance, and then is gone."""
    loop = virtual_loop()
    group = Group(2, loop, Random(0))
    late, waiting = (Member(group, Process(name, loop)) for name in ("late", "waiting"))

    async def join_until_given() -> frozenset[int]:
        while not (numbers := await waiting.join()):
            await waiting.heard()
        return numbers

    async def play() -> frozenset[int]:
        await late.join()
        joining = asyncio.create_task(join_until_given())
        await asyncio.sleep(0)
        waiting.process.pause()
        await asyncio.sleep(SESSION_S + 1)
        waiting.process.wake()
        late.leave()
        async with asyncio.timeout(60):
            return await joining

    assert loop.run(play()) == {0, 1}
