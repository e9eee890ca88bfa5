"""The read model `user_achievement`: one row for each award, from the outcomes topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from broker.reading import Batch
from projections.columns import appended_at, json_text
from projections.decoding import decode
from projections.notification import insert_notifications, notice_columns
from projections.projection import place
from projections.statements import statements
from schemas.outcomes import Outcome, decode_outcome
from schemas.records import Record
from schemas.topics import Names

SQL = statements("user_achievement.sql")

AwardRow = tuple[Any, ...]


class UserAchievementProjection:
    name = "user_achievement"
    window_s = 0.03  # an unlock should be seen at once, but eight partitions need not make eight transactions

    def __init__(self, names: Names) -> None:
        self.topic = names.outcomes

    async def prepare(self, connection: AsyncConnection) -> None:
        await connection.execute(SQL["create_incoming"])
        await connection.execute(SQL["create_appeared"])

    async def decode(self, batches: Sequence[Batch]) -> list[AwardRow]:
        return [award_row(record, place(batch)) for batch in batches for record in batch.records]

    async def write(self, connection: AsyncConnection, rows: list[AwardRow]) -> int:
        if not rows:
            return 0
        async with connection.cursor() as cursor:
            async with cursor.copy(SQL["copy_incoming"]) as copy:
                for row in rows:
                    await copy.write_row(row)
            # planned anew each time: a plan made for a small batch would be a slow one for a large batch
            await cursor.execute(SQL["insert_awards"], prepare=False)
            return await insert_notifications(cursor)


def award_row(record: Record, where: str) -> AwardRow:
    """The columns of `incoming_award`, in order. Raises: Undecodable."""
    outcome = decode(record, decode_outcome, where)
    return award_columns(outcome, record) + notice_columns(outcome)


def award_columns(outcome: Outcome, record: Record) -> AwardRow:
    data = outcome.data
    return (
        outcome.id,
        outcome.subject,
        data.catalog,
        data.achievement,
        data.scope,
        data.tier,
        data.n,
        data.earned_at,
        appended_at(record),
        data.points,
        data.rarity,
        data.progress_at_unlock,
        json_text(data.metadata),
        data.evidence.topic,
        data.evidence.partition,
        data.evidence.offset,
        data.evidence.event_id,
        data.catalog_version,
        data.catalog_sha256,
        data.origin,
        data.replay_id,
    )
