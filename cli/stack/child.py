"""One child process of the supervisor: how it is started, told to stop, and what it said last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from schemas.errors import LaurelError, Precondition

SHIM = Path(__file__).with_name("shim.py")
FINAL_EXITS = (0, Precondition.exit_code)  # done, or waiting until somebody does something
STOP_SECONDS = 10.0
KILLED_SECONDS = 5.0
TAIL_LINES = 30
TAIL_BYTES_MAX = 64 * 1024
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Order:
    """What to start, and how it is to end.

    `stop` is the polite signal, `orphaned` what the child gets when the supervisor is killed. A child of ours
    (`restart`) is started again when it exits non-zero. `watched` uses a pipe where Linux would use the kernel.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: Path | None = None
    user: int | None = None
    core: int | None = None
    restart: bool = False
    stop: signal.Signals = signal.SIGTERM
    orphaned: signal.Signals = signal.SIGKILL
    watched: bool = not sys.platform.startswith("linux")


class Child:
    """A running (or ended) order. Only the keeper's thread may start it: the kernel ties it to that thread."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.restarts = 0
        self.restart = order.restart
        self.started = 0.0
        self._log_start = 0
        self._lifeline: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.order.name

    @property
    def pid(self) -> int:
        if self._process is None:
            raise LaurelError(f"'{self.name}' was never started")
        return self._process.pid

    def start(self) -> None:
        self.order.log.parent.mkdir(parents=True, exist_ok=True)
        with self.order.log.open("ab") as log, self._lifeline_end() as pipe:
            self._log_start = log.tell()
            self._process = self._spawn(log, pipe)
        self.started = time.monotonic()

    @contextmanager
    def _lifeline_end(self) -> Iterator[int | None]:
        """The end that the child watches. Ours stays open, and is never written to, for as long as we live."""
        if not self.order.watched:
            yield None
            return
        if self._lifeline is not None:
            os.close(self._lifeline)
        theirs, self._lifeline = os.pipe()
        try:
            yield theirs
        finally:
            os.close(theirs)

    def _spawn(self, log: IO[bytes], pipe: int | None) -> subprocess.Popen[bytes]:
        shim = {
            "supervisor": os.getpid(),
            "signal": int(self.order.orphaned),
            "user": self.order.user,
            "core": self.order.core,
            "pipe": pipe,
        }
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(SHIM), json.dumps(shim), *self.order.argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self.order.env,
            cwd=self.order.folder,
            process_group=0,  # and no session: where the kernel groups by them, Kafka's threads would count as one
            pass_fds=() if pipe is None else (pipe,),
        )

    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def has_fallen(self) -> bool:
        """Whether it is to be started again."""
        return self.restart and self.exit_code() not in (None, *FINAL_EXITS)

    def ask_to_stop(self) -> None:
        if self.alive:
            os.kill(self.pid, self.order.stop)

    def kill(self) -> None:
        """End its whole group at once.

        Waits with a bound: a Ctrl-C in the middle of `poll` may leave Popen's lock taken, by nobody, for good.
        """
        if self._process and self.alive:
            os.killpg(self.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(KILLED_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within that time."""
        deadline = time.monotonic() + seconds
        while self.alive and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return not self.alive

    def last_lines(self) -> str:
        """What it wrote since its last start, the last lines of it."""
        with self.order.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES_MAX))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-TAIL_LINES:])
