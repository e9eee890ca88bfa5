"""Faust's table recovery, replaced as a whole: fence, restore, seek, clear, resume.

Overridden: tables/manager.py TableManager.recovery and on_start; tables/recovery.py Recovery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.types import TP
from mode import Service

from broker import garbage
from processor.kafka.exit import exit_now
from processor.kafka.partition import OwnedPartition
from processor.kafka.positions import Bounds, starting_positions
from schemas.errors import Precondition
from schemas.lanes import lane_of, place_of

LOOK_AT_ENDS_EVERY_S = 10.0
LOOK_AT_ENDS_TIMEOUT_S = 60.0

log = structlog.get_logger(__name__)


class Recovery(Service):  # type: ignore[misc]
    """Takes over what each rebalance assigns. Faust's manager calls it by the names of its own Recovery."""

    def __init__(self, app: Any, tables: Any, **kwargs: Any) -> None:
        self.app, self.tables = app, tables
        self.completed = asyncio.Event()
        self._wanted = asyncio.Event()
        self._generation = -1
        super().__init__(**kwargs)

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Nothing: the consumer's wait_empty releases, in the same revoke."""

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        self._generation = generation_id
        self._wanted.set()

    @Service.task  # type: ignore[untyped-decorator]
    async def _recover_when_assigned(self) -> None:
        while not await self.wait_for_stopped(self._wanted):
            self._wanted.clear()
            try:
                await self._recover(self._generation)
            except Precondition as refused:
                exit_now(str(refused), code=refused.exit_code)
            except IllegalStateError:  # a partition was taken away under our hands: the next rebalance tells
                if self.app.consumer._thread.is_stable_member:
                    exit_now("the assignment changed without a rebalance")
            except Exception as error:
                exit_now(f"recovery failed: {error!r}")

    async def _recover(self, generation: int) -> None:
        consumer = self.app.consumer
        assigned = consumer.assignment()
        owned = {tp.partition for tp in assigned if tp.topic in self.tables.changelog_topics}
        opener = Opener(self.app, assigned)
        self.app.ownership.parking_lot.flow = consumer
        is_static = self.app.conf.consumer_group_instance_id is not None
        if is_static and (unread := not_given(self.app.copartitioned, assigned)):
            log.info("the group knows this member by what it read before: it joins anew", unread=unread)
            await consumer._thread.join_anew()
            return
        if self._is_stale(generation) or not await self.app.ownership.acquire(owned, opener.open):
            return
        garbage.collect_rarely()
        await opener.let_flow()  # a spare member, too, is ready
        await self.app.on_rebalance_complete.send()
        self.completed.set()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        self.app.on_rebalance_end()

    def _is_stale(self, generation: int) -> bool:
        return generation != self.app.consumer_generation_id or self._wanted.is_set()

    @Service.task  # type: ignore[untyped-decorator]
    async def _look_at_ends(self) -> None:
        """Learn of lag also when fetching has died: what a dead fetcher last saw is no lag at all."""
        while not self.should_stop:
            await self.sleep(LOOK_AT_ENDS_EVERY_S)
            try:
                await asyncio.wait_for(self._note_ends(), LOOK_AT_ENDS_TIMEOUT_S)
            except TimeoutError:
                exit_now(f"Kafka's consumer thread has not answered for {LOOK_AT_ENDS_TIMEOUT_S:.0f} s")
            except KafkaError as error:
                log.warning("the ends of the source topics are unknown", error=repr(error))

    async def _note_ends(self) -> None:
        open_partitions = [each for each in self.app.ownership.partitions.values() if each.is_open]
        places = [TP(*place_of(lane, each.number)) for each in open_partitions for lane in each.positions]
        ends = await self.app.consumer._thread.ends(places) if places else {}
        for place, end in ends.items():
            lane, number = lane_of(place.topic, place.partition, self.app.partitions)
            if (partition := self.app.ownership.partitions.get(number)) is not None:
                partition.stable_ends[lane] = max(end, partition.stable_ends.get(lane, 0))


def not_given(copartitioned: Collection[str], assigned: Collection[TP]) -> list[str]:
    """Topics of which a member has no partition, though whoever has one of the others has the same of these.

    The group knew it by what it read before: it came back within its session. Of a repartitioned topic there may be
    fewer partitions than members, and none of it says nothing.
    """
    return sorted({*copartitioned} - {place.topic for place in assigned}) if assigned else []


class Opener:
    """Lets the chunks of one assignment come, partition by partition."""

    def __init__(self, app: Any, assigned: Iterable[TP]) -> None:
        self._app, self._consumer = app, app.consumer
        self._places: dict[int, dict[str, TP]] = {}
        for place in assigned:
            if place.topic in app.sources:
                lane, number = lane_of(place.topic, place.partition, app.partitions)
                self._places.setdefault(number, {})[lane] = place
        self._bounds: dict[TP, Bounds] | None = None
        self._flows = False

    async def open(self, partition: OwnedPartition) -> None:
        """Read the committed positions, which are final since the fencing; seek, clear, resume."""
        places = self._places.get(partition.number, {})
        all_bounds = await self._all_bounds()
        bounds = {lane: all_bounds[place] for lane, place in places.items()}
        starts = starting_positions(self._app.conf.id, partition.number, partition.control, bounds)
        if self._app.ownership.is_abandoned:
            return
        await self._consumer._thread.start_at({place: starts[lane] for lane, place in places.items()})
        partition.open(starts, {lane: at.end for lane, at in bounds.items()})
        await self.let_flow()
        self._consumer.resume_partitions(set(places.values()))

    async def _all_bounds(self) -> dict[TP, Bounds]:
        """Asked for once, before anything is fetched: on one connection a question waits for a fetch to end."""
        if self._bounds is None:
            places = [place for lanes in self._places.values() for place in lanes.values()]
            self._bounds = await self._consumer._thread.bounds(places)
        return self._bounds

    async def let_flow(self) -> None:
        """Clear what is left of the last generation and let events through, once."""
        if self._flows:
            return
        self._flows = True
        self._app.flow_control.resume()
        self._consumer.resume_flow()
        await self._app._fetcher.maybe_start()


class RecoveringTableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager with our recovery."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Without the second that Faust sleeps first: our agent is there before the app starts."""
        await self._update_channels()
        await self.recovery.start()
