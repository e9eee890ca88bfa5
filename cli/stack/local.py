"""The local stack: a real Kafka, a real Postgres and processes of ours, alive exactly as long as we are."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from cli.stack import jars
from cli.stack.child import STOP_SECONDS, Child, Order
from cli.stack.folder import DataFolder
from cli.stack.kafka import QUICK_START, Kafka
from cli.stack.keeper import Keeper
from cli.stack.postgres import Postgres

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGINT too: a shell ignores it for `laurel dev &`


class LocalStack:
    """Started on entering, stopped in reverse order on leaving, whatever the reason.

    `kafka` and `postgres` are addresses. What is configured (LAUREL_KAFKA, LAUREL_POSTGRES in `environ`) is
    used as it is, and nothing is started for it. Without a data folder the stack lives in a temporary one.
    Whoever comes to the broker by `kafka_behind_proxy` is sent to `kafka_proxy_port`, where the caller has a proxy.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        ephemeral: bool = False,
        kafka_flags: tuple[str, ...] = QUICK_START,
        kafka_core: int | None = None,
        environ: Mapping[str, str] | None = None,
        kafka_proxy_port: int | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._kafka_flags = kafka_flags
        self._kafka_core = kafka_core
        self._kafka_proxy_port = kafka_proxy_port
        self._folder = DataFolder(None if ephemeral else data_dir)
        self._handlers: dict[int, Any] = {}
        self.kafka_behind_proxy = ""
        self.kafka = self._environ.get("LAUREL_KAFKA", "")
        self.postgres = self._environ.get("LAUREL_POSTGRES", "")

    @property
    def data_dir(self) -> Path:
        return self._folder.path

    def __enter__(self) -> Self:
        self._folder.open()
        self._keeper = Keeper(on_change=self._folder.remember)
        try:
            self._end_on_signals()
            self._start_servers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def children(self) -> dict[str, Child]:
        return self._keeper.children

    def run(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None, *, restart: bool = True
    ) -> Child:
        """Add a process of ours. `env` comes on top of our own; a non-zero exit starts it again."""
        whole = {**os.environ, **(env or {})}
        child = Child(Order(name, tuple(argv), self._fresh_log(name), env=whole, restart=restart))
        self._keeper.start(child)
        return child

    def run_again(self, child: Child) -> None:
        """Start a child that ended, whatever its exit code."""
        self._keeper.start(child)

    def log_of(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _fresh_log(self, name: str) -> Path:
        """A file for this run; that of the run before is kept beside it."""
        log = self.log_of(name)
        log.parent.mkdir(exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        return log

    def _start_servers(self) -> None:
        """Both at once: each waits mostly for itself."""
        boots = []
        if not self.kafka:
            jars.class_path()  # here, where an interruption ends the download
            boots.append(self._start_kafka)
        if not self.postgres:
            boots.append(self._start_postgres)
        with ThreadPoolExecutor(2) as pool:
            try:
                for started in as_completed([pool.submit(boot) for boot in boots]):
                    started.result()
            except BaseException:
                self._kill()  # else the pool would wait for the other one to be ready
                raise

    def _start_kafka(self) -> None:
        data, log = self.data_dir / "kafka", self._fresh_log("kafka")
        flags, core, proxy = self._kafka_flags, self._kafka_core, self._kafka_proxy_port
        server = Kafka(data, log, flags, core, self._folder.temporary, proxy)
        child, self.kafka = server.start(self._keeper)
        self.kafka_behind_proxy = server.behind_proxy
        child.restart = True

    def _start_postgres(self) -> None:
        data, log = self.data_dir / "postgres", self._fresh_log("postgres")
        server = Postgres(data, log, self._folder.temporary)
        child, self.postgres = server.start(self._keeper)
        child.restart = True

    def _end_on_signals(self) -> None:
        """A polite end from outside is one from inside: leave the `with` block."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {each: signal.signal(each, _leave) for each in ENDINGS}

    def _stop(self) -> None:
        """In reverse order, each with its time to finish. A second interruption kills at once."""
        self._keeper.refuse()
        try:
            for child in reversed(self.children.values()):
                child.ask_to_stop()
                child.wait(STOP_SECONDS)
                child.kill()
        finally:
            self._kill()
            self._keeper.close()
            self._folder.close()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _kill(self) -> None:
        self._keeper.refuse()
        for child in reversed(self.children.values()):
            child.kill()


def _leave(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # like Ctrl-C, which also a test run understands
