"""A member of the projector group on one topic. Whose partitions are whose is Kafka's to say, where to begin is
Postgres's: a partition gives nothing before it was sought to a position.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from broker.connections import unreachable
from broker.membership import stay_static
from broker.parsing import keep_as_parsed, tolerate_header_names
from broker.reading import Batch
from projections.decoding import RESTART
from projections.projection import Projection
from projections.settings import ProjectorSettings
from schemas.errors import LaurelError, Precondition
from schemas.records import Record
from schemas.state import CONTROL_KEY

IDLE_POLL_S = 0.1
RECORDS_MAX = 5_000  # of one poll
HEARTBEAT_MS = 500  # also how soon a member learns that another one joins
FETCH_WAIT_MS = 250
COMMIT_SECONDS_MAX = 2.0
STOP_SECONDS_MAX = 5.0


class OutsideLog(LaurelError):  # noqa: N818 - what happened, not a fault
    """A position that the log does not have: somebody recreated or truncated the topic."""

    exit_code = RESTART


class Subscription(ConsumerRebalanceListener):  # type: ignore[misc]
    """The partitions of one topic that this process reads.

    `busy` is held while a batch is being written: a rebalance waits for it, so that the next owner begins
    behind it. With `condenses`, of a key that comes several times in what is gathered only the last record is kept.
    """

    def __init__(self, client: AIOKafkaConsumer, topic: str, condenses: bool = False) -> None:
        self.topic = topic
        self._condenses = condenses
        self.busy = asyncio.Lock()
        self.positions: dict[int, int] = {}
        self._client = client
        self._assigned: frozenset[int] | None = None
        self._settled = False
        client.subscribe([topic], listener=self)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        async with self.busy:
            self._assigned = None
            self.unsettle()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._assigned = frozenset(place.partition for place in assigned)
        self.unsettle()

    @property
    def settled(self) -> bool:
        """Whether every partition was sought to its position."""
        return self._settled

    def unsettle(self) -> None:
        """Begin again at the positions in Postgres."""
        self._settled = False
        self.positions = {}

    async def beginnings(self) -> dict[int, int] | None:
        """Where the logs of our partitions begin; None until the group has given us any."""
        if self._assigned is None:
            await self._fetch(IDLE_POLL_S)  # shows what hinders the group, if anything does
            return None
        places = [TopicPartition(self.topic, partition) for partition in self._assigned]
        found = await self._client.beginning_offsets(places) if places else {}
        return {place.partition: offset for place, offset in found.items()}

    def seek(self, positions: Mapping[int, int]) -> None:
        """Read from here on, unless the group has given us other partitions meanwhile."""
        if self._assigned != frozenset(positions):
            return
        for partition, position in positions.items():
            self._client.seek(TopicPartition(self.topic, partition), position)
        self.positions = dict(positions)
        self._settled = True

    async def gather(self, window_s: float, records_max: int) -> list[Batch]:
        """What arrived within the window after the first record, a batch for each partition that moved.

        Raises: OutsideLog.
        """
        clock = asyncio.get_running_loop().time
        gathered: dict[int, Batch] = {}
        wait_s, ends_at = IDLE_POLL_S, 0.0
        while wait_s > 0:
            merge(gathered, await self._poll(wait_s))
            if not self.settled:
                return []
            if not gathered or self._is_full(gathered, records_max):
                break
            ends_at = ends_at or clock() + window_s
            wait_s = ends_at - clock()
        return [condensed(batch) if self._condenses else batch for batch in gathered.values()]

    def _is_full(self, gathered: dict[int, Batch], records_max: int) -> bool:
        """Whether there are so many records; where it helps to condense them, half as many are enough."""
        if count_of(gathered) < records_max or not self._condenses:
            return count_of(gathered) >= records_max
        gathered.update({partition: condensed(batch) for partition, batch in gathered.items()})
        return count_of(gathered) > records_max // 2

    async def _poll(self, wait_s: float) -> list[Batch]:
        """One batch for each partition whose position moved, with or without records."""
        fetched = await self._fetch(wait_s)
        if not self.settled:
            return []
        batches = []
        for partition, start in self.positions.items():
            place = TopicPartition(self.topic, partition)
            end = await self._client.position(place)
            if end != start:
                batches.append(Batch(self.topic, partition, start, end, fetched.get(place, [])))
        self.positions.update({batch.partition: batch.end for batch in batches})
        return batches

    async def _fetch(self, wait_s: float) -> dict[TopicPartition, list[Record]]:
        keep_as_parsed(self._client)
        try:
            fetched: dict[TopicPartition, list[Record]] = await self._client.getmany(
                timeout_ms=round(wait_s * 1000), max_records=RECORDS_MAX
            )
        except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
            if self.settled:
                raise self._outside(error) from error
            return {}  # the group's own position, which we do not use
        return fetched

    def stable_ends(self) -> dict[int, int]:
        """The last stable offset of each of our partitions, as far as it is known."""
        ends = {
            partition: self._client.last_stable_offset(TopicPartition(self.topic, partition))
            for partition in self.positions
        }
        return {partition: end for partition, end in ends.items() if end is not None}

    async def commit(self, positions: Mapping[int, int]) -> None:
        """Tell the group how far we are. Only displays read it, so a refusal does not matter."""
        offsets = {TopicPartition(self.topic, partition): end for partition, end in positions.items()}
        try:
            await asyncio.wait_for(self._client.commit(offsets), COMMIT_SECONDS_MAX)
        except (KafkaError, TimeoutError):
            return

    def _outside(self, error: Exception) -> OutsideLog:
        return OutsideLog(
            f"a position of this projection lies outside the log of '{self.topic}' ({error}; positions "
            f"{self.positions}): the topic was recreated or truncated, and what is shown no longer follows from it"
        )


def merge(gathered: dict[int, Batch], moved: Iterable[Batch]) -> None:
    for batch in moved:
        before = gathered.get(batch.partition)
        if before is not None:
            batch = before._replace(end=batch.end, records=[*before.records, *batch.records])
        gathered[batch.partition] = batch


def count_of(gathered: Mapping[int, Batch]) -> int:
    return sum(len(batch.records) for batch in gathered.values())


def condensed(batch: Batch) -> Batch:
    """Without what later records supersede. Control records stay: each says how those behind it are seen."""
    last = {record.key: record for record in batch.records}
    return batch._replace(
        records=[record for record in batch.records if record.key == CONTROL_KEY or last[record.key] is record]
    )


@asynccontextmanager
async def subscribe(settings: ProjectorSettings, projection: Projection) -> AsyncIterator[Subscription]:
    """Join the group; a fetch waits for so many bytes, but not for long.

    Raises: Precondition when no broker answers, or another process has taken our id in it.
    """
    tolerate_header_names()
    client = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        group_id=settings.names.projector,
        group_instance_id=settings.member_id and f"{settings.member_id}.{projection.topic}",  # one consumer a topic
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_min_bytes=projection.fetch_bytes_min,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        auto_offset_reset="none",
        session_timeout_ms=round(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=HEARTBEAT_MS,
    )
    subscription = Subscription(client, projection.topic, projection.condenses)
    try:
        await client.start()
        if settings.member_id is not None:
            stay_static(client, _refuse)
        yield subscription
    except KafkaConnectionError:
        raise unreachable(settings.kafka) from None
    finally:
        await leave(client)


def _refuse(taken: Precondition) -> NoReturn:
    """In the client's heartbeat; the next fetch raises it."""
    raise taken


async def leave(client: AIOKafkaConsumer) -> None:
    """Give the partitions back at once. A broker that is gone cannot be told, and finds out by itself."""
    with suppress(TimeoutError):
        await asyncio.wait_for(client.stop(), STOP_SECONDS_MAX)
