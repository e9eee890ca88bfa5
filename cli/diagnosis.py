"""What `laurel doctor` looks at. Every check gives findings; an error of ours in one of them is a finding too."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple

from psycopg import Connection

from broker.catalogs import read_program
from broker.connections import admin, consumer
from broker.groups import Group, look_at_group
from broker.parking import Parking, read_parking
from broker.positions import Place, Positions, as_partitions, group_positions, last_stable_offsets
from broker.reading import read_to_end
from broker.topics import check_topics, places_of
from cli.dead_letters import dead_letter
from cli.postgres import read_models
from cli.settings import Settings
from processor.preflight import needed_topics, state_partitions
from projections import notification_queue
from projections.migrations.runner import check_current
from schemas.errors import LaurelError
from schemas.notes import EXITS_MAX
from schemas.program import Program

Status = Literal["ok", "warn", "fail"]

LOOK_AGAIN_S = 2.0  # a lag that stands still so long, with somebody at work on it, is worth a word
OLDEST_PENDING_S = 600.0
LETTERS_MAX = 10_000  # of a partition; with every one of them a page would take minutes
STABLE = "Stable"


class Finding(NamedTuple):
    """One line of the page."""

    status: Status
    subject: str
    said: str
    remedy: str = ""


class Diagnosis(NamedTuple):
    broker_answers: bool
    findings: list[Finding]


class Deployment(NamedTuple):
    """What the later checks rest on."""

    settings: Settings
    program: Program
    partitions: int


async def diagnose(settings: Settings) -> Diagnosis:
    """Everything that can be looked at; what rests on something that is missing is left out."""
    broker = await _broker(settings)
    answers = broker.status == "ok"
    findings = [broker]
    if answers:
        findings += await _on_kafka(settings)
        findings += await _checked("projectors", _projectors(settings))
    in_postgres = await asyncio.to_thread(_in_postgres, settings)
    findings += in_postgres
    if answers and all(finding.status != "fail" for finding in in_postgres):
        findings += await _checked("projections", _projected(settings))
    return Diagnosis(answers, findings)


async def _checked(subject: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        return await check
    except LaurelError as error:
        return [failed(subject, error)]


def failed(subject: str, error: LaurelError) -> Finding:
    """Our errors say what is wrong, a colon, and what to do."""
    return Finding("fail", subject, str(error))


async def _broker(settings: Settings) -> Finding:
    try:
        async with admin(settings.kafka) as client:
            brokers = (await client.describe_cluster())["brokers"]
    except LaurelError as error:
        return failed("broker", error)
    return Finding("ok", "broker", f"{settings.kafka} answers, {counted(len(brokers), 'broker')}")


async def _on_kafka(settings: Settings) -> list[Finding]:
    try:
        program = await read_program(settings.kafka, settings.names)
        partitions = await state_partitions(settings.kafka, settings.names)
    except LaurelError as error:
        return [failed("catalogs", error)]
    versions = ", ".join(f"{catalog.catalog} {catalog.version}" for catalog in program.catalogs)
    findings = [Finding("ok", "catalogs", versions)]
    deployment = Deployment(settings, program, partitions)
    for subject, check in KAFKA_CHECKS.items():
        findings += await _checked(subject, check(deployment))
    return findings


async def _topics(deployment: Deployment) -> list[Finding]:
    settings, program, partitions = deployment
    wanted = needed_topics(settings.names, program, partitions)
    faults = await check_topics(settings.kafka, wanted, program.repartitioned)
    found = [Finding("fail", "topics", fault.message) for fault in faults]
    return found or [Finding("ok", "topics", f"{counted(len(wanted), 'topic')} fit")]


async def _workers(deployment: Deployment) -> list[Finding]:
    settings = deployment.settings
    group = await look_at_group(settings.kafka, settings.names.processor)
    return [members("workers", group, "`laurel worker`"), *await _lag(deployment, group)]


def members(subject: str, group: Group, command: str) -> Finding:
    if not group.members:
        return Finding("fail", subject, "none is a member of its group", f"start {command}; see its log")
    said = f"{counted(group.members, 'member')}, group {group.state}"
    if group.state != STABLE:
        return Finding("warn", subject, said, "a rebalance is under way: look again in a few seconds")
    return Finding("ok", subject, said)


async def _lag(deployment: Deployment, group: Group) -> list[Finding]:
    settings = deployment.settings
    places = await places_of(settings.kafka, deployment.program.sources)
    async with group_positions(settings.kafka, settings.names.processor) as looking:
        before = await looking.committed(places)
        behind = short_of(before, await looking.ends(places))
        if behind and group.members:
            await asyncio.sleep(LOOK_AGAIN_S)
        return [lag_finding("lag", behind, before, await looking.committed(places))]


def lag_finding(subject: str, behind: Positions, before: Positions, after: Positions) -> Finding:
    """Shapes: behind, how far each place is that is behind; before and after, positions seconds apart."""
    if not behind:
        return Finding("ok", subject, "none")
    said = f"{sum(behind.values()):,} offsets in {counted(len(behind), 'partition')}"
    still = sorted(place for place in behind if after.get(place) == before.get(place))
    if not still:
        return Finding("ok", subject, f"{said}, all moving")
    (topic, partition), others = still[0], counted(len(still), "partition")
    said += f"; {others} stood still for {LOOK_AGAIN_S:.0f} s, {topic}-{partition} at {after.get(still[0], 0):,}"
    return Finding("warn", subject, said, "unless it is parked or idle, see the log of its owner")


async def _parked(deployment: Deployment) -> list[Finding]:
    settings, program, partitions = deployment
    places = await places_of(settings.kafka, program.sources)
    notes = await read_parking(settings.kafka, settings.names, range(partitions))
    async with group_positions(settings.kafka, settings.names.processor) as group:
        positions = await group.committed(places)
    found = [
        finding
        for place, parking in sorted(notes.items(), key=lambda item: item[0])
        if (finding := parking_finding(place, parking, positions.get(place, 0)))
    ]
    return found or [Finding("ok", "parked", "no partition")]


def parking_finding(place: Place, parking: Parking, position: int) -> Finding | None:
    """What is to be said of a note, unless its records lie behind us."""
    suspect, (topic, partition) = parking.suspect, place
    if suspect is None or suspect.end <= position:
        return None
    where = f"{topic}-{partition} offset {suspect.start}"
    if not parking.is_parked:
        times = f"{suspect.exits} of {EXITS_MAX} times"
        said = f"{where} to {suspect.end - 1}: a worker ended there with {suspect.error}, {times}"
        return Finding("warn", "parked", said, "see the worker's log")
    if parking.is_to_be_skipped:
        return Finding("warn", "parked", f"{where}: ordered to be skipped", "its owner does it; see `workers`")
    skip = f"laurel skip {topic} {partition} {suspect.start}"
    remedy = f"upgrade to a version that can read it, then `{skip} --retry`; or make it a dead letter: `{skip}`"
    return Finding(
        "fail", "parked", f"{where} ends the worker with {suspect.error}; nothing behind it is read", remedy
    )


async def _dead_letters(deployment: Deployment) -> list[Finding]:
    settings = deployment.settings
    starts = await _newest(settings, settings.names.dead_letters)
    causes: Counter[str] = Counter()
    async for batch in read_to_end(settings.kafka, starts, starts):
        causes.update(dead_letter(batch.partition, record).cause for record in batch.records)
    if not causes:
        return [Finding("ok", "dead letters", "none")]
    said = ", ".join(f"{cause} {count:,}" for cause, count in causes.most_common())
    remedy = "`laurel dlq list`, and tell their publisher"
    return [Finding("warn", "dead letters", f"{causes.total():,} of the newest: {said}", remedy)]


async def _newest(settings: Settings, topic: str) -> Positions:
    """Where to begin to read no more than the newest records of each partition."""
    places = as_partitions(await places_of(settings.kafka, [topic]))
    async with consumer(settings.kafka) as client:
        begins, ends = await client.beginning_offsets(places), await client.end_offsets(places)
    return {place: max(begins[place], ends[place] - LETTERS_MAX) for place in places}


Check = Callable[[Deployment], Awaitable[list[Finding]]]
KAFKA_CHECKS: dict[str, Check] = {
    "topics": _topics,
    "workers": _workers,
    "parked": _parked,
    "dead letters": _dead_letters,
}


def _in_postgres(settings: Settings) -> list[Finding]:
    try:
        with read_models(settings) as connection:
            check_current(connection, settings.names.postgres_schema)
            return [Finding("ok", "postgres", "answers, its schema is up to date"), _queue(connection)]
    except LaurelError as error:
        return [failed("postgres", error)]


def _queue(connection: Connection) -> Finding:
    rows = connection.execute(notification_queue.SQL["depth"]).fetchall()
    counts: Counter[str] = Counter({state: count for state, count, _ in rows})
    oldest_s = max((oldest or 0.0 for state, _, oldest in rows if state == "pending"), default=0.0)
    return queue_finding(counts, oldest_s)


def queue_finding(counts: Mapping[str, int], oldest_s: float) -> Finding:
    said = f"{counts['pending']:,} pending, {counts['leased']:,} leased, {counts['dead']:,} dead"
    if counts["dead"]:
        return Finding("warn", "queue", said, "dead deliveries were tried too often: see last_error in their rows")
    if oldest_s > OLDEST_PENDING_S:
        late = f"{said}, the oldest due for {oldest_s:,.0f} s"
        return Finding("warn", "queue", late, "nobody claims them, or too slowly: see `laurel queue claim`")
    return Finding("ok", "queue", said)


async def _projectors(settings: Settings) -> list[Finding]:
    group = await look_at_group(settings.kafka, settings.names.projector)
    return [members("projectors", group, "`laurel projector`")]


async def _projected(settings: Settings) -> list[Finding]:
    before = await asyncio.to_thread(_projections, settings)
    ends = await last_stable_offsets(settings.kafka, {place for each in before.values() for place in each})
    behind = {name: short_of(positions, ends) for name, positions in before.items()}
    if any(behind.values()):
        await asyncio.sleep(LOOK_AGAIN_S)
    after = await asyncio.to_thread(_projections, settings)
    return [lag_finding(name, behind[name], before[name], after[name]) for name in sorted(before)]


POSITIONS = b"select projection, topic, partition, next_position from projection_position"


def _projections(settings: Settings) -> dict[str, Positions]:
    """How far each projection has read."""
    found: defaultdict[str, Positions] = defaultdict(dict)
    with read_models(settings) as connection:
        for projection, topic, partition, position in connection.execute(POSITIONS):
            found[projection][topic, partition] = position
    return dict(found)


def short_of(positions: Mapping[Place, int], ends: Mapping[Place, int]) -> Positions:
    """How far behind the places are that are behind."""
    return {
        place: ends[place] - positions[place]
        for place in ends.keys() & positions.keys()
        if positions[place] < ends[place]
    }


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
