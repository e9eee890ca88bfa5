"""A consumer group: who reads which partitions, and when that changes."""

from __future__ import annotations

import asyncio
from random import Random

from simulation.loop import VirtualLoop
from simulation.process import NOBODY, Process

SESSION_S = 6.0
REBALANCE_S = 10.0
HEARTBEAT_S = 0.5


class Member:
    """A process in a group. Shapes: `wanted` is set while the group waits for it to join again."""

    def __init__(self, group: Group, process: Process) -> None:
        self.process, self.wanted = process, asyncio.Event()
        self._group = group
        process.when_silent.append(lambda: group.watch(self))

    async def join(self) -> frozenset[int]:
        """The partitions of this member in the next generation."""
        self.process.check()
        self.wanted.clear()
        return await self._group.join(self)

    async def heard(self) -> None:
        """Returns when a heartbeat has brought word that the group wants us."""
        await self.wanted.wait()
        await asyncio.sleep(self._group.heartbeat_s())

    def leave(self) -> None:
        self._group.remove(self)


class Group:
    def __init__(self, partitions: int, loop: VirtualLoop, chance: Random) -> None:
        self.generation = 0
        self._partitions, self._loop, self._chance = partitions, loop, chance
        self._members: dict[Member, asyncio.Future[frozenset[int]] | None] = {}

    def heartbeat_s(self) -> float:
        return self._chance.random() * HEARTBEAT_S

    def join(self, member: Member) -> asyncio.Future[frozenset[int]]:
        joined: asyncio.Future[frozenset[int]] = self._loop.create_future()
        self._members[member] = joined
        self._rebalance()
        return joined

    def remove(self, member: Member) -> None:
        if member in self._members:
            joined = self._members.pop(member)
            member.wanted.set()  # if it lives it finds out, and joins again
            if joined is not None and not joined.done():
                joined.set_result(frozenset())
            self._rebalance()

    def watch(self, member: Member) -> None:
        """Its heartbeats have stopped; without another one its session ends."""
        silences = member.process.silences
        self._loop.call_later(SESSION_S, self._end_session, member, silences, context=NOBODY)

    def _end_session(self, member: Member, silences: int) -> None:
        process = member.process
        if process.silences == silences and (process.is_dead or process.is_paused):
            self.remove(member)

    def _rebalance(self) -> None:
        for member, joined in self._members.items():
            if joined is None:
                member.wanted.set()
        self._loop.call_later(REBALANCE_S, self._go_on_without, self.generation, context=NOBODY)
        self._begin_if_all_joined()

    def _go_on_without(self, generation: int) -> None:
        """The late ones have had their time."""
        if generation == self.generation:
            self._members = {member: joined for member, joined in self._members.items() if joined is not None}
            self._begin_if_all_joined()

    def _begin_if_all_joined(self) -> None:
        joined = {member: waiting for member, waiting in self._members.items() if waiting is not None}
        if not joined or len(joined) < len(self._members):
            return
        self.generation += 1
        order = sorted(joined, key=lambda member: member.process.name)
        self._chance.shuffle(order)
        for place, member in enumerate(order):
            self._members[member] = None
            if not joined[member].done():
                joined[member].set_result(frozenset(range(place, self._partitions, len(order))))
