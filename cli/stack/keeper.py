"""The thread that starts every child and starts ours again.

One thread for all of it: Linux ties a child's death signal to the *thread* that started it, so a child started
from a short-lived thread would be killed in the middle of its work.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress

from cli.stack.child import Child
from schemas.errors import LaurelError

LOOK_SECONDS = 0.1
BACKOFF_SECONDS_FIRST = 0.2
BACKOFF_SECONDS_MAX = 10.0
DOUBLINGS_MAX = 10
HEALTHY_SECONDS = 30.0


class Keeper:
    """Starts children, watches them, restarts the fallen with a growing pause."""

    def __init__(self, on_change: Callable[[Iterable[Child]], None]) -> None:
        self.children: dict[str, Child] = {}
        self._on_change = on_change
        self._orders: queue.Queue[tuple[Child, Future[None]] | None] = queue.Queue()
        self._falls: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._refusing = False
        self._starting = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._thread.start()

    def start(self, child: Child) -> None:
        """Return when the child's process exists. Raises: OSError; LaurelError once everything is to end."""
        done: Future[None] = Future()
        self._orders.put((child, done))
        done.result()

    def run_to_end(self, child: Child, seconds: float) -> None:
        """Start it and wait for its good end. Raises: LaurelError with what it said last."""
        self.start(child)
        ended = child.wait(seconds)
        child.kill()
        self.children.pop(child.name, None)
        if not ended or child.exit_code():
            what = f"failed with exit code {child.exit_code()}" if ended else f"is not done after {seconds:g} s"
            raise LaurelError(f"'{child.name}' {what}, log {child.order.log}:\n{child.last_lines()}")

    def refuse(self) -> None:
        """Start and restart nothing any more."""
        with self._starting:
            self._refusing = True

    def close(self) -> None:
        """End the thread, after its children: they die with it."""
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            try:
                order = self._orders.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                self._restart_the_fallen()
                continue
            if order is None:
                return
            self._start(*order)

    def _start(self, child: Child, done: Future[None]) -> None:
        try:
            self._spawn(child)
        except (OSError, LaurelError) as failure:
            done.set_exception(failure)
        else:
            done.set_result(None)

    def _spawn(self, child: Child) -> None:
        with self._starting:
            if self._refusing:
                raise LaurelError(f"'{child.name}' is not started: the stack is ending")
            child.start()
            self.children[child.name] = child
            self._on_change(self.children.values())

    def _restart_the_fallen(self) -> None:
        for child in list(self.children.values()):
            if child.has_fallen and self._is_due(child):
                child.restarts += 1
                with suppress(OSError, LaurelError):  # no memory, no disk: due again after a longer pause
                    self._spawn(child)

    def _is_due(self, child: Child) -> bool:
        """Set the pause when the exit is first seen; say when it is over."""
        now = time.monotonic()
        if child.name not in self._due:
            healthy = now - child.started > HEALTHY_SECONDS
            self._falls[child.name] = 0 if healthy else self._falls.get(child.name, -1) + 1
            self._due[child.name] = now + pause_after(self._falls[child.name])
        if now < self._due[child.name]:
            return False
        del self._due[child.name]
        return True


def pause_after(falls: int) -> float:
    """Seconds before a restart; `falls` counts those before it in a row."""
    return min(BACKOFF_SECONDS_FIRST * 2.0 ** min(falls, DOUBLINGS_MAX), BACKOFF_SECONDS_MAX)
