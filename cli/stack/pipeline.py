"""What runs on the stack: topics, catalogs, read models, processors and a projector."""

from __future__ import annotations

import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from broker.catalogs import submit
from broker.topics import create_topics, wanted_topics
from cli import kafka
from cli.catalog_files import CatalogFile
from cli.settings import Settings
from cli.stack.child import Child
from cli.stack.local import LocalStack
from cli.stack.ports import LOCALHOST, free_ports
from processor.evaluator.compile import compile_catalog
from projections.database import connect
from projections.migrations import runner
from replays.publication import beside_replays
from schemas.catalog import read_catalog
from schemas.errors import LaurelError, Precondition

CHECKOUT = Path(__file__).resolve().parents[2]
READY_SECONDS = 60.0
ASK_SECONDS = 2.0
POLL_SECONDS = 0.1
OWNED = re.compile(r'^laurel_users\{partition="(\d+)"\}', re.MULTILINE)


class Process(NamedTuple):
    """A child of ours and where it tells its metrics."""

    child: Child
    metrics: str


class Pipeline(NamedTuple):
    settings: Settings
    processes: list[Process]


@contextmanager
def running(stack: LocalStack, catalogs: Sequence[CatalogFile], workers: int = 1) -> Iterator[Pipeline]:
    """The stack with everything on it, ready. What takes a while is said on stderr."""
    _say("starting Kafka and Postgres")
    with stack:
        settings = settings_on(stack)
        _say("making topics, catalogs and read models")
        prepare(settings, catalogs)
        _say("starting processor and projector")
        processes = start_processes(stack, settings, workers)
        await_ready(processes, settings.partitions)
        yield Pipeline(settings, processes)


def _say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def settings_on(stack: LocalStack) -> Settings:
    """The environment's settings with the stack's addresses."""
    return Settings(kafka=stack.kafka, postgres=SecretStr(stack.postgres))


def prepare(settings: Settings, catalogs: Sequence[CatalogFile]) -> None:
    """Read models, topics and catalogs, each only where it is missing. Raises: LaurelError."""
    database = settings.database
    with connect(database) as connection:
        runner.upgrade(connection, database.names.postgres_schema, runner.migration_files(), dry_run=False)
    kafka.run(_publish(settings, catalogs))


async def _publish(settings: Settings, catalogs: Sequence[CatalogFile]) -> None:
    read = [read_catalog(file.text, file.name) for file in catalogs]  # a bad one before anything is made
    sources = [event.topic for catalog in read for event in catalog.events.values() if event.topic is not None]
    await create_topics(settings.kafka, wanted_topics(settings.names, sources, settings.partitions))
    beside = beside_replays(lambda: settings.database, is_named=True)
    for file in catalogs:
        await submit(settings.kafka, settings.names, file.text, file.name, compile_catalog, beside=beside)


def start_processes(stack: LocalStack, settings: Settings, workers: int = 1) -> list[Process]:
    """`workers` processors named processor, processor-2, …; and a projector."""
    names = ["processor", *(f"processor-{number}" for number in range(2, workers + 1))]
    commands = [(name, "worker") for name in names] + [("projector", "projector")]
    ports = free_ports(len(commands))
    return [
        _start(stack, settings, name, command, port) for (name, command), port in zip(commands, ports, strict=True)
    ]


def _start(stack: LocalStack, settings: Settings, name: str, command: str, port: int) -> Process:
    extra = {"LAUREL_METRICS_PORT": str(port)}
    if "kafka" in stack.children:  # else another stack may have processes of these names in the same group
        extra["LAUREL_MEMBER_ID"] = name  # one that fell takes its partitions up again at once
    return Process(_run(stack, settings, name, command, extra), f"http://{LOCALHOST}:{port}/metrics")


def start_replayer(stack: LocalStack, settings: Settings) -> Child:
    """Nobody waits for it: it has something to do when somebody starts a replay."""
    return _run(stack, settings, "replayer", "replayer", {})


def _run(stack: LocalStack, settings: Settings, name: str, command: str, extra: dict[str, str]) -> Child:
    env = {
        "LAUREL_KAFKA": stack.kafka,
        "LAUREL_POSTGRES": stack.postgres,
        "LAUREL_NAMESPACE": settings.namespace,
        "PYTHONPATH": str(CHECKOUT),
    }
    return stack.run(name, [sys.executable, "-P", "-m", "cli.main", command], env | extra)


def await_ready(processes: Sequence[Process], partitions: int) -> None:
    """Until every partition has a processor and the projector answers. Raises: LaurelError, Precondition."""
    deadline = time.monotonic() + READY_SECONDS
    while not _all_ready(processes, partitions):
        for process in processes:
            refuse_final_exit(process.child)
        if time.monotonic() > deadline:
            late = processes[0].child
            raise LaurelError(
                f"not all partitions have a processor after {READY_SECONDS:g} s, log {late.order.log}:\n"
                f"{late.last_lines()}"
            )
        time.sleep(POLL_SECONDS)


def refuse_final_exit(child: Child) -> None:
    """Raises: Precondition when it ended in a way that a restart would not mend."""
    if not child.alive and not child.has_fallen:
        raise Precondition(f"'{child.name}' ended, log {child.order.log}:\n{child.last_lines()}")


def _all_ready(processes: Sequence[Process], partitions: int) -> bool:
    told = [_metrics(process) for process in processes]
    owned = {number for text in told if text for number in OWNED.findall(text)}
    return all(told) and len(owned) == partitions


def _metrics(process: Process) -> str | None:
    try:
        with urllib.request.urlopen(process.metrics, timeout=ASK_SECONDS) as answer:
            text: str = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None
    return text
