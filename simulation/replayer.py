"""A simulated replayer: the real job of every replay under way, over a log and a registry in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from aiokafka.errors import KafkaConnectionError, KafkaError
from psycopg import OperationalError

from broker.failpoints import reach
from processor.kafka.batches import Place
from processor.kafka.dead_letters import PREFIX
from processor.kafka.fetch import Chunk
from processor.replay.job import Job, Task
from processor.replay.late import LateJob, LateTask
from processor.replay.ports import Addressed, Load, Part, Ports, Report, StateRow, Status, Stretch
from processor.replay.wanted import Wanted
from projections.decoding import RESTART
from replays.registry import ENDINGS, Ending
from replays.steps import CLOSE, DECIDE, step_of
from schemas.errors import LaurelError
from schemas.events import readers
from schemas.records import PlainRecord
from schemas.replays import Late, decode_order, encode_order
from schemas.state import CONTROL_KEY, Control, decode_control
from schemas.topics import Names
from simulation.activity import PLAYS
from simulation.broker import Broker, Sent
from simulation.catalogs import CATALOG, program_of
from simulation.process import Line, Lost, Process
from simulation.registry import Registry

LOOK_S = 1.0
SCAN_RECORDS = 40  # small, so that it takes several
FOLLOW_S = 0.05
STATES = 5
ANSWER_TIMEOUT_S = 30.0

T = TypeVar("T")


class Client:
    """What every port asks by. Raises: KafkaConnectionError where no answer comes."""

    def __init__(self, broker: Broker, line: Line) -> None:
        self.broker, self._line = broker, line

    async def ask(self, serve: Callable[[], T], what: str = "") -> T:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._line.ask(serve, what)
        except (Lost, TimeoutError) as lost:
            raise KafkaConnectionError(str(lost)) from lost


def controls_in(broker: Broker, places: Iterable[Place]) -> dict[int, Control]:
    """The newest control record of each of these partitions of the changelog that has one."""
    found = {place[1]: broker.partition(place).newest(CONTROL_KEY) for place in places}
    return {number: decode_control(value) for number, value in found.items() if value is not None}


class MemoryHistory:
    def __init__(self, client: Client, names: Names) -> None:
        self._client, self._names = client, names

    async def begin(self, topic: str, partition: int) -> int:
        return (await self._client.ask(lambda: self._client.broker.extent((topic, partition)))).begin

    async def scan(self, stretch: Stretch, wanted: Wanted) -> AsyncGenerator[Part, None]:
        position = stretch.start
        while position < stretch.cut:
            chunk = await self._read((stretch.topic, stretch.partition), position, SCAN_RECORDS)
            position = min(chunk.end, stretch.cut)
            yield Part(position, wanted.among(each for each in chunk.records if each.offset < stretch.cut))

    async def follow(self, topic: str, partition: int, start: int, wanted: Wanted) -> AsyncGenerator[Part, None]:
        position = start
        while True:
            chunk = await self._read((topic, partition), position, SCAN_RECORDS)
            position = chunk.end
            yield Part(position, wanted.among(chunk.records))
            await asyncio.sleep(FOLLOW_S)

    async def states(self, partition: int) -> AsyncGenerator[Sequence[StateRow], None]:
        place, position = (self._names.changelog, partition), 0
        end = (await self._client.ask(lambda: self._client.broker.extent(place))).end
        while position < end:
            chunk = await self._read(place, position, STATES)
            position = chunk.end
            yield [(each.key, each.value) for each in chunk.records if each.key not in (None, CONTROL_KEY)]

    async def outcomes(self, partition: int) -> AsyncGenerator[Sequence[bytes], None]:
        place, position = (self._names.outcomes, partition), 0
        end = (await self._client.ask(lambda: self._client.broker.extent(place))).end
        while position < end:
            chunk = await self._read(place, position, STATES)
            position = chunk.end
            yield [each.value for each in chunk.records if each.value is not None]

    async def _read(self, place: Place, position: int, count: int) -> Chunk:
        return await self._client.ask(lambda: self._client.broker.partition(place).read(position, count))


class MemoryStretches:
    def __init__(self, client: Client, names: Names) -> None:
        self._client, self._names = client, names

    async def records(self, stretch: Stretch) -> AsyncGenerator[Part, None]:
        partition, position = self._client.broker.partition((stretch.topic, stretch.partition)), stretch.start
        while position < stretch.cut:
            chunk = await self._client.ask(partial(partition.read, position, SCAN_RECORDS))
            position = min(chunk.end, stretch.cut)
            yield Part(position, [each for each in chunk.records if each.offset < stretch.cut])

    async def refused(self, topic: str, partition: int) -> Collection[int]:
        told = [dict(each.headers) for each in await self._all(self._names.dead_letters, partition)]
        return {int(said[f"{PREFIX}offset"] or b"") for said in told if said[f"{PREFIX}topic"] == topic.encode()}

    async def orders(self, partition: int) -> Sequence[tuple[int, Late]]:
        records = await self._all(self._names.replay_assignments, partition)
        orders = [(each.offset, decode_order(each.value or b"")) for each in records]
        return [(offset, order) for offset, order in orders if isinstance(order, Late)]

    async def _all(self, topic: str, partition: int) -> Sequence[PlainRecord]:
        return await self._client.ask(self._client.broker.partition((topic, partition)).committed)


class MemoryNotes:
    def __init__(self, client: Client, names: Names, partitions: int) -> None:
        self._client = client
        self._places = [(names.changelog, number) for number in range(partitions)]

    async def controls(self) -> Mapping[int, Control]:
        return await self._client.ask(lambda: controls_in(self._client.broker, self._places))


class MemoryOrders:
    def __init__(self, client: Client, names: Names) -> None:
        self._client, self._topic = client, names.replay_assignments

    async def send(self, partition: int, orders: Sequence[Addressed]) -> None:
        if not orders:
            return
        records = [Sent(user, encode_order(order)) for user, order in orders]
        reach(f"replay.{step_of(orders[0].order)}")
        await self._client.ask(lambda: self._client.broker.publish((self._topic, partition), records), "order")


class MemoryRow:
    """The row of one replay."""

    def __init__(self, line: Line, registry: Registry, id: str) -> None:
        self._line, self._registry, self._id = line, registry, id

    async def status(self) -> Status:
        return await by_statement(self._line, lambda: self._registry.rows[self._id].status)

    async def decide(self) -> Status:
        reach(f"replay.{DECIDE}")
        return await by_statement(self._line, lambda: self._registry.change(self._id, "decide"))

    async def report(self, report: Report) -> None:
        """Nobody looks."""

    async def end(self, status: Ending, failure: str | None = None) -> None:
        reach(f"replay.{CLOSE}")
        await by_statement(self._line, lambda: self._registry.change(self._id, ENDINGS[status]))


async def by_statement(line: Line, serve: Callable[[], T]) -> T:
    """What the registry says to a session of a process. Raises: OperationalError when the answer does not come."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await line.ask(serve, "statement")
    except (Lost, TimeoutError) as lost:
        raise OperationalError("server closed the connection unexpectedly") from lost


class MemoryTraffic:
    """Shapes: behind, how many records the processors are behind."""

    def __init__(self, client: Client, behind: Callable[[], int]) -> None:
        self._client, self._behind = client, behind

    async def load(self) -> Load:
        return Load(await self._client.ask(self._behind), 0.0)

    def give_way(self) -> None:
        """Nobody here has a machine."""


class Replayer:
    """Takes up every replay under way, as replays/serving.py does. Shapes: lag, of the processors; `reprocess`
    carries out a full one."""

    def __init__(
        self,
        process: Process,
        line: Line,
        broker: Broker,
        names: Names,
        partitions: int,
        registry: Registry,
        lag: Callable[[], int],
        reprocess: Callable[[str], Awaitable[Status]],
    ) -> None:
        self.process, self._line, self._broker, self._reprocess = process, line, broker, reprocess
        self._names, self._partitions, self._registry, self._lag = names, partitions, registry, lag
        self._stopping = asyncio.Event()
        self._taken: set[str] = set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            for id in await self._line.ask(self._registry.under_way):
                if id not in self._taken:
                    self._taken.add(id)
                    asyncio.create_task(self.process.guard(self._carry_out(id)))  # noqa: RUF006 - the process holds it
            await asyncio.sleep(LOOK_S)
        self.process.kill("stopped")

    async def _carry_out(self, id: str) -> None:
        row = self._registry.rows[id]
        try:
            await (self._job(id).run() if row.whole is None else self._reprocess(id))
        except (KafkaError, OperationalError) as away:
            self.process.leave(f"a server went away: {away!r}", code=RESTART)
        except LaurelError:
            await self._line.ask(lambda: self._registry.change(id, "fail"))
        self._registry.let_go(id, self.process)
        self._taken.discard(id)

    def _job(self, id: str) -> Job:
        task, ports, spans = self._task(id), self._ports(id), self._registry.rows[id].spans
        if spans is None:
            return Job(task, ports)
        late = LateTask(PLAYS, spans, None, self._names.replay_assignments)
        stretches = MemoryStretches(Client(self._broker, self._line), self._names)
        return LateJob(task, ports, late, stretches, readers(task.program)[PLAYS])

    def _task(self, id: str) -> Task:
        row = self._registry.rows[id]
        return Task(
            replay=id,
            catalogs={CATALOG: row.record.version},
            program=program_of(row.record),
            partitions=self._partitions,
            muted=row.muted,
            filling=row.filling,
            wanted=row.wanted,
            notify=row.notify,
        )

    def _ports(self, id: str) -> Ports:
        client = Client(self._broker, self._line)
        return Ports(
            MemoryHistory(client, self._names),
            MemoryNotes(client, self._names, self._partitions),
            MemoryOrders(client, self._names),
            MemoryRow(self._line, self._registry, id),
            MemoryTraffic(client, self._lag),
        )

    def stop(self) -> None:
        """As SIGTERM."""
        self._stopping.set()
