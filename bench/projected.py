"""What a projector is given in a measurement, and the rows that must come of it.

Outcomes and states of the users of a job, as the processor writes them: made by the contract's own encoders, in
an order that a seed gives. The rows are worked out here from the same draws, by none of the projector's code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bench.load import TOPIC
from schemas.outcomes import Evidence, Outcome, Unlocked, encode_outcome, unlocked_id
from schemas.program import AchievementSpec, CatalogProgram, Ledger
from schemas.state import (
    CONTROL_KEY,
    ID_BYTES,
    WINDOW_IDS,
    ZONE,
    Control,
    State,
    encode_control,
    encode_state,
    fresh_state,
)

EARNED_BY_EACH = 20  # achievements of a user, about
STATES_OF_EACH = 4  # records of a user in the changelog, about
VALUE_MAX = 60
DAY = 20_500
SEED = 7
FIRST, SPAN = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=90)
MILLISECOND = timedelta(milliseconds=1)

Row = tuple[Any, ...]

# The first column of each tells its rows apart. Moments of the broker are left out: nobody knew them before.
QUERIES = {
    "user_achievement": (
        "select id::text, user_id, catalog, achievement, scope, tier, n, earned_at, points, xp, rarity, "
        "progress_at_unlock, metadata::text, evidence_topic, evidence_partition, evidence_offset, "
        "evidence_event_id, catalog_version, catalog_sha256, origin, replay_id from user_achievement"
    ),
    "notification": (
        "select metadata ->> 'outcome_id', user_id, type, title, message, link, (metadata ->> 'points')::bigint, "
        "metadata ->> 'icon' from notification"
    ),
    "notification_delivery": (
        "select metadata ->> 'outcome_id', subscriber, state, attempts, dedupe = notification.id || '/default' "
        "from notification_delivery join notification on notification.id = notification_id"
    ),
    "user_progress": "select user_id, metrics, streaks, zone from user_progress",
}


class Given(NamedTuple):
    """Records for a topic, and the rows of each table that they must come to.

    Shapes: heads begin each transaction, in every partition.
    """

    records: list[tuple[bytes, bytes]]
    rows: Mapping[str, list[Row]]
    heads: Sequence[tuple[bytes, bytes]] = ()


def outcomes(program: CatalogProgram, count: int, *, announce: bool) -> Given:
    """So many unlocks, each of another award; those that are not announced make rows in one table only."""
    unlocked = list(_unlocks(program, count, announce))
    told = unlocked if announce else []
    rows = {
        "user_achievement": [_award(each) for each in unlocked],
        "notification": [_notice(each) for each in told],
        "notification_delivery": [(each.id, "default", "pending", 0, True) for each in told],
    }
    return Given([(each.subject.encode(), encode_outcome(each)) for each in unlocked], rows)


def _unlocks(program: CatalogProgram, count: int, announce: bool) -> Iterator[Outcome]:
    draw = random.Random(SEED)
    users = range(count // min(EARNED_BY_EACH, len(program.achievements)) + 1)
    pairs = [(f"u{user:07d}", entry) for user in users for entry in program.achievements]
    draw.shuffle(pairs)
    for number, (user, entry) in enumerate(pairs[:count]):
        earned_at = FIRST + draw.randrange(SPAN // MILLISECOND) * MILLISECOND
        evidence = Evidence(topic=TOPIC, partition=number % 8, offset=number, event_id=f"e{number:09d}")
        yield _unlock(program, entry, user, earned_at, evidence, announce)


def _unlock(
    program: CatalogProgram,
    entry: AchievementSpec,
    user: str,
    earned_at: datetime,
    evidence: Evidence,
    announce: bool,
) -> Outcome:
    unlocked = Unlocked(
        catalog=program.catalog,
        achievement=entry.key,
        name=entry.name,
        description=entry.description,
        message=entry.message,
        icon=entry.icon,
        color_from=entry.color_from,
        color_to=entry.color_to,
        category=entry.category,
        type=entry.type,
        catalog_version=program.version,
        catalog_sha256=program.sha256,
        tier=None,
        rarity=entry.rarity,
        points=entry.points,
        secret=entry.secret,
        scope="",
        n=0,
        metadata={},
        earned_at=earned_at,
        progress_at_unlock=evidence.offset % 100,
        evidence=evidence,
        origin="live",
        replay_id=None,
        announce=announce,
    )
    identity = unlocked_id(program.catalog, entry.key, user)
    return Outcome(id=identity, source=f"laurel/{program.catalog}", subject=user, time=earned_at, data=unlocked)


def _award(outcome: Outcome) -> Row:
    data, evidence = outcome.data, outcome.data.evidence
    return (
        *(outcome.id, outcome.subject, data.catalog, data.achievement, "", None, 0, data.earned_at, data.points),
        *(data.xp, data.rarity, data.progress_at_unlock, "{}", evidence.topic, evidence.partition, evidence.offset),
        *(evidence.event_id, data.catalog_version, data.catalog_sha256, "live", None),
    )


def _notice(outcome: Outcome) -> Row:
    data = outcome.data
    link = f"/achievements/{data.catalog}/{data.achievement}"
    text = data.message or data.description
    return outcome.id, outcome.subject, "achievement_unlocked", data.name, text, link, data.points, data.icon


def states(program: CatalogProgram, ledger: Ledger, count: int) -> Given:
    """So many state records, several of each user; the last one of a user is its row.

    They tell of a whole season, so a user's states are of different days.
    """
    draw = random.Random(SEED)
    fresh, users = _fresh(ledger), count // STATES_OF_EACH + 1
    records, rows = [], {}
    for number in range(count):
        user, zone = f"u{draw.randrange(users):07d}", draw.choice([None, "Europe/Paris"])
        values = {metric.key: draw.randrange(1, VALUE_MAX) for metric in program.metrics}
        state = _state(fresh, program, values, FIRST + SPAN * (number / count))
        state[ZONE] = zone
        records.append((user.encode(), encode_state(state)))
        rows[user] = (user, {program.catalog: values}, {program.catalog: _streaks(program, values)}, zone)
    control = encode_control(Control(catalogs={program.catalog: program.version}))
    return Given(records, {"user_progress": list(rows.values())}, [(CONTROL_KEY, control)])


def _fresh(ledger: Ledger) -> State:
    """A state whose windows are full, as those of a user who has been here for a while."""
    state = fresh_state(ledger)
    for slot in ledger.windows.values():
        state[slot] = bytes(ID_BYTES * WINDOW_IDS)
    return state


# What a metric of a kind keeps when this is its value, and that the time of its latest event.
KEPT: dict[str, Callable[[int, datetime], list[Any]]] = {
    "count": lambda value, at: [value, 0, at],
    "sum": lambda value, at: [value, 0, at],
    "max": lambda value, at: [value, at],
    "latest": lambda value, at: [value, at, "e"],
    "distinct": lambda value, at: [bytes(ID_BYTES * value), at],
    "streak": lambda value, at: [b"", DAY, DAY + value - 1, value],
}


def _state(fresh: State, program: CatalogProgram, values: Mapping[str, int], at: datetime) -> State:
    state = fresh.copy()
    for metric in program.metrics:
        kept = KEPT[metric.kind](values[metric.key], at)
        state[metric.slot : metric.slot + len(kept)] = kept
    return state


def _streaks(program: CatalogProgram, values: Mapping[str, int]) -> dict[str, dict[str, int]]:
    longest = {metric.key: values[metric.key] for metric in program.metrics if metric.kind == "streak"}
    return {
        key: {"first_day": DAY, "last_day": DAY + days - 1, "length": days, "longest": days, "freezes": 0}
        for key, days in longest.items()
    }


def faults(table: str, wanted: Iterable[Row], found: Iterable[Row]) -> list[str]:
    """The first differences of a table, rows that are there twice among them."""
    expected, rest = {row[0]: row for row in wanted}, []
    for row in found:
        if expected.pop(row[0], None) != row:
            rest.append(f"{table} has {row}")
    return [*rest[:3], *(f"{table} lacks {row}" for row in list(expected.values())[:3])]
