"""Events from lines onto their topics: each line judged before it goes, in order for every user."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from broker.connections import producer
from broker.positions import Positions
from broker.producing import Outgoing, Publisher
from broker.topics import missing, partition_counts
from cli.event_files import Lines
from cli.events import Judge, LineVerdict, decode_address
from cli.output import Progress
from cli.settings import Settings
from schemas.program import CatalogProgram, Program

Hear = Callable[[LineVerdict], None]


class Manner(NamedTuple):
    """How to publish: to one topic only, or each type to its own; plainly, or in transactions.

    With `abort_every` n, every n-th transaction is written twice, and aborted the first time: a test of readers.
    """

    topic: str | None = None
    transactional: bool = False
    abort_every: int = 0


@dataclass
class Published:
    """What became of the lines.

    Shapes: ends, the position after our last record in each partition. Unplaced lines are of a type that no
    catalog declares, and nothing says which topic they are for.
    """

    events: int = 0
    bad_lines: int = 0
    unplaced: int = 0
    ends: Positions = field(default_factory=dict)


async def publish_lines(
    settings: Settings, program: Program, pieces: AsyncIterator[Lines], manner: Manner, hear: Hear, show: Progress
) -> Published:
    """Publish what is good; `hear` is told the verdict on every line, in order. Raises: Precondition."""
    sorting = Sorting(program, manner.topic, hear)
    partitions = await _partitions(settings, sorting.topics)
    transactional_id = f"{settings.namespace}.publisher-{time.time_ns()}" if manner.transactional else None
    async with producer(settings.kafka, transactional_id=transactional_id) as client:
        publisher = Publisher(client, partitions)
        send = Transactions(publisher, manner.abort_every).send if manner.transactional else publisher.send_all
        async for lines in pieces:
            await send(list(sorting.records(lines)))
            show(events=sorting.published.events, bad_lines=sorting.published.bad_lines)
    sorting.published.ends = publisher.ends
    return sorting.published


async def _partitions(settings: Settings, topics: list[str]) -> dict[str, int]:
    partitions = await partition_counts(settings.kafka, topics)
    for topic, count in partitions.items():
        if not count:
            raise missing(topic)
    return partitions


class Transactions:
    """Sends each piece in a transaction of its own."""

    def __init__(self, publisher: Publisher, abort_every: int) -> None:
        self._publisher = publisher
        self._abort_every = abort_every
        self._count = 0

    async def send(self, records: list[Outgoing]) -> None:
        self._count += 1
        if self._abort_every and self._count % self._abort_every == 0:
            await self._publisher.abort(records)
        await self._publisher.commit(records)


class Sorting:
    """Lines become records, are refused, or have no place."""

    def __init__(self, program: Program, topic: str | None, hear: Hear) -> None:
        ours = (program.derived, program.commands)
        self.topics = [topic] if topic else [each for each in program.sources if each not in ours]
        self._judge = Judge(narrowed(program, topic) if topic else program, time.time_ns() // 1_000_000)
        self._hear = hear
        self._lines = 0
        self.published = Published()

    def records(self, lines: Lines) -> Iterator[Outgoing]:
        for line in lines:
            self._lines += 1
            if value := line.strip():
                yield from self._record(self._judge.judge(self._lines, value))

    def _record(self, verdict: LineVerdict) -> Iterator[Outgoing]:
        topic = verdict.topic or self._only_topic(verdict)
        self._hear(verdict)
        if verdict.fate == "refused" or verdict.key is None:
            self.published.bad_lines += 1
        elif topic is None:
            self.published.unplaced += 1
        else:
            self.published.events += 1
            yield Outgoing(topic, verdict.key, verdict.value)

    def _only_topic(self, verdict: LineVerdict) -> str | None:
        """Where a type that nobody declares goes when there is one topic, and the event names no other."""
        if verdict.fate == "refused" or len(self.topics) > 1:
            return None
        named = decode_address(verdict.value).topic
        return self.topics[0] if named in (None, self.topics[0]) else None


def narrowed(program: Program, topic: str) -> Program:
    """The program as one topic sees it."""

    def seen(catalog: CatalogProgram) -> CatalogProgram:
        events = [event for event in catalog.events if event.topic in (None, topic)]
        return msgspec.structs.replace(catalog, events=events)

    return msgspec.structs.replace(program, catalogs=[seen(catalog) for catalog in program.catalogs])
