"""Where faults happen: a stack of its own, with a proxy before its broker and one before its database."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from cli.faults.loop import BackgroundLoop
from cli.faults.proxy import CommitReplies, EndTxnReplies, Proxy
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.ports import LOCALHOST
from schemas.errors import LaurelError

END_S_MAX = 90.0
POLL_S = 0.05


class Ground:
    """Alive from entering to leaving.

    Shapes: `kafka` and `postgres` are straight ways, for load and checks; `proxied` the environment of processes
    that are to suffer.
    """

    def __enter__(self) -> Self:
        self.loop = BackgroundLoop().__enter__()
        self.kafka_proxy = Proxy(self.loop, EndTxnReplies)
        self.postgres_proxy = Proxy(self.loop, CommitReplies)
        self.stack = LocalStack(ephemeral=True, environ={}, kafka_proxy_port=self.kafka_proxy.port)
        try:
            self.stack.__enter__()
        except BaseException:
            self._close()
            raise
        self.kafka, self.postgres = self.stack.kafka, self.stack.postgres
        self.kafka_proxy.upstream = _address(self.stack.kafka_behind_proxy)
        self.postgres_proxy.upstream = _address(urlsplit(self.postgres).netloc.rpartition("@")[2])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stack.__exit__(kind, failure, trace)
        finally:
            self._close()

    def _close(self) -> None:
        self.kafka_proxy.close()
        self.postgres_proxy.close()
        self.loop.__exit__(None, None, None)

    @property
    def proxied(self) -> Mapping[str, str]:
        straight = urlsplit(self.postgres).netloc
        through = f"{straight.rpartition(':')[0]}:{self.postgres_proxy.port}"
        return {
            "LAUREL_KAFKA": f"{LOCALHOST}:{self.kafka_proxy.port}",
            "LAUREL_POSTGRES": self.postgres.replace(straight, through, 1),
        }

    @property
    def broker(self) -> Child:
        return self.stack.children["kafka"]

    @property
    def database(self) -> Child:
        return self.stack.children["postgres"]


def _address(written: str) -> tuple[str, int]:
    host, _, port = written.rpartition(":")
    return host, int(port)


def signal_child(child: Child, number: signal.Signals) -> None:
    """Send a signal to a child that may have ended."""
    if child.alive:
        os.kill(child.pid, number)


def await_end(child: Child, pid: int) -> None:
    """Until this life of the child is over. Raises: LaurelError."""
    deadline = time.monotonic() + END_S_MAX
    while child.pid == pid and child.alive:
        if time.monotonic() > deadline:
            raise LaurelError(f"'{child.name}' did not end within {END_S_MAX:.0f} s:\n{child.last_lines()}")
        time.sleep(POLL_S)


def is_stopped(pid: int) -> bool:
    """Whether a process got a SIGSTOP and no SIGCONT since."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state == "T"
