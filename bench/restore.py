"""How long a worker takes to restore, and what a user costs who has not been touched since.

The states are real: folded by the evaluator from the benchmark's events, for a few users, and given to all users in
turn. They are written to the changelog as the worker writes them, a record a user.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from bench.draining import cpu_s_of
from bench.load import TOPIC, Load, values
from bench.stage import BROKER_CORE, ENGINE_CORE, PARTITIONS, Say
from broker.catalogs import program_of, submit
from broker.connections import producer
from broker.producing import Outgoing, Publisher
from broker.topics import create_topics, wanted_topics
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.kafka import BENCH
from cli.stack.ports import LOCALHOST, free_port
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from schemas.errors import LaurelError
from schemas.program import Program
from schemas.records import PlainRecord
from schemas.topics import Names

CATALOG = Path(__file__).with_name("ten_metrics.yaml")
PATTERNS = 500  # different states
RESTORED_TIMEOUT_S = 300.0
POLL_S = 0.1
ASK_S = 5.0
SECONDS = re.compile(r"^laurel_restore_seconds_sum (\S+)", re.MULTILINE)
USERS = re.compile(r"^laurel_users\{.*\} (\S+)", re.MULTILINE)
RSS = re.compile(r"^VmRSS:\s+(\d+) kB", re.MULTILINE)


class Restored(NamedTuple):
    """A worker that has restored. Units: seconds from fencing to the last partition; CPU since its start."""

    users: int
    seconds: float
    cpu_s: float
    rss_mb: float


def measure(users: int, events_each: int, say: Say) -> dict[str, Any]:
    """Restore nobody, then all of them. Raises: LaurelError."""
    environ = {**os.environ, "LAUREL_POSTGRES": "not used here"}
    environ.pop("LAUREL_KAFKA", None)
    with LocalStack(ephemeral=True, kafka_flags=BENCH, kafka_core=BROKER_CORE, environ=environ) as stack:
        say("a worker restores nobody")
        asyncio.run(_fill(stack.kafka, Names("nobody"), 0, events_each))
        empty = _restored(stack, "nobody", 0)
        say(f"writing the states of {users:,} users")
        state_bytes = asyncio.run(_fill(stack.kafka, Names("everybody"), users, events_each))
        say("a worker restores them")
        full = _restored(stack, "everybody", users)
    return {
        "users": users,
        "state_bytes": round(state_bytes),
        "restore_s": round(full.seconds, 2),
        "restore_cpu_s": round(full.cpu_s - empty.cpu_s, 2),
        "bytes_per_user": round((full.rss_mb - empty.rss_mb) * 2**20 / users),
        "rss_mb": round(full.rss_mb),
        "rss_mb_of_nobody": round(empty.rss_mb),
    }


async def _fill(bootstrap: str, names: Names, users: int, events_each: int) -> float:
    """A namespace whose changelog holds so many users. Returns the bytes of a state."""
    await create_topics(bootstrap, wanted_topics(names, [TOPIC], PARTITIONS))
    submitted = await submit(bootstrap, names, CATALOG.read_text(), CATALOG.name, compile_catalog)
    program, size = program_of([submitted.record], names), 0
    async with producer(bootstrap) as client:
        publisher = Publisher(client, {names.changelog: PARTITIONS})
        for number, row in zip(range(users), cycle(states(program, events_each)), strict=False):
            await publisher.send(Outgoing(names.changelog, f"u{number:07d}".encode(), row))
            size += len(row)
        await publisher.flush()
    return size / max(1, users)


def states(program: Program, events_each: int) -> list[bytes]:
    """The states of some users after so many events each, as a checkpoint writes them."""
    evaluator = PartitionEvaluator(ReadyProgram(program), 0, 1)
    evaluator.fold(TOPIC, [*_records(Load(PATTERNS * events_each, PATTERNS))])
    return [row for _, row in evaluator.cut().states if row is not None]


def _records(load: Load) -> Iterator[PlainRecord]:
    return (PlainRecord(offset, 2**42, key, value) for offset, (key, value) in enumerate(values(load)))


def _restored(stack: LocalStack, namespace: str, users: int) -> Restored:
    port = free_port()
    settings = {"LAUREL_KAFKA": stack.kafka, "LAUREL_NAMESPACE": namespace, "LAUREL_METRICS_PORT": str(port)}
    argv = ["taskset", "-c", str(ENGINE_CORE), sys.executable, "-m", "cli.main", "worker"]
    worker = stack.run(namespace, argv, settings, restart=False)
    try:
        return _await_restored(worker, f"http://{LOCALHOST}:{port}/metrics", users)
    finally:
        worker.kill()


def _await_restored(worker: Child, metrics: str, users: int) -> Restored:
    deadline = time.monotonic() + RESTORED_TIMEOUT_S
    while True:
        text = _metrics(metrics)
        seconds, found = SECONDS.search(text), sum(float(count) for count in USERS.findall(text))
        if seconds and float(seconds.group(1)) > 0 and found == users:
            return Restored(users, float(seconds.group(1)), cpu_s_of(worker.pid), _rss_mb(worker.pid))
        if not worker.alive or time.monotonic() > deadline:
            raise LaurelError(f"{found:,.0f} of {users:,} users are restored, then:\n{worker.last_lines()}")
        time.sleep(POLL_S)


def _metrics(address: str) -> str:
    """What the worker tells; nothing before it does."""
    try:
        with urllib.request.urlopen(address, timeout=ASK_S) as answer:
            text: str = answer.read().decode()
    except (urllib.error.URLError, OSError):
        return ""
    return text


def _rss_mb(pid: int) -> float:
    found = RSS.search(Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) / 1024 if found else 0.0
