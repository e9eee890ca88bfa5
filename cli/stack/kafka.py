"""A real Apache Kafka: one process that is broker and controller."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from cli.stack import jars
from cli.stack.child import Child, Order
from cli.stack.java import find_java
from cli.stack.keeper import Keeper
from cli.stack.ports import LOCALHOST, free_ports
from schemas.errors import LaurelError

READY_SECONDS = 90.0
ASK_SECONDS = 2.0
ASK_MS = 2000
POLL_SECONDS = 0.1
PORT_ATTEMPTS = 3
PORT_TAKEN = re.compile(r"Address already in use|BindException")
RECORD_BYTES_MAX = 4 * 1024 * 1024
COMPACTED_BYTES_PER_S = 128 * 1024 * 1024  # read and written; unbounded it has a core for seconds
META = "meta.properties"
META_LINES = "version=1\nnode.id=1\ncluster.id={cluster}\ndirectory.id={folder}\n"
FEATURE_LEVELS = "bootstrap.checkpoint"
LOGGING = Path(__file__).with_name("log4j2.properties")

QUIET_FLAGS = ("-XX:-UsePerfData", "-Djava.awt.headless=true", f"-Dlog4j2.configurationFile={LOGGING}")
QUICK_START = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
BENCH = ("-Xms1g", "-Xmx1g", "-XX:+UseG1GC")


class SecondWay(NamedTuple):
    """Another listener of the broker, whose clients are told to come to `told` instead: a proxy stands there."""

    port: int
    told: int


def properties(data: Path, port: int, controller_port: int, second: SecondWay | None = None) -> str:
    """One node, internal topics of 8 partitions (50 are slow to create), nothing created by accident.

    After a kill the broker is let in again when its old session has ended: 4 s, not 9.
    Records carry the time of their append, and are kept: a publisher's event times would lose old history
    to retention.
    """
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{LOCALHOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOCALHOST}:{port},CONTROLLER://{LOCALHOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOCALHOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data / "log",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.num.partitions": 8,
        "transaction.state.log.min.isr": 1,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "broker.heartbeat.interval.ms": 1000,
        "broker.session.timeout.ms": 4000,
        "message.max.bytes": RECORD_BYTES_MAX,
        "log.message.timestamp.type": "LogAppendTime",
        "log.retention.ms": -1,
        "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
        "log.cleaner.io.max.bytes.per.second": COMPACTED_BYTES_PER_S,
    }
    if second is not None:
        settings |= {
            "listeners": f"{settings['listeners']},PROXIED://{LOCALHOST}:{second.port}",
            "advertised.listeners": f"{settings['advertised.listeners']},PROXIED://{LOCALHOST}:{second.told}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
        }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


class Kafka:
    """Start, and be sure that it answers. `flags` are the JVM's; `core` pins it to one core.

    With a `proxy_port` the broker has a second listener, at `behind_proxy`, for a proxy of the caller's.
    """

    def __init__(
        self,
        data: Path,
        log: Path,
        flags: tuple[str, ...],
        core: int | None,
        temporary: bool,
        proxy_port: int | None = None,
    ) -> None:
        self._data = data
        self._log = log
        self._flags = flags
        self._core = core
        self._temporary = temporary
        self._proxy_port = proxy_port
        self.behind_proxy = ""

    def start(self, keeper: Keeper) -> tuple[Child, str]:
        """The broker and its address. Raises: LaurelError with what it said last."""
        (self._data / "tmp").mkdir(parents=True, exist_ok=True)
        java = [str(find_java()), *QUIET_FLAGS, f"-Djava.io.tmpdir={self._data / 'tmp'}", *self._flags]
        java += ["-cp", jars.class_path()]
        for attempt in range(1, PORT_ATTEMPTS + 1):
            port, controller_port, second_port = free_ports(3)
            config = self._configure(port, controller_port, second_port)
            self._format(keeper, java, config)
            child = Child(self._order("kafka", [*java, "kafka.Kafka", str(config)]))
            keeper.start(child)
            try:
                return child, self._await_ready(child, f"{LOCALHOST}:{port}")
            except LaurelError:
                child.kill()
                if attempt == PORT_ATTEMPTS or not PORT_TAKEN.search(child.last_lines()):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _configure(self, port: int, controller_port: int, second_port: int) -> Path:
        config, second = self._data / "server.properties", None
        if self._proxy_port is not None:
            second = SecondWay(second_port, self._proxy_port)
            self.behind_proxy = f"{LOCALHOST}:{second_port}"
        config.write_text(properties(self._data, port, controller_port, second))
        return config

    def _order(self, name: str, argv: list[str]) -> Order:
        stop = signal.SIGKILL if self._temporary else signal.SIGTERM  # nobody will read what it would save
        return Order(name, tuple(argv), self._log, core=self._core, stop=stop)

    def _format(self, keeper: Keeper, java: list[str], config: Path) -> None:
        """Kafka's own tool once; then by hand, with the feature levels that the tool wrote: a second saved."""
        storage, levels = self._data / "log", jars.class_folder() / FEATURE_LEVELS
        if (storage / META).exists():
            return
        if levels.exists():
            storage.mkdir(exist_ok=True)
            shutil.copy(levels, storage / FEATURE_LEVELS)
            (storage / META).write_text(META_LINES.format(cluster=new_id(), folder=new_id()))
            return
        tool = ["kafka.tools.StorageTool", "format", "-t", new_id(), "-c", str(config)]
        keeper.run_to_end(Child(self._order("kafka format", [*java, *tool])), READY_SECONDS)
        with suppress(OSError):  # a cache that cannot be written costs the second again
            draft = levels.with_name(f"{FEATURE_LEVELS}.{os.getpid()}")
            shutil.copy(storage / FEATURE_LEVELS, draft)
            draft.replace(levels)

    def _await_ready(self, child: Child, address: str) -> str:
        deadline = time.monotonic() + READY_SECONDS
        while child.alive and time.monotonic() < deadline:
            if asyncio.run(answers(address)):
                return address
            time.sleep(POLL_SECONDS)
        what = "does not answer" if child.alive else f"ended with exit code {child.exit_code()}"
        raise LaurelError(f"Kafka {what} at {address}, log {self._log}:\n{child.last_lines()}")


def new_id() -> str:
    """16 bytes as Kafka writes them; the first is fixed, since a leading '-' would read as an option."""
    return base64.urlsafe_b64encode(b"L" + secrets.token_bytes(15)).decode().rstrip("=")


async def answers(address: str) -> bool:
    """Whether the broker names itself in the cluster's metadata."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=ASK_MS)
    with _refusals_unlogged():
        try:
            await asyncio.wait_for(admin.start(), ASK_SECONDS)
            cluster = await asyncio.wait_for(admin.describe_cluster(), ASK_SECONDS)
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await admin.close()
    return bool(cluster["brokers"])


@contextmanager
def _refusals_unlogged() -> Iterator[None]:
    """Until the broker listens each refused connection would be an error line of aiokafka's."""
    log = logging.getLogger("aiokafka")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
