"""How fast the projector is: real outcomes and states on a real Kafka, into a real Postgres, its rows checked.

The projector, Kafka and Postgres share the machine; nothing is pinned. Postgres runs as the local stack ships it:
its defaults, fsync on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psycopg
from pydantic import SecretStr

from bench import projected
from bench.projected import QUERIES, Given
from broker.catalogs import submit
from broker.connections import producer
from broker.positions import Positions, last_stable_offsets
from broker.producing import Outgoing, Publisher
from broker.topics import create_topics, wanted_topics
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.kafka import BENCH
from processor.evaluator.compile import compile_catalog
from projections.database import connect
from projections.migrations.runner import migration_files, upgrade
from projections.settings import DatabaseSettings
from schemas.errors import LaurelError
from schemas.program import CatalogRecord
from schemas.topics import Names

PARTITIONS = 8
RECORDS_OF_A_TRANSACTION = 4_000
DRAIN_TIMEOUT_S = 600.0
POLL_S = 0.02
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Say = Callable[[str], None]
Make = Callable[[CatalogRecord, int], Given]


class Subject(NamedTuple):
    """Something the projector is measured at."""

    what: str
    topic: Callable[[Names], str]
    make: Make


SUBJECTS = {
    "all": Subject(
        "announced unlocks, into user_achievement, notification and notification_delivery",
        lambda names: names.outcomes,
        lambda record, count: projected.outcomes(record.program, count, announce=True),
    ),
    "single": Subject(
        "unlocks that are not announced, into user_achievement alone",
        lambda names: names.outcomes,
        lambda record, count: projected.outcomes(record.program, count, announce=False),
    ),
    "progress": Subject(
        "states, into user_progress",
        lambda names: names.changelog,
        lambda record, count: projected.states(record.program, record.ledger, count),
    ),
}


class Measured(NamedTuple):
    """What one subject took.

    Units: wall from the moment at which the projector knew where to begin until Postgres held the end of the
    topic; CPU of the projector's process, of all of Postgres's and of Kafka's in that time, per million records. It
    counts only when `correct`: every row equals what was published, none is there twice.
    """

    subject: str
    records: int
    rows: int
    wall_s: float
    records_per_s: int
    rows_per_s: int
    client_cpu_s_per_million: float
    server_cpu_s_per_million: float
    broker_cpu_s_per_million: float
    peak_rss_mb: int
    correct: bool
    faults: list[str]


class Spent(NamedTuple):
    """Seconds of CPU until now."""

    client: float
    server: float
    broker: float


def measure(job: Path, count: int, subjects: Iterable[str], say: Say) -> list[Measured]:
    """Each subject once, in a namespace of its own, all in one stack."""
    environ = {name: value for name, value in os.environ.items() if name not in ("LAUREL_KAFKA", "LAUREL_POSTGRES")}
    with LocalStack(ephemeral=True, kafka_flags=BENCH, environ=environ) as stack:
        return [_measure(stack, job, name, count, say) for name in subjects]


def _measure(stack: LocalStack, job: Path, name: str, count: int, say: Say) -> Measured:
    subject, names = SUBJECTS[name], Names(f"bench_{name}")
    settings = DatabaseSettings(postgres=SecretStr(stack.postgres), namespace=names.namespace)
    with connect(settings) as database:
        say(f"publishing {count:,} {subject.what}")
        upgrade(database, names.postgres_schema, migration_files())
        given, ends = asyncio.run(_publish(stack.kafka, names, subject, job.read_text(), count))
        database.execute("checkpoint")
        say("the projector drains the topic")
        child = stack.run(f"projector-{name}", [sys.executable, "-m", "cli.main", "projector"], _told(stack, names))
        wall_s, spent = _drain(stack, child, database, subject.topic(names), ends)
        peak_rss_mb = _peak_rss_mb(child.pid)
        _stop(child)
        say("comparing the rows")
        faults = [fault for table, rows in given.rows.items() for fault in _faults(database, table, rows)]
    rows = sum(len(rows) for rows in given.rows.values())
    return _measured(name, count, rows, wall_s, spent, peak_rss_mb, faults)


def _told(stack: LocalStack, names: Names) -> dict[str, str]:
    return {"LAUREL_KAFKA": stack.kafka, "LAUREL_POSTGRES": stack.postgres, "LAUREL_NAMESPACE": names.namespace}


async def _publish(
    bootstrap: str, names: Names, subject: Subject, job: str, count: int
) -> tuple[Given, Mapping[int, int]]:
    """In transactions, as the processor does; returns where the partitions of the topic end."""
    topic = subject.topic(names)
    await create_topics(bootstrap, wanted_topics(names, [], PARTITIONS))
    record = (await submit(bootstrap, names, job, "job.yaml", compile_catalog)).record
    given = subject.make(record, count)
    async with producer(bootstrap, transactional_id=f"{names.namespace}-bench") as client:
        publisher = Publisher(client, {topic: PARTITIONS})
        for start in range(0, count, RECORDS_OF_A_TRANSACTION):
            part = given.records[start : start + RECORDS_OF_A_TRANSACTION]
            async with client.transaction():
                for partition, (key, value) in product(range(PARTITIONS), given.heads):
                    await client.send(topic, value, key, partition=partition)
                await publisher.send_all(Outgoing(topic, key, value) for key, value in part)
    ends: Positions = await last_stable_offsets(bootstrap, [(topic, number) for number in range(PARTITIONS)])
    return given, {partition: end for (_, partition), end in ends.items()}


def _drain(
    stack: LocalStack, child: Child, database: psycopg.Connection, topic: str, ends: Mapping[int, int]
) -> tuple[float, Spent]:
    """Seconds from the first position there is to the last, and the CPU spent in them."""
    began, before = 0.0, Spent(0, 0, 0)
    deadline = time.monotonic() + DRAIN_TIMEOUT_S
    while (positions := _positions(database, topic)) != ends:
        if positions and not began:
            began, before = time.monotonic(), _spent(stack, child)
        if not child.alive or time.monotonic() > deadline:
            raise LaurelError(
                f"the projector stopped at {positions} of {ends}: its log ends with\n{child.last_lines()}"
            )
        time.sleep(POLL_S)
    wall_s, after = time.monotonic() - began, _spent(stack, child)
    return wall_s, Spent(*(late - early for late, early in zip(after, before, strict=True)))


def _positions(database: psycopg.Connection, topic: str) -> dict[int, int]:
    query = "select partition, next_position from projection_position where topic = %s"
    return dict(database.execute(query, [topic]).fetchall())


def _spent(stack: LocalStack, child: Child) -> Spent:
    postgres, kafka = (stack.children[name].pid for name in ("postgres", "kafka"))
    return Spent(_cpu_s({child.pid}), _cpu_s(_family(postgres)), _cpu_s({kafka}))


def _cpu_s(pids: Iterable[int]) -> float:
    """Of these processes and of their children that ended."""
    return sum(sum(map(int, fields[11:15])) for fields in map(_stat, pids) if fields) / TICKS_PER_S


def _family(parent: int) -> set[int]:
    """A process and its children; Postgres has no grandchildren."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return {parent, *(pid for pid in pids if (fields := _stat(pid)) and int(fields[1]) == parent)}


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the state on; none when it ended. Source: proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _peak_rss_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _stop(child: Child) -> None:
    child.restart = False
    child.ask_to_stop()
    if not child.wait(30):
        raise LaurelError(f"the projector did not stop: its log ends with\n{child.last_lines()}")


def _faults(database: psycopg.Connection, table: str, wanted: list[projected.Row]) -> list[str]:
    found = database.execute(QUERIES[table].encode()).fetchall()
    return projected.faults(table, wanted, found)


def _measured(
    name: str, records: int, rows: int, wall_s: float, spent: Spent, peak_rss_mb: int, faults: list[str]
) -> Measured:
    return Measured(
        subject=name,
        records=records,
        rows=rows,
        wall_s=round(wall_s, 2),
        records_per_s=round(records / wall_s),
        rows_per_s=round(rows / wall_s),
        client_cpu_s_per_million=round(spent.client / records * 1e6, 2),
        server_cpu_s_per_million=round(spent.server / records * 1e6, 2),
        broker_cpu_s_per_million=round(spent.broker / records * 1e6, 2),
        peak_rss_mb=peak_rss_mb,
        correct=not faults,
        faults=faults,
    )


def summary(measured: Iterable[Measured], subject: str) -> dict[str, Any]:
    """The median run of a subject, and how far the others lie from it."""
    runs = sorted((each for each in measured if each.subject == subject), key=lambda each: each.records_per_s)
    speeds = [each.records_per_s for each in runs]
    return {
        **runs[(len(runs) - 1) // 2]._asdict(),
        "what": SUBJECTS[subject].what,
        "runs": len(runs),
        "records_per_s_spread": {"min": speeds[0], "median": round(median(speeds)), "max": speeds[-1]},
        "correct": all(each.correct for each in runs),
        "faults": [fault for each in runs for fault in each.faults][:3],
    }
