"""What users are told of what a replay gave them: one message each, when it has ended in their partition.

By then all that they gained lies before it in the outcomes, so the message can name it. And how soon anything that
a replay announces may reach a notification service.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import class_row

from projections.notification import Notice, notification_id, notify
from projections.statements import statements
from schemas.outcomes import REPLAY_COMPLETED, ReplayOutcome, outcome_id

SQL = statements("digest.sql")

NOTICES_PER_S = 100.0  # a million within three hours
USERS_PER_TURN = 2_000
TITLE = "Earned by what you did before"


class Gain(NamedTuple):
    """What a user gained. Shapes: names are the first of `named`, link is there where they are one."""

    user_id: str
    awards: int
    points: int
    names: list[str]
    named: int
    link: str | None


async def tell_digest(cursor: AsyncCursor, ended: ReplayOutcome, at: datetime, per_s: float) -> int:
    """Returns how many were told. Everybody who was told of this replay before is not told again.

    Some at a time, so that a replay that reaches everybody does not need memory for everybody.
    """
    told = 0
    async with cursor.connection.cursor("gains", row_factory=class_row(Gain)) as gains:
        await gains.execute(SQL["gained"], msgspec.structs.asdict(ended.data))
        while some := await gains.fetchmany(USERS_PER_TURN):
            told += await notify(cursor, [digest(ended, gain, at) for gain in some])
            await pace(cursor, [digest_id(ended.data.replay_id, gain.user_id) for gain in some], per_s)
    return told


def digest_id(replay: str, user: str) -> str:
    """In the place of an outcome's id: the same for the same replay and user."""
    return outcome_id(REPLAY_COMPLETED, "", replay, user)


def digest(ended: ReplayOutcome, gain: Gain, at: datetime) -> Notice:
    metadata = {"outcome_id": ended.id, "replay_id": ended.data.replay_id, "awards": gain.awards}
    return Notice(
        id=notification_id(digest_id(ended.data.replay_id, gain.user_id)),
        user_id=gain.user_id,
        type=REPLAY_COMPLETED,
        title=TITLE,
        message=say(gain),
        link=gain.link,
        metadata={**metadata, "points": gain.points, "names": gain.names},
        created_at=at,
    )


def say(gain: Gain) -> str:
    more = gain.named - len(gain.names)
    return f"{gain.awards} new: {', '.join(gain.names)}" + (f" and {more} more" if more else "")


async def pace(cursor: AsyncCursor, outcomes: Iterable[str], per_s: float) -> None:
    """Spread the deliveries that this transaction has made for outcomes of replays."""
    notifications = [notification_id(each) for each in outcomes]
    await cursor.execute(SQL["pace"], {"notifications": notifications, "per_s": per_s}, prepare=False)
