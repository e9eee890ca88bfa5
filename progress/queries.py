"""All that is read from Postgres to tell progress. docs/read-models.md describes the tables.

A person is read in one snapshot, so that awards, metrics and streaks belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace
from psycopg import Connection
from psycopg.rows import dict_row

from progress.rarity import Holders
from progress.rows import Award, ChallengeCompleted, LevelReached, Pace, Person, Run
from progress.success import DayRate, Earned, Success, extremes
from schemas.outcomes import Missing
from schemas.program import CatalogProgram

PROGRAMS = b"""
select
    program::text,
    array(
        select entry.key || coalesce('/' || entry.tier, '')
        from achievement_entry as entry
        where entry.catalog = catalog.catalog
            and not exists (
                select from achievement as listed
                where listed.catalog = entry.catalog
                    and listed.key = entry.key
                    and listed.tier is not distinct from entry.tier
            )
    )
from catalog
order by catalog
"""

PROGRESS = b"""
select
    zone,
    updated_at,
    coalesce(metrics -> %(catalog)s, '{}') || coalesce(windows -> %(catalog)s, '{}') as metrics,
    coalesce(streaks -> %(catalog)s, '{}') as streaks,
    coalesce(pace -> %(catalog)s, '{}') as paces,
    (known_since ->> %(catalog)s)::timestamptz as known_since
from user_progress
where user_id = %(user)s
"""

IS_KNOWN = b"""
select exists (select from user_progress where user_id = %(user)s)
    or exists (select from user_achievement where user_id = %(user)s)
"""

AWARDS = b"""
select
    award.id::text as id,
    award.achievement,
    coalesce(entry.name, award.achievement) as name,
    coalesce(award.description, entry.description, '') as description,
    coalesce(award.message, entry.message, '') as message,
    coalesce(entry.icon, '') as icon,
    coalesce(entry.category, '') as category,
    award.rarity,
    award.tier,
    award.scope,
    award.n,
    award.points,
    award.xp,
    award.earned_at,
    award.awarded_at,
    award.progress_at_unlock,
    award.metadata,
    coalesce(award.context, '{}') as context,
    jsonb_build_object(
        'topic', award.evidence_topic, 'partition', award.evidence_partition, 'offset', award.evidence_offset,
        'event_id', award.evidence_event_id
    ) as evidence,
    award.catalog_version,
    award.catalog_sha256,
    award.origin,
    award.replay_id,
    coalesce(chosen.is_public, award.is_public) as is_public,
    coalesce(award.catalog_version < legacy.until_version, false) as is_legacy,
    coalesce(replay.dates, 'exact') as dates,
    award.revoked_at,
    award.revocation
from user_achievement as award
left join achievement_entry as entry
    on entry.catalog = award.catalog
    and entry.key = award.achievement
    and entry.tier is not distinct from award.tier
left join award_visibility as chosen on chosen.outcome_id = award.id
left join legacy_rule as legacy
    on legacy.catalog = award.catalog
    and legacy.achievement = award.achievement
    and legacy.tier is not distinct from award.tier
left join replay on replay.id = award.replay_id
where award.user_id = %(user)s and award.catalog = %(catalog)s
order by award.earned_at desc, award.n desc, award.achievement, award.tier, award.scope
"""

LEVELS = b"""
select level, value, earned_at from user_level_reached
where user_id = %(user)s and catalog = %(catalog)s
order by level desc
"""

CHALLENGES = b"""
select challenge, day, xp, earned_at from user_challenge
where user_id = %(user)s and catalog = %(catalog)s
order by earned_at desc, challenge
"""

HOLDERS = b"""
select achievement, tier, holders, users from achievement_rarity
where catalog = %(catalog)s
order by achievement, tier
"""

SUCCESS = b"""
select
    reach.users,
    reach.holders as users_with_award,
    reach.percent::float8 as users_with_award_percent,
    average.awards,
    average.average::float8 as awards_per_user,
    first.mean as mean_time_to_first,
    first.median as median_time_to_first
from success_users_with_award as reach
join success_awards_per_user as average using (catalog)
join success_time_to_first_award as first using (catalog)
where catalog = %(catalog)s
"""

EARNED = b"select achievement, holders from success_most_and_least_earned where catalog = %(catalog)s"

UNLOCK_RATE = b"select day, awards, users from success_unlock_rate where catalog = %(catalog)s order by day"

ANSWER = b"""
select status, reason, message, missing, answered_at from command_answer
where command_id = %(command_id)s and user_id = %(user)s
order by answered_at
limit 1
"""

SNAPSHOT = b"set transaction isolation level repeatable read read only"

_decode_program = msgspec.json.Decoder(CatalogProgram).decode


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command. Shapes: reason is a word for programs, None when it was accepted."""

    status: str
    reason: str | None
    message: str
    missing: list[Missing]
    answered_at: datetime


def read_programs(connection: Connection) -> list[CatalogProgram]:
    """The newest version of every catalog, by their names. What is not listed yet is kept as a secret."""
    rows = connection.execute(PROGRAMS).fetchall()
    return [_with_secrets(_decode_program(text), {*unlisted}) for text, unlisted in rows]


def _with_secrets(program: CatalogProgram, references: AbstractSet[str]) -> CatalogProgram:
    entries = [
        replace(entry, secret=True) if entry.reference in references else entry for entry in program.achievements
    ]
    return replace(program, achievements=entries)


def can_be_stored(text: str) -> bool:
    """Postgres takes no NUL, and UTF-8 no halves of characters, which a shell's other bytes become."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def is_known(connection: Connection, user: str) -> bool:
    """Whether any event of theirs has reached the read models."""
    if not can_be_stored(user):
        return False
    row = connection.execute(IS_KNOWN, {"user": user}).fetchone()
    return bool(row and row[0])


def read_person(connection: Connection, user: str, catalog: str) -> Person:
    """What is known of a user in a catalog; of somebody unknown, nothing."""
    named = {"user": user, "catalog": catalog}
    with snapshot(connection):
        progress = next(iter(_rows(connection, PROGRESS, named)), {})
        awards = [award_of(row) for row in _rows(connection, AWARDS, named)]
        levels = _rows(connection, LEVELS, named)
        challenges = _rows(connection, CHALLENGES, named)
    return Person(
        user=user,
        zone=progress.get("zone"),
        metrics=progress.get("metrics", {}),
        streaks={metric: run_of(row) for metric, row in progress.get("streaks", {}).items()},
        paces=dict(paces_of(progress.get("paces", {}), progress.get("metrics", {}))),
        awards=awards,
        levels=msgspec.convert(levels, list[LevelReached]),
        challenges=msgspec.convert(challenges, list[ChallengeCompleted]),
        updated_at=progress.get("updated_at"),
        known_since=progress.get("known_since"),
    )


def run_of(row: Mapping[str, int | None]) -> Run:
    """A row that was written before runs had a length has none that is shorter than its days."""
    first, last = row["first_day"], row["last_day"]
    span = last - first + 1 if first is not None and last is not None else 0
    length = row.get("length")
    return Run(
        first_day=first,
        last_day=last,
        length=span if length is None else length,
        longest=row["longest"] or 0,
        freezes=row.get("freezes") or 0,
    )


def paces_of(
    rows: Mapping[str, tuple[int, float, int, int, int]], metrics: Mapping[str, Any]
) -> Iterator[tuple[str, Pace]]:
    """A row knows the value when its last day began: what was gained since then is what the metric has more."""
    for metric, (base, gained, day, first_day, days) in rows.items():
        value = metrics.get(metric)
        if isinstance(value, int):
            yield metric, Pace(gained=max(0, gained + value - base), day=day, first_day=first_day, days=days)


def award_of(row: Mapping[str, Any]) -> Award:
    told = {**row, "revocation": row["revocation"] and {**row["revocation"], "revoked_at": row["revoked_at"]}}
    return msgspec.convert(told, Award)


def read_holders(connection: Connection, catalog: str) -> list[Holders]:
    return msgspec.convert(_rows(connection, HOLDERS, {"catalog": catalog}), list[Holders])


def read_success(connection: Connection, program: CatalogProgram) -> Success:
    named = {"catalog": program.catalog}
    with snapshot(connection):
        (numbers,) = _rows(connection, SUCCESS, named)
        earned = msgspec.convert(_rows(connection, EARNED, named), list[Earned])
        rate = msgspec.convert(_rows(connection, UNLOCK_RATE, named), list[DayRate])
    most, least = extremes(program, earned)
    return Success(catalog=program.catalog, most_earned=most, least_earned=least, unlock_rate=rate, **numbers)


def read_answer(connection: Connection, command_id: str, user: str) -> Answer | None:
    """None until the processor has decided and the projector has seen it."""
    rows = _rows(connection, ANSWER, {"command_id": command_id, "user": user})
    return msgspec.convert(rows[0], Answer) if rows else None


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """All that is read within belongs to one moment."""
    with connection.transaction():
        connection.execute(SNAPSHOT)
        yield


def _rows(connection: Connection, query: bytes, named: Mapping[str, str]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, named).fetchall()
