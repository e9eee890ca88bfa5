"""Simulated processes: started, paused, killed; and what they ask of a server, which takes its time."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from random import Random
from typing import Any, NoReturn, TypeVar

from simulation.loop import OWNER, Call, VirtualLoop

ANSWER_S_MAX = 0.02
SLOW_ANSWER_S_MAX = 1.5
NOBODY = Context()  # what happens in it belongs to no process: it goes on whoever dies

T = TypeVar("T")


class Died(BaseException):
    """Unwinds what a killed process was doing. Nothing that it still tries has an effect."""


class Process:
    """What would be an operating system's process: callbacks and tasks with a common fate."""

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        self.name = name
        self.is_paused = self.is_dead = False
        self.held: list[Call] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.when_silent: list[Callable[[], None]] = []  # paused or dead
        self.silences = 0
        self.why = ""
        self.bugs: list[str] = []
        self._loop = loop

    def start(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        context = copy_context()
        context.run(OWNER.set, self)
        context.run(lambda: self._loop.create_task(main()))

    def pause(self) -> None:
        """Stand still, as by SIGSTOP: nothing of it runs, whatever its timers and connections do."""
        if not self.is_dead:
            self.is_paused = True
            self._fall_silent()

    def wake(self) -> None:
        self.is_paused = False
        self._loop.resume(self.held)

    def kill(self, why: str) -> None:
        """End, as by SIGKILL: nothing that it would still do has an effect."""
        if self.is_dead:
            return
        self.is_dead, self.why = True, why
        self.wake()
        present = asyncio.current_task(self._loop)
        for task in self.tasks:
            if task is not present and not task.done():
                task.cancel()
        self._fall_silent()

    def _fall_silent(self) -> None:
        self.silences += 1
        for told in self.when_silent:
            told()

    async def guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Any error that nobody foresaw ends the process, and is a finding."""
        try:
            await work
        except Exception as bug:
            self.bugs.append("".join(traceback.format_exception(bug)))
            self.leave(f"{type(bug).__name__}")

    def leave(self, why: str, *, code: int = 70) -> NoReturn:
        """What processor/kafka/exit.py does to a real one."""
        self.kill(f"left: {why} ({code})")
        raise Died

    def check(self) -> None:
        """Raises: Died."""
        if self.is_dead:
            raise Died


class Lost(Exception):  # noqa: N818 - what happened
    """No answer came, and none will."""


class Line:
    """A process's way to a server: what is asked arrives after a while, is answered after another, or is lost."""

    def __init__(self, process: Process, loop: VirtualLoop, chance: Random, weather: Weather) -> None:
        self.process, self._loop, self._chance, self._weather = process, loop, chance, weather

    async def ask(self, serve: Callable[[], T], what: str = "") -> T:
        """What the server says. Raises: Lost, Died, and what the server raises."""
        if self.process.is_paused:
            await asyncio.sleep(0)  # which is held until the process wakes
        self.process.check()
        answer: asyncio.Future[T] = self._loop.create_future()
        fate = self._weather.fate(what)
        self._loop.call_later(self._delay(), self._serve, serve, answer, fate, context=NOBODY)
        result = await answer
        self.process.check()
        return result

    def _serve(self, serve: Callable[[], T], answer: asyncio.Future[T], fate: str) -> None:
        in_flight_lost = self.process.is_dead and self._chance.random() < 0.5
        result, error = None, None
        if fate != "request lost" and not in_flight_lost:
            try:
                result = serve()
            except Exception as refused:
                error = refused
        if fate == "no answer":
            return
        if fate in ("request lost", "answer lost"):
            error = Lost(fate)
        self._loop.call_later(self._delay(), _answer, answer, result, error, context=NOBODY)

    def _delay(self) -> float:
        slow = self._chance.random() < self._weather.slow
        return self._chance.random() * (SLOW_ANSWER_S_MAX if slow else ANSWER_S_MAX)


def _answer(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if answer.done():
        return  # whoever asked is gone
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)


class Weather:
    """How often what goes wrong on the lines. Shapes: losses, what is asked -> likelihood; `slow`, a likelihood."""

    FATES = ("request lost", "answer lost", "no answer")

    def __init__(self, chance: Random, losses: dict[str, float], slow: float, seen: Callable[[str], None]) -> None:
        self._chance, self._losses, self.slow, self._seen = chance, losses, slow, seen

    def fate(self, what: str) -> str:
        likelihood = self._losses.get(what, 0.0)
        if not likelihood or self._chance.random() >= likelihood:
            return ""
        fate = self._chance.choice(self.FATES)
        self._seen(f"{fate}: {what}")
        return fate

    def clear(self) -> None:
        """Nothing is lost any more."""
        self._losses, self.slow = {}, 0.0
