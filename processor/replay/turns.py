"""In which order a partition's users are told what they crossed: first those for whom live events wait.

What live events cross of the new achievements waits for the facts of their user. The past, folded on beside them,
says who that is, so that it is not long, however many users are to be told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager

from processor.replay.past import Past
from processor.replay.ports import History
from processor.replay.wanted import Wanted


class Turns:
    """Each user comes once. Whoever is hurried comes next, also if nobody has named the user before."""

    def __init__(self, users: Iterable[bytes]) -> None:
        self._users = iter(users)
        self._hurried: deque[bytes] = deque()
        self._came: set[bytes] = set()

    def hurry(self, users: Iterable[bytes]) -> None:
        self._hurried.extend(users)

    def __iter__(self) -> Iterator[bytes]:
        while (user := self._next()) is not None:
            if user not in self._came:
                self._came.add(user)
                yield user

    def _next(self) -> bytes | None:
        return self._hurried.popleft() if self._hurried else next(self._users, None)


class Ahead:
    """The past of a partition, folded on from where it stands to where live events are, and no end.

    Shapes: positions is where it stands; only, whose past it is, None for everybody's.
    """

    def __init__(
        self, history: History, past: Past, partition: int, positions: Mapping[str, int], only: set[bytes] | None
    ) -> None:
        self._history, self._past, self._partition = history, past.fork(), partition
        self._positions, self._only = positions, only
        self._is_over = False

    @asynccontextmanager
    async def hurrying(self, turns: Turns) -> AsyncIterator[None]:
        """Meanwhile whoever crosses something comes next. Raises: what reading on has come to, at the end.

        It is asked to end, not cancelled: a Kafka client may swallow that, and would be waited for for ever.
        """
        following = asyncio.create_task(self._follow(turns))
        try:
            yield
        finally:
            self._is_over = True
            await following

    async def _follow(self, turns: Turns) -> None:
        topics = (self._follow_topic(topic, turns) for topic in self._positions)
        for failure in await asyncio.gather(*topics, return_exceptions=True):
            if failure is not None:
                raise failure

    async def _follow_topic(self, topic: str, turns: Turns) -> None:
        wanted = Wanted(self._past.excerpt.types[topic], self._only)
        parts = self._history.follow(topic, self._partition, self._positions[topic], wanted)
        try:
            async with aclosing(parts):
                async for part in parts:
                    self._past.fold(topic, part.records)
                    turns.hurry(user for user, _ in self._past.facts())
                    if self._is_over:
                        return
        finally:
            self._is_over = True
