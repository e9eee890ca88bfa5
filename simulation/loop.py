"""An event loop whose time is a number: it jumps to the next timer when nothing else is left to do.

No I/O, no threads, no clock. What runs, runs in the order in which it was asked for, so a seed that decides how
long everything takes decides everything.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import Any, Protocol, TypeVar

TURNS_MAX = 2_000_000
TURN_S = 1e-6  # whatever runs takes some time: without it, waiting for a tiny while would last for ever

T = TypeVar("T")


class Owner(Protocol):
    """To whom callbacks belong: a process that may stand still for a while."""

    is_paused: bool
    held: list[Call]
    tasks: list[asyncio.Task[Any]]


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)


class Stuck(Exception):  # noqa: N818 - what happened
    """Nothing is left to do while somebody still waits, or there is no end to it."""


class Call(asyncio.TimerHandle):
    """A callback, when it is due, and whose it is. Made thousands of times: its base class is not asked."""

    __slots__ = ("args", "callback", "context", "due", "is_cancelled", "owner")

    def __init__(self, due: float, callback: Callable[..., Any], args: tuple[Any, ...], context: Context) -> None:
        self.due, self.callback, self.args, self.context = due, callback, args, context
        self.owner = context.get(OWNER)
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.due


class VirtualLoop(asyncio.AbstractEventLoop):
    """What asyncio asks of a loop, as far as nobody wants I/O."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ready: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._numbers = count()
        self._turns = 0
        self.unhandled: list[dict[str, Any]] = []  # what no task was waiting for

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run until this has ended. Raises: Stuck, and what it raises."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            self._turn_until_done(task)
            result: T = task.result()
            return result
        finally:
            asyncio._set_running_loop(None)

    def _turn_until_done(self, task: asyncio.Task[Any]) -> None:
        """A hot loop: thousands of turns in each simulation."""
        ready, timers = self._ready, self._timers
        while not task.done():
            self._now += TURN_S
            self._turns += 1
            if self._turns > TURNS_MAX:
                raise Stuck(f"no end in sight after {TURNS_MAX:,} turns, at {self._now:.3f} s")
            if not ready or (timers and timers[0][0] <= self._now):
                self._take_what_is_due()
            call = ready.popleft()
            if call.is_cancelled:
                continue
            if call.owner is not None and call.owner.is_paused:
                call.owner.held.append(call)
            else:
                call.context.run(call.callback, *call.args)

    def _take_what_is_due(self) -> None:
        """The timers that have run out; when nothing else is ready, time jumps to the first of them."""
        timers = self._timers
        while timers and (timers[0][0] <= self._now or not self._ready):
            when, _, call = heapq.heappop(timers)
            if not call.is_cancelled:
                self._now = max(self._now, when)
                self._ready.append(call)
        if not self._ready:
            raise Stuck(f"nothing is left to do at {self._now:.3f} s")

    def resume(self, held: list[Call]) -> None:
        """Go on with what was held, in its order."""
        self._ready.extend(held)
        held.clear()

    def time(self) -> float:
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Call:  # type: ignore[override]
        call = Call(self._now, callback, args, copy_context() if context is None else context)
        self._ready.append(call)
        return call

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Call:  # type: ignore[override]
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Call:  # type: ignore[override]
        call = Call(when, callback, args, copy_context() if context is None else context)
        heapq.heappush(self._timers, (when, next(self._numbers), call))
        return call

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> Any:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None:
            owner.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.unhandled.append(context)


def virtual_loop() -> VirtualLoop:
    return VirtualLoop()  # type: ignore[abstract]  # without what is asked of a loop by I/O only
