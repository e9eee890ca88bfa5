"""What the tests of replays share: a toy catalog that grows, its events, and a deployment that runs."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg import Connection
from pydantic import SecretStr

from bench import reference
from broker.connections import producer
from broker.controls import read_controls
from broker.positions import Positions, last_stable_offsets
from broker.producing import Outgoing, Publisher
from broker.topics import partition_counts
from cli.catalog_files import CatalogFile
from cli.comparison import compare
from cli.settings import Settings
from cli.stack.pipeline import prepare
from cli.visibility import wait_until_visible
from projections.database import connect
from replays.steps import ACTIVATE, BASE, CLOSE, DECIDE, DONE, END, FACTS, PREPARE
from schemas.topics import Names
from tests.integration.demos import Laurel, laurel, wait_until
from tests.servers import Servers

PARTITIONS = 2
USERS = 40
PIECES = 12
FATAL = [(PREPARE, 2), (BASE, 2), (END, 1), (DECIDE, 1), (ACTIVATE, 2), (FACTS, 2), (DONE, 1), (CLOSE, 1)]
"""The steps of a job that nobody cancels, and when the second kill comes: 2 is between the two partitions.

END and DONE come once for sure: when BASE or FACTS of the one is told, those of the other may be behind it.
"""
KILLED = -signal.SIGKILL

BEGINNING = """
catalog: toy
version: {version}
events:
  played: {{topic: {topic}, data: {{piece: string, partner: string?}}}}
  heard: {{topic: {topic}, data: {{piece: string}}}}
metrics:
  plays: {{count: played}}
  pieces: {{distinct: played, by: data.piece}}
"""
PARTNERS = """\
  partners: {distinct: played, by: data.partner}
  days: {streak: played, every: day}
"""
AWARDS = """\
achievements:
  - {key: first_play, name: First, when: plays >= 1}
"""
DUO = """\
  - {key: duo, name: Duo, when: partners >= 2, points: 30}
  - {key: regular, name: Regular, when: {all: [days >= 3, pieces >= 4]}}
"""
EXPLORER = """\
  - {key: explorer, name: Explorer, when: pieces >= 8}
"""
LISTENER = "  hearings: {count: heard}\n"
LISTENED = "  - {key: listener, name: Listener, when: hearings >= 3}\n"
HARDER = """\
achievements:
  - {key: first_play, name: First, when: plays >= 20}
"""

DERIVING = """\
catalog: toy
version: {version}
events:
  played:
    topic: {topic}
    data: {{piece: string, partner: string?}}
    derive: [{{type: accompanied, subject: data.partner, unless_self: true, data: {{piece: data.piece}}}}]
  heard: {{topic: {topic}, data: {{piece: string}}}}
metrics:
  plays: {{count: played}}
  pieces: {{distinct: played, by: data.piece}}
  accompanied: {{count: accompanied}}
"""
GUEST = """\
  - {key: guest, name: Guest, when: accompanied >= 10, points: 30}
"""

LEARNED = "  - {key: learned, name: Learned, on: heard, scope: data.piece}\n"
EARNING = "xp: [{on: played, amount: 5}]\n"
RICH = "  - {key: rich, name: Rich, when: xp >= 50}\n"

VERSIONS = {
    1: (BEGINNING, AWARDS),
    2: (BEGINNING, PARTNERS, AWARDS, DUO),
    3: (BEGINNING, PARTNERS, AWARDS, DUO, EXPLORER),
    4: (BEGINNING, PARTNERS, LISTENER, AWARDS, DUO, EXPLORER, LISTENED),
    5: (BEGINNING, HARDER),
    6: (DERIVING, AWARDS, GUEST, LEARNED),
    7: (DERIVING, HARDER, GUEST),
    8: (BEGINNING, EARNING, AWARDS, RICH),
}


def catalog(version: int, topic: str) -> str:
    beginning, *rest = VERSIONS[version]
    return beginning.format(version=version, topic=topic) + "".join(rest)


class Happenings:
    """Events of some users, hour by hour; a year of them is drawn from a seed, as many as are asked for."""

    def __init__(self, seed: int) -> None:
        self._dice, self._count = random.Random(seed), 0

    def more(self, count: int) -> list[dict[str, Any]]:
        return [self._next() for _ in range(count)]

    def _next(self) -> dict[str, Any]:
        self._count += 1
        dice, at = self._dice, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * self._count)
        data: dict[str, Any] = {"piece": f"piece-{dice.randrange(PIECES)}"}
        if (played := dice.random() < 0.7) and dice.random() < 0.3:
            data["partner"] = f"partner-{dice.randrange(5)}"
        return {
            "specversion": "1.0",
            "id": f"e{self._count}",
            "source": "/tests",
            "type": "played" if played else "heard",
            "subject": f"user-{dice.randrange(USERS)}",
            "time": at.isoformat(),
            "data": data,
        }


class Deployment:
    """A namespace of its own, and processes that a test starts, kills and starts again."""

    def __init__(self, servers: Servers, namespace: str, folder: Path, processes: ExitStack) -> None:
        self.settings = Settings(
            kafka=servers.kafka, postgres=SecretStr(servers.postgres), namespace=namespace, partitions=PARTITIONS
        )
        self.environment = {
            "LAUREL_KAFKA": servers.kafka,
            "LAUREL_POSTGRES": servers.postgres,
            "LAUREL_NAMESPACE": namespace,
            "LAUREL_PARTITIONS": f"{PARTITIONS}",
            "LAUREL_WHO": "ada",
        }
        self.topic = f"{namespace}.plays"
        self._folder, self._processes, self._started = folder, processes, 0
        self._happenings, self._ends = Happenings(seed=len(namespace)), Positions()
        self.published: list[dict[str, Any]] = []
        prepare(self.settings, [CatalogFile(catalog(1, self.topic), "toy.yaml")])

    def file(self, version: int) -> str:
        path = self._folder / f"toy-{version}.yaml"
        path.write_text(catalog(version, self.topic), encoding="utf-8")
        return f"{path}"

    def start(self, *arguments: str, failpoint: str = "") -> Laurel:
        """A `laurel` process. A worker or projector that is started again takes its partitions up at once."""
        self._started += 1
        folder = self._folder / f"{self._started}-{arguments[0]}"
        folder.mkdir()
        extra = {"LAUREL_FAILPOINT": failpoint} if failpoint else {}
        if arguments[0] in ("worker", "projector"):
            extra["LAUREL_MEMBER_ID"] = arguments[0]
        return self._processes.enter_context(laurel([*arguments], self.environment | extra, folder))

    def replay(self, version: int, *options: str, failpoint: str = "") -> Laurel:
        """A job, as a process."""
        wanted = ["replay", "start", "--catalog", self.file(version), "--wait", "--json", *options]
        return self.start(*wanted, failpoint=failpoint)

    def publish(self, count: int) -> None:
        events = self._happenings.more(count)
        asyncio.run(self._publish(events))
        self.published += events

    async def _publish(self, events: Sequence[dict[str, Any]]) -> None:
        async with producer(self.settings.kafka) as client:
            publisher = Publisher(client, {self.topic: PARTITIONS})
            await publisher.send_all(
                Outgoing(self.topic, event["subject"].encode(), json.dumps(event).encode()) for event in events
            )
        self._ends |= publisher.ends

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Meanwhile events keep coming."""
        leaving = threading.Event()

        def flow() -> None:
            while not leaving.wait(0.1):
                self.publish(20)

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            yield
        finally:
            leaving.set()
            thread.join()

    def differences(self, version: int) -> list[str]:
        """Between what Postgres shows and the whole log folded under this version, once all of it can be seen."""
        asyncio.run(wait_until_visible(self.settings, self._ends, lambda **_: None))
        with self.connection() as connection:
            return compare(connection, reference.fold(self.published, [catalog(version, self.topic)]))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.connection() as connection:
            return connection.execute(query.encode()).fetchall()

    def connection(self) -> Connection:
        return connect(self.settings.database)

    def leftovers(self, shadow: str) -> list[str]:
        """Topics and the schema of a namespace that is to be gone."""
        names = Names(shadow, follows=self.settings.namespace)
        counts = asyncio.run(partition_counts(self.settings.kafka, [spec.name for spec in names.specs()]))
        schema = f"select nspname from pg_namespace where nspname = '{names.postgres_schema}'"
        return [topic for topic, count in counts.items() if count] + [name for (name,) in self.rows(schema)]

    def statuses(self) -> dict[str, str]:
        return dict(self.rows("select id, status from replay"))

    def send_order(self, value: bytes) -> None:
        """As no job of ours would."""
        asyncio.run(self._send_order(value))

    async def _send_order(self, value: bytes) -> None:
        async with producer(self.settings.kafka) as client:
            await client.send_and_wait(self.settings.names.replay_assignments, value, partition=0)

    def orders(self) -> int:
        """How many were sent to the owners of the partitions."""
        kafka, names = self.settings.kafka, self.settings.names
        places = [(names.replay_assignments, partition) for partition in range(PARTITIONS)]
        return sum(asyncio.run(last_stable_offsets(kafka, places)).values())

    def phases(self, id: str) -> list[str]:
        """Of the replay in the partitions that know it."""
        controls = asyncio.run(read_controls(self.settings.kafka, self.settings.names))
        return [control.replays[id].phase for control in controls.values() if id in control.replays]

    def wait_for_phases(self, id: str, phases: set[str]) -> None:
        def are() -> bool:
            found = self.phases(id)
            return len(found) == PARTITIONS and {*found} == phases

        wait_until(are, f"every partition in {phases}")

    def wait_for_status(self, id: str, status: str) -> None:
        wait_until(lambda: self.statuses().get(id) == status, f"replay {id} {status}, but {self.statuses()}")


@contextmanager
def deployed(servers: Servers, namespace: str, folder: Path) -> Iterator[Deployment]:
    with ExitStack() as processes:
        yield Deployment(servers, namespace, folder, processes)
