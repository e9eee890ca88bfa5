"""Outcomes that are no unlock: awards that were taken back, levels, challenges, answers to commands, replays.

They are few beside unlocks, so each kind is one statement that is given its rows as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg import AsyncCursor

from projections.award import decode_award
from projections.columns import bigint, encode_json
from projections.digest import pace, tell_digest
from projections.notification import Notice, notification_id, notify
from projections.statements import statements
from schemas.outcomes import (
    CHALLENGE_COMPLETED,
    COMMAND_ANSWERED,
    LEVEL_REACHED,
    REPLAY_COMPLETED,
    REVOKED,
    UNLOCKED,
    AnswerOutcome,
    ChallengeCompleted,
    ChallengeOutcome,
    LevelOutcome,
    LevelReached,
    ReplayOutcome,
    Revoked,
    RevokedOutcome,
    decode_kind,
)

SQL = statements("other_outcomes.sql")

WRITTEN_BY = {
    REVOKED: SQL["revoke_awards"],
    LEVEL_REACHED: SQL["insert_levels"],
    CHALLENGE_COMPLETED: SQL["insert_challenges"],
    COMMAND_ANSWERED: SQL["insert_answers"],
    REPLAY_COMPLETED: SQL["insert_replays"],
}
NOT_FOR_MESSAGES = {"evidence", "catalog_version", "catalog_sha256", "origin", "replay_id", "announce"}

OtherOutcome = RevokedOutcome | LevelOutcome | ChallengeOutcome | AnswerOutcome | ReplayOutcome
OF_TYPE: dict[str, msgspec.json.Decoder[OtherOutcome]] = {
    REVOKED: msgspec.json.Decoder(RevokedOutcome),
    LEVEL_REACHED: msgspec.json.Decoder(LevelOutcome),
    CHALLENGE_COMPLETED: msgspec.json.Decoder(ChallengeOutcome),
    COMMAND_ANSWERED: msgspec.json.Decoder(AnswerOutcome),
    REPLAY_COMPLETED: msgspec.json.Decoder(ReplayOutcome),
}


class Other(NamedTuple):
    """An outcome, and when the broker appended it."""

    outcome: OtherOutcome
    awarded_at: datetime


class Words(NamedTuple):
    """What a notification says."""

    title: str
    message: str
    link: str | None = None


def decode_other(value: bytes) -> OtherOutcome:
    """Raises: msgspec.MsgspecError, ValueError for an unknown type, struct.error for what no column holds."""
    kind = decode_kind(value).type
    if kind == UNLOCKED:
        decode_award(value)
    if kind not in OF_TYPE:
        raise ValueError(f"it is of type '{kind}', which this version does not know")
    outcome = OF_TYPE[kind].decode(value)
    for number in msgspec.structs.astuple(outcome.data):
        if isinstance(number, int):
            bigint(number)
    return outcome


async def write_others(cursor: AsyncCursor, others: Sequence[Other], replay_notices_per_s: float) -> int:
    """Returns how many notifications that made."""
    changed: set[str] = set()
    for kind, statement in WRITTEN_BY.items():
        if rows := [row(each) for each in others if each.outcome.type == kind]:
            await cursor.execute(statement, [encode_json(rows).decode()], prepare=False)
            changed |= {outcome_id for (outcome_id,) in await cursor.fetchall()}
    appeared = [each for each in others if each.outcome.id in changed]
    told = await tell(cursor, [each for each in appeared if is_told(each)], replay_notices_per_s)
    for each in appeared:
        if isinstance(each.outcome, ReplayOutcome) and each.outcome.data.notify == "digest":
            told += await tell_digest(cursor, each.outcome, each.awarded_at, replay_notices_per_s)
    return told


async def tell(cursor: AsyncCursor, announced: Sequence[Other], replay_notices_per_s: float) -> int:
    told = await notify(cursor, [notice(each) for each in announced])
    if replayed := [each.outcome.id for each in announced if is_replayed(each)]:
        await pace(cursor, replayed, replay_notices_per_s)
    return told


def row(other: Other) -> dict[str, Any]:
    outcome = other.outcome
    return {
        **said(outcome.data),
        "id": outcome.id,
        "user_id": outcome.subject,
        "awarded_at": other.awarded_at,
    }


def said(data: msgspec.Struct) -> dict[str, Any]:
    """Without what is not there."""
    return {name: of for name, of in msgspec.structs.asdict(data).items() if of is not msgspec.UNSET}


def is_told(other: Other) -> bool:
    outcome = other.outcome
    return not isinstance(outcome, AnswerOutcome | ReplayOutcome) and outcome.data.announce


def is_replayed(other: Other) -> bool:
    outcome = other.outcome
    return not isinstance(outcome, AnswerOutcome | ReplayOutcome) and outcome.data.origin == "replay"


def notice(other: Other) -> Notice:
    outcome = other.outcome
    words = SAID_OF[outcome.type](outcome.data)
    told = {name: of for name, of in said(outcome.data).items() if name not in NOT_FOR_MESSAGES}
    return Notice(
        id=notification_id(outcome.id),
        user_id=outcome.subject,
        type=outcome.type,
        title=words.title,
        message=words.message,
        link=words.link,
        metadata={"outcome_id": outcome.id, **told},
        created_at=other.awarded_at,
    )


def say_revoked(data: Revoked) -> Words:
    link = f"/achievements/{data.catalog}/{data.achievement}"
    return Words(data.name, "You do not hold this any more.", link)


def say_level(data: LevelReached) -> Words:
    return Words(data.name, data.message)


def say_challenge(data: ChallengeCompleted) -> Words:
    return Words(data.name, data.message or data.description)


SAID_OF: dict[str, Callable[[Any], Words]] = {
    REVOKED: say_revoked,
    LEVEL_REACHED: say_level,
    CHALLENGE_COMPLETED: say_challenge,
}
