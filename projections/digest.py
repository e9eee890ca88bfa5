"""What users are told of what a replay gave them: one message each, when it has ended in their partition.

By then all that they gained lies before it in the outcomes, so the message can name it. And how soon anything that
a replay announces may reach a notification service.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from psycopg import AsyncCursor
from psycopg.rows import class_row

from projections.notification import Notice, notification_id, notify
from projections.statements import statements
from schemas.outcomes import REPLAY_COMPLETED, ReplayCompleted, ReplayOutcome, outcome_id

SQL = statements("digest.sql")

NOTICES_PER_S = 100.0  # a million within three hours
NOTICES_PER_STATEMENT = 5_000
TITLE = "Earned by what you did before"


class Gain(NamedTuple):
    """What a user gained. Shapes: names are the first of `named`, link is there where they are one."""

    user_id: str
    awards: int
    points: int
    names: list[str]
    named: int
    link: str | None


class Told(NamedTuple):
    """How many notifications were made, and of which outcomes of a replay there may be one."""

    made: int
    replayed: list[str]


async def tell_digest(cursor: AsyncCursor, ended: ReplayOutcome, at: datetime) -> Told:
    """Everybody who was told of this replay before, by whatever record, is not told again."""
    replay = ended.data
    notices = [digest(ended, gain, at) for gain in await read_gains(cursor, replay)]
    made = 0
    for start in range(0, len(notices), NOTICES_PER_STATEMENT):
        made += await notify(cursor, notices[start : start + NOTICES_PER_STATEMENT])
    return Told(made, [digest_id(replay.replay_id, each.user_id) for each in notices])


async def read_gains(cursor: AsyncCursor, replay: ReplayCompleted) -> Sequence[Gain]:
    async with cursor.connection.cursor(row_factory=class_row(Gain)) as gains:
        await gains.execute(SQL["gained"], msgspec.structs.asdict(replay), prepare=False)
        return await gains.fetchall()


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
