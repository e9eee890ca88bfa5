"""The plan of a stretch: what became of its records, and what folding some of them now would give."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from broker.catalogs import newest_program
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.programs import Programs
from processor.evaluator.replays import Replays
from processor.replay.late import Fate, Sorting, before, order_of, sorted_out
from processor.replay.ports import Stretch
from replays.counting import Gain
from replays.late_intent import Intent
from replays.planning import orders_per_s
from replays.settings import ReplaySettings
from replays.sources import SourceLog
from replays.stretches import KafkaStretches
from schemas.events import readers
from schemas.outcomes import Outcome, decode_any_outcome
from schemas.records import PlainRecord, Record
from schemas.replays import Prepare, ReplayOrder, encode_order

PLANNED = "a plan"
FATES: tuple[Fate, ...] = ("counted", "readable", "refused", "unknown", "republished", "given")


class Sum(NamedTuple):
    """Of one event type, how many records have which fate; causes is class -> how many are refused still."""

    type: str
    counted: int
    readable: int
    refused: int
    unknown: int
    republished: int
    given: int
    causes: dict[str, int]


class Plan(NamedTuple):
    """What `laurel replay plan --topic` says. Shapes: users have records to be folded; winners gain something.

    Units: minutes, estimated, while the job need not yield to live events.
    """

    topic: str
    since: datetime
    until: datetime
    from_versions: dict[str, int]
    partitions: int
    events: list[Sum]
    folded: int
    users: int
    gains: list[Gain]
    winners: int
    awards: int
    notices: dict[str, int]
    points: int
    truncated: list[str]
    minutes: float


class Counting:
    """Of all partitions, one after the other: what would be folded, and what that gives by what users have now."""

    def __init__(self, settings: ReplaySettings, intent: Intent) -> None:
        self._settings, self._intent = settings, intent
        self._world = KafkaStretches(settings.kafka, settings.names)
        self._fates: Counter[tuple[str, Fate]] = Counter()
        self._causes: dict[str, Counter[str]] = defaultdict(Counter)
        self._won: list[Outcome] = []
        self._users: set[bytes | None] = set()
        self._folded = 0

    async def run(self, show: Callable[[int], None]) -> Plan:
        began = time.monotonic()
        for partition in self._intent.spans:
            sorting = await self.sorted(partition)
            if sorting is not None:
                await self._add(partition, sorting)
                show(self._fates.total())
        return self._plan(time.monotonic() - began)

    async def sorted(self, partition: int) -> Sorting | None:
        """None where nothing was folded yet."""
        wish, names = self._intent.wish, self._settings.names
        control, span = self._intent.controls.get(partition), self._intent.spans[partition]
        if control is None:
            return None
        place = partition, len(self._intent.spans)
        known = await before(self._world, wish.topic, place, control, names.replay_assignments, PLANNED)
        sorting = Sorting(readers(self._intent.program)[wish.topic], known, span.end, wish.users)
        return await sorted_out(self._world, sorting, wish.topic, partition, span)

    async def _add(self, partition: int, sorting: Sorting) -> None:
        self._fates.update(sorting.fates)
        for (name, cause), count in sorting.causes.items():
            self._causes[name][cause] += count
        if sorting.chosen:
            chosen = [record async for record in self._chosen(partition, sorting.chosen)]
            self._folded += len(chosen)
            users = {record.key for record in chosen}
            self._users |= users
            self._won += self._given(partition, await self._states(partition, users), chosen)

    async def _chosen(self, partition: int, offsets: Sequence[int]) -> AsyncIterator[Record]:
        wanted = {*offsets}
        stretch = Stretch(self._intent.wish.topic, partition, offsets[0], offsets[-1] + 1)
        async for part in self._world.records(stretch):
            for record in part.records:
                if record.offset in wanted:
                    yield record

    async def _states(self, partition: int, users: Collection[bytes | None]) -> dict[bytes, bytes | None]:
        log = SourceLog(self._settings.kafka, self._settings.names)
        return {user: row async for rows in log.states(partition) for user, row in rows if user in users}

    def _given(self, partition: int, rows: Mapping[bytes, bytes | None], chosen: Sequence[Record]) -> list[Outcome]:
        """What an owner would give now, found by being one."""
        intent, names = self._intent, self._settings.names
        control, topic = intent.controls[partition], names.replay_assignments
        programs = Programs(newest_program(intent.records, names), intent.records)
        evaluator = PartitionEvaluator(programs.ready(control.catalogs), partition, len(intent.spans))
        evaluator.load(rows.items())
        owner = Replays(topic, partition, evaluator, programs, lambda _: None)
        owner.restore(control.catalogs, control.replays, control.unread)
        lates = [order_of(PLANNED, intent.wish.topic, partition, record) for record in chosen]
        orders: list[tuple[bytes | None, ReplayOrder]] = [(None, Prepare(replay=PLANNED, catalogs={}))]
        orders += [(record.key, late) for record, late in zip(chosen, lates, strict=True)]
        owner.fold([PlainRecord(0, 0, key, encode_order(order)) for key, order in orders], control.positions)
        told = (decode_any_outcome(value) for _, value in evaluator.cut().outcomes)
        return [outcome for outcome in told if isinstance(outcome, Outcome)]

    def _plan(self, seconds: float) -> Plan:
        intent, wish = self._intent, self._intent.wish
        winners = len({outcome.subject for outcome in self._won})
        awards, gains = len(self._won), _gains(self._won)
        rate = orders_per_s(self._settings, len(intent.spans))
        return Plan(
            topic=wish.topic,
            since=wish.since,
            until=wish.until,
            from_versions=intent.catalogs,
            partitions=len(intent.spans),
            events=self._sums(),
            folded=self._folded,
            users=len(self._users),
            gains=gains,
            winners=winners,
            awards=awards,
            notices={"none": 0, "digest": winners, "all": awards},
            points=sum(gain.points for gain in gains),
            truncated=[str(each) for each in intent.lost],
            minutes=round((seconds + self._folded / rate) / 60, 1),
        )

    def _sums(self) -> list[Sum]:
        names = sorted({name for name, _ in self._fates})
        return [
            Sum(name, **{fate: self._fates[name, fate] for fate in FATES}, causes=dict(self._causes[name]))
            for name in names
        ]


def _gains(won: Sequence[Outcome]) -> list[Gain]:
    by_award: dict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for outcome in won:
        data = outcome.data
        reference = f"{data.achievement}/{data.tier}" if data.tier else data.achievement
        by_award[data.catalog, reference, data.name].append(outcome)
    return [
        Gain(*award, len({each.subject for each in given}), len(given), sum(each.data.points for each in given))
        for award, given in sorted(by_award.items())
    ]
