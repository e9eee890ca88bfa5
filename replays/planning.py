"""The plan of a replay: what a new version changes, how it is made up for and why, and what that comes to.

It changes nothing. What is counted is counted by the fold that a replay uses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import msgspec
from psycopg import Connection

from broker import garbage
from processor.replay.job import PARTITIONS_AT_ONCE
from replays.counting import SQL, Count, Counted, Gain, present_ends
from replays.intent import Intent
from replays.settings import ReplaySettings
from replays.sources import SourceLog
from schemas.errors import Precondition
from schemas.replays import Named

HASH_CHARS = 12
NOT_COUNTED = Counted([], 0, 0, 0, 0.0)


class Retired(NamedTuple):
    """An achievement whose rule is harder now, or gone, and how many awards of it are held: see --policy."""

    catalog: str
    achievement: str
    held: int


class Plan(NamedTuple):
    """What `laurel replay plan` says.

    Shapes: plan, a hash of all that the plan goes by; notices, by what --notify may be; conflicts, what other
    replays have, with their ids; truncated, the partitions whose log has lost its beginning. Units: points_now, all
    that users have in this catalog; minutes, estimated, while the job need not yield to live events.
    """

    plan: str
    catalog: str
    version: int
    sha256: str
    from_versions: dict[str, int]
    partitions: int
    kind: str
    why: list[str]
    filling: list[Named]
    muted: list[Named]
    wanted: list[Named]
    gains: list[Gain]
    users: int
    awards: int
    notices: dict[str, int]
    points: int
    points_now: int
    retired: list[Retired]
    conflicts: list[tuple[str, str, str]]
    truncated: list[str]
    records: int
    minutes: float


async def planned(
    settings: ReplaySettings,
    intent: Intent,
    connection: Connection,
    users: Collection[str] | None = None,
    show: Callable[[int], None] = lambda records: None,
) -> Plan:
    """Shapes: users, whom alone to count; all, where None. `show` is told how many records were read."""
    garbage.collect_rarely()
    counted = NOT_COUNTED
    if intent.changes.kind in ("sweep", "fold_and_merge"):
        ends = await present_ends(settings.kafka, intent)
        log = SourceLog(settings.kafka, settings.names)
        counted = await Count(intent, users).run(log, ends, connection, show)
    return _plan(intent, counted, connection, orders_per_s(settings, intent.partitions))


def orders_per_s(settings: ReplaySettings, partitions: int) -> float:
    """How many a job may send to all of them together."""
    return settings.replay_rate * min(PARTITIONS_AT_ONCE, partitions)


def _plan(intent: Intent, counted: Counted, connection: Connection, rate: float) -> Plan:
    """Units: rate, the orders that may be sent a second."""
    found, catalog = intent.changes, intent.catalog
    awards = sum(gain.awards for gain in counted.gains)
    return Plan(
        plan=hash_of(intent),
        catalog=catalog.catalog,
        version=catalog.version,
        sha256=catalog.sha256,
        from_versions=intent.from_versions,
        partitions=intent.partitions,
        kind=found.kind,
        why=found.why,
        filling=found.filling,
        muted=found.muted,
        wanted=found.wanted,
        gains=counted.gains,
        users=counted.users,
        awards=awards,
        notices={"none": 0, "digest": counted.users, "all": awards},
        points=sum(gain.points for gain in counted.gains),
        points_now=_one(connection, "points", {"catalog": catalog.catalog}),
        retired=[*_retired(intent, connection)],
        conflicts=[(*name, holder) for name, holder in found.conflicts.items()],
        truncated=[str(each) for each in intent.lost],
        records=counted.records,
        minutes=round((counted.seconds + counted.orders / rate) / 60, 1),
    )


def hash_of(intent: Intent) -> str:
    """Equal for plans of the same catalog over the same state of things."""
    found = intent.changes
    about = [intent.catalog.sha256, intent.from_versions, intent.partitions, found.kind, found.wanted]
    told = msgspec.json.encode(about, order="deterministic")
    return hashlib.sha256(told).hexdigest()[:HASH_CHARS]


def _retired(intent: Intent, connection: Connection) -> Iterator[Retired]:
    for catalog, reference in [*intent.changes.removed, *intent.changes.harder]:
        yield Retired(catalog, reference, _one(connection, "holders", {"catalog": catalog, "reference": reference}))


def _one(connection: Connection, statement: str, wanted: dict[str, Any]) -> int:
    row = connection.execute(SQL[statement], wanted).fetchone()
    return row[0] if row else 0


def refuse_outdated(told: dict[str, Any], intent: Intent) -> None:
    """Hold a plan, as `laurel replay plan --json` told it, against what is now. Raises: Precondition."""
    if told.get("plan") == hash_of(intent):
        return
    then, now = _goes_by(told), _goes_by(_now(intent))
    changed = [f"{what} was {then[what]} and is {value}" for what, value in now.items() if then[what] != value]
    raise Precondition(
        f"the plan is not of this any more: {'; '.join(changed) or 'what it takes is another'}. Plan again with "
        "`laurel replay plan`, and look at it"
    )


def _now(intent: Intent) -> dict[str, Any]:
    return {
        "sha256": intent.catalog.sha256,
        "from_versions": intent.from_versions,
        "partitions": intent.partitions,
    }


def _goes_by(told: dict[str, Any]) -> dict[str, str]:
    """In words, of a plan that was told, or of what is now."""
    versions = told.get("from_versions") or {}
    return {
        "the catalog's hash": f"{told.get('sha256')}"[:HASH_CHARS],
        "what runs": ", ".join(f"{catalog} {version}" for catalog, version in sorted(versions.items())),
        "the number of partitions": f"{told.get('partitions')}",
    }
