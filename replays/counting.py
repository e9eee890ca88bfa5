"""Who would gain what: the past folded aside as a replay folds it, up to where the log ends now, less what is held.

Nothing is written. What live traffic brings meanwhile is not counted.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from psycopg import Connection

from broker.positions import Positions, last_stable_offsets
from processor.replay.excerpt import Aim
from processor.replay.interleaving import interleaved
from processor.replay.past import Past
from processor.replay.ports import Stretch
from processor.replay.wanted import Wanted
from projections.statements import statements
from replays.intent import Intent
from replays.sources import SourceLog
from schemas.periods import period_name
from schemas.program import AchievementSpec, AtLeast
from schemas.replays import ByEvent, Fact, InPeriod, Named

SQL = statements("planning.sql", "replays")

Won = tuple[str, str]
"""A user, and the scope of the award."""


class Gain(NamedTuple):
    """What an achievement comes to. Units: points, of all these awards together."""

    catalog: str
    achievement: str
    name: str
    users: int
    awards: int
    points: int


class Counted(NamedTuple):
    """Shapes: users, how many gain something; orders, how many a replay would send. Units: seconds it took."""

    gains: list[Gain]
    users: int
    records: int
    orders: int
    seconds: float


class Sought(NamedTuple):
    """An achievement that is counted. Shapes: a period's is told by its metric and threshold."""

    name: Named
    spec: AchievementSpec

    @property
    def threshold(self) -> tuple[str, str, int] | None:
        when = self.spec.when
        return (self.name[0], when.metric, when.at) if isinstance(when, AtLeast) else None


class Count:
    """Of all partitions, one after the other."""

    def __init__(self, intent: Intent, users: Collection[str] | None) -> None:
        self._intent, self._users = intent, users
        found = intent.changes
        self._aim = Aim(filling=found.filling, awards=[*found.muted, *found.wanted])
        self._sought = [*sought(intent, self._aim.awards)]
        self._often = [each for each in self._sought if each.spec.scopes is not None]
        self._awards: dict[Named, int] = defaultdict(int)
        self._winners: dict[Named, int] = defaultdict(int)
        self._anybody = self._records = self._orders = 0

    async def run(
        self, log: SourceLog, ends: Positions, connection: Connection, show: Callable[[int], None]
    ) -> Counted:
        began, already = time.monotonic(), held(connection, self._sought)
        for partition in range(self._intent.partitions):
            past, won = await self._folded(log, ends, partition)
            self._take(won, already)
            self._orders += sum(1 for _ in past.bases()) if self._aim.filling else 0
            show(self._records)
        return Counted([*self._gains()], self._anybody, self._records, self._orders, time.monotonic() - began)

    async def _folded(self, log: SourceLog, ends: Positions, partition: int) -> tuple[Past, dict[Named, set[Won]]]:
        past = Past(self._intent.new, self._aim, partition, self._intent.partitions)
        scoped: dict[Named, set[Won]] = defaultdict(set)
        crossing: set[bytes] = set()
        topics = {
            topic: log.scan(
                Stretch(topic, partition, await log.begin(topic, partition), ends[topic, partition]), Wanted(types)
            )
            for topic, types in past.excerpt.types.items()
        }
        async for chunk in interleaved(topics):
            records = [record for record in chunk.records if self._is_asked_for(record.key)]
            self._records += len(chunk.records)
            past.fold(chunk.topic, records)
            for user, fact in past.facts():
                crossing.add(user)
                for name, scope in self._instances(fact):
                    scoped[name].add((user.decode(), scope))
        return past, self._plain(past, crossing) | scoped

    def _is_asked_for(self, key: bytes | None) -> bool:
        return self._users is None or (key is not None and key.decode(errors="replace") in self._users)

    def _instances(self, fact: Fact) -> Iterator[tuple[Named, str]]:
        """What a record gives of achievements that are given often, and their scopes."""
        for crossing in fact.crossings:
            if isinstance(crossing, ByEvent):
                given = crossing.catalog, crossing.achievement
                yield from ((each.name, crossing.scope) for each in self._often if each.name == given)
            elif isinstance(crossing, InPeriod):
                crossed = crossing.catalog, crossing.metric, crossing.at
                for each in self._often:
                    every = each.spec.window.every if each.spec.window else None
                    if every is not None and each.threshold == crossed:
                        yield each.name, period_name(crossing.period, every)

    def _plain(self, past: Past, crossing: Collection[bytes]) -> dict[Named, set[Won]]:
        plain = {each.spec.number: each.name for each in self._sought if each.spec.scopes is None}
        won: dict[Named, set[Won]] = defaultdict(set)
        for user in crossing:
            for number in past.given(user) & plain.keys():
                won[plain[number]].add((user.decode(), ""))
        return won

    def _take(self, won: dict[Named, set[Won]], held: dict[Named, set[Won]]) -> None:
        gaining: set[str] = set()
        for name, awards in won.items():
            fresh = awards - held.get(name, set())
            winners = {user for user, _ in fresh}
            self._awards[name] += len(fresh)
            self._winners[name] += len(winners)
            gaining |= winners
        self._anybody += len(gaining)
        self._orders += len({user for awards in won.values() for user, _ in awards})

    def _gains(self) -> Iterator[Gain]:
        for name, spec in self._sought:
            awards = self._awards[name]
            yield Gain(*name, spec.name, self._winners[name], awards, awards * spec.points)


def sought(intent: Intent, awards: Collection[Named]) -> Iterator[Sought]:
    """In the order of the catalogs."""
    for catalog in intent.new.catalogs:
        for spec in catalog.achievements:
            if (catalog.catalog, spec.reference) in awards:
                yield Sought((catalog.catalog, spec.reference), spec)


def held(connection: Connection, sought: Sequence[Sought]) -> dict[Named, set[Won]]:
    """What users hold of it already."""
    found: dict[Named, set[Won]] = defaultdict(set)
    wanted = {"references": [f"{each.name[0]}/{each.name[1]}" for each in sought]}
    for user, catalog, reference, scope in connection.execute(SQL["held"], wanted):
        found[catalog, reference].add((user, scope))
    return found


async def present_ends(bootstrap: str, intent: Intent) -> Positions:
    """Where the log that a replay would read ends now."""
    places = [(topic, number) for topic in intent.changes.types for number in range(intent.partitions)]
    return await last_stable_offsets(bootstrap, places)
