"""The virtual loop and its processes: time that jumps, standing still, dying."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from simulation.loop import Stuck, VirtualLoop, virtual_loop
from simulation.process import Died, Line, Process, Weather

HOUR_S = 3600.0


@pytest.fixture
def loop() -> VirtualLoop:
    return virtual_loop()


def line(process: Process, loop: VirtualLoop, chance: Random) -> Line:
    return Line(process, loop, chance, Weather(chance, {}, 0.0, lambda what: None))


def test_an_hour_passes_at_once_and_what_is_due_first_comes_first(loop: VirtualLoop) -> None:
    came: list[str] = []

    async def wait(name: str, hours: float) -> None:
        await asyncio.sleep(hours * HOUR_S)
        came.append(name)

    async def main() -> None:
        await asyncio.gather(wait("late", 3), wait("early", 1), wait("between", 2))

    began = time.monotonic()
    loop.run(main())

    assert came == ["early", "between", "late"]
    assert loop.time() == pytest.approx(3 * HOUR_S, abs=1)
    assert time.monotonic() - began < 60


def test_timeouts_are_of_virtual_time(loop: VirtualLoop) -> None:
    async def main() -> None:
        async with asyncio.timeout(HOUR_S):
            await asyncio.sleep(2 * HOUR_S)

    with pytest.raises(TimeoutError):
        loop.run(main())


def test_who_waits_for_what_never_comes_is_told_of(loop: VirtualLoop) -> None:
    async def main() -> None:
        await loop.create_future()

    with pytest.raises(Stuck, match="nothing is left to do"):
        loop.run(main())


def test_a_process_that_stands_still_does_nothing_until_it_wakes(loop: VirtualLoop) -> None:
    """Then all that came due meanwhile, in its order."""
    process, ticks = Process("p", loop), list[float]()

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            ticks.append(round(loop.time()))

    async def main() -> None:
        process.start(tick)
        await asyncio.sleep(2.5)
        process.pause()
        await asyncio.sleep(5)
        process.wake()
        await asyncio.sleep(2)
        process.kill("the end")

    loop.run(main())

    assert ticks == [1, 2, 8, 9]  # awake again at 7.5, where the tick of 3 came at last


def test_what_a_killed_process_asks_for_has_no_effect_and_nobody_hears_of_it(loop: VirtualLoop) -> None:
    process, done = Process("p", loop), list[str]()

    async def work() -> None:
        to_server = line(process, loop, Random(1))
        try:
            await asyncio.sleep(HOUR_S)
        finally:
            with pytest.raises(Died):
                await to_server.ask(lambda: done.append("asked"))

    async def main() -> None:
        process.start(work)
        await asyncio.sleep(1)
        process.kill("killed")
        await asyncio.gather(*process.tasks, return_exceptions=True)
        await asyncio.sleep(1)

    loop.run(main())

    assert process.is_dead
    assert done == []


def test_a_request_that_is_on_its_way_may_arrive_after_its_sender_has_died(loop: VirtualLoop) -> None:
    """As a commit does whose process is killed while it waits for the answer."""
    arrived, chance = 0, Random(1)

    async def main() -> None:
        nonlocal arrived
        for _ in range(40):
            process, served = Process("p", loop), list[int]()
            to_server = line(process, loop, chance)
            process.start(lambda to=to_server, served=served: to.ask(lambda: served.append(1)))  # type: ignore[misc]
            await asyncio.sleep(0)
            process.kill("killed")
            await asyncio.sleep(1)
            arrived += len(served)

    loop.run(main())

    assert 0 < arrived < 40
