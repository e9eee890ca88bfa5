"""The read model `user_achievement`: one row for each award, from the outcomes topic.

Awards are nearly always new, so they are copied straight into their tables, which costs Postgres half of anything
else. Where one of them is there already (a rebuilt table, a position set back) the whole copy is undone, and the
batch is merged instead; so are those after it, until a batch is all new again. The other outcomes of a batch are
written behind its awards: what is revoked was unlocked before, and no two of them change the same row otherwise.

A batch's rows are copied in the order of their ids, which they begin with. Ids come at random, and in their order
neighbours in a batch are neighbours in the index: a seventh of what the copy costs Postgres.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from struct import Struct

from psycopg import AsyncConnection, AsyncCursor
from psycopg.errors import UniqueViolation

from broker.reading import Batch
from projections.award import Award, AwardData, decode_award
from projections.columns import (
    EMPTY_OBJECT,
    NULL,
    Repeated,
    append_moment,
    appended_at,
    bigint,
    copied,
    encode_json,
    jsonb,
    moment,
    nullables,
    text,
)
from projections.decoding import UNREADABLE, Undecodable, decode, undecodable
from projections.digest import NOTICES_PER_S, pace
from projections.notification import SQL as NOTIFICATION_SQL
from projections.notification import (
    copy_notifications,
    delivery_row,
    merge_notifications,
    notice_row,
    notification_uuid,
)
from projections.other_outcomes import Other, decode_other, write_others
from projections.projection import place
from projections.statements import statements
from schemas.records import Record
from schemas.topics import Names

SQL = statements("user_achievement.sql")

RECORDS_PER_TURN = 50  # decoded before Postgres is given more of the batch before: a moment, or it runs dry
NO_FIELDS, NO_SCOPE = jsonb(EMPTY_OBJECT) + 3 * NULL, text("")

_shared = Repeated(nullables)
_begin_award = Struct(">hi16siiiqiqiqiiiqiiiqi?").pack


class OutcomeRows:
    """Outcomes, and what the tables are to get of them: of awards each table's rows as COPY reads them.

    What was decoded of an award is not kept: to write into memory that was not just used costs more than to decode.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []  # those of awards
        self.rows: list[bytes] = []
        self.notices: list[bytes] = []
        self.deliveries: list[bytes] = []
        self.replayed: list[str] = []  # ids of those that a replay awarded and announces
        self.others: list[Other] = []

    @property
    def awards(self) -> list[Award]:
        return [decode_award(record.value or b"") for record in self.records]

    def add(self, award: Award, record: Record) -> None:
        user, appended = text(award.subject), append_moment(record)
        self.records.append(record)
        self.rows.append(award_row(award, user, appended))
        if award.data.announce:
            identity = notification_uuid(award.id)
            self.notices.append(notice_row(award, identity, user, appended))
            self.deliveries.append(delivery_row(identity))
            if award.data.origin == "replay":
                self.replayed.append(award.id)


class UserAchievementProjection:
    name = "user_achievement"
    window_s = window_s_max = 0.03  # an unlock should be seen at once; but not by a transaction of each partition
    records_max, fetch_bytes_min, condenses = 10_000, 1, False

    def __init__(self, names: Names, replay_notices_per_s: float = NOTICES_PER_S) -> None:
        self.topic = names.outcomes
        self._replay_notices_per_s = replay_notices_per_s
        self._all_new = True  # the last batch was

    async def prepare(self, connection: AsyncConnection) -> None:
        for statement in (SQL["create_incoming"], SQL["create_appeared"], NOTIFICATION_SQL["create_incoming"]):
            await connection.execute(statement)

    async def resume(self) -> None:
        """A record says all that its rows need."""

    async def decode(self, batches: Sequence[Batch]) -> OutcomeRows:
        rows = OutcomeRows()
        for batch in batches:
            for start in range(0, len(batch.records), RECORDS_PER_TURN):
                add_records(rows, batch.records[start : start + RECORDS_PER_TURN], place(batch))
                await asyncio.sleep(0)
        return rows

    async def write(self, connection: AsyncConnection, rows: OutcomeRows) -> int:
        async with connection.cursor() as cursor:
            notified = await self._write_awards(cursor, rows) if rows.records else 0
            if rows.replayed:
                await pace(cursor, rows.replayed, self._replay_notices_per_s)
            return notified + await write_others(cursor, rows.others, self._replay_notices_per_s)

    async def _write_awards(self, cursor: AsyncCursor, rows: OutcomeRows) -> int:
        if self._all_new:
            with suppress(UniqueViolation):
                return await self._copy(cursor, rows)
        return await self._merge(cursor, rows)

    async def _copy(self, cursor: AsyncCursor, rows: OutcomeRows) -> int:
        """Raises: UniqueViolation, nothing being written."""
        async with cursor.connection.transaction():
            async with cursor.copy(SQL["copy_awards"]) as copy:
                await copy.write(copied(sorted(rows.rows)))
            if rows.notices:
                await copy_notifications(cursor, copied(rows.notices), copied(rows.deliveries))
        return len(rows.notices)

    async def _merge(self, cursor: AsyncCursor, rows: OutcomeRows) -> int:
        async with cursor.copy(SQL["copy_incoming"]) as copy:
            await copy.write(copied(sorted(rows.rows)))
        # planned anew each time: a plan made for a small batch would be a slow one for a large batch
        await cursor.execute(SQL["insert_awards"], prepare=False)
        appeared = cursor.rowcount
        notified = await merge_notifications(cursor, copied(rows.notices)) if rows.notices else 0
        self._all_new = (appeared, notified) == (len(rows.records), len(rows.notices))
        return notified


def add_records(rows: OutcomeRows, records: Sequence[Record], where: str) -> None:
    """Raises: Undecodable."""
    for record in records:
        try:
            award = decode(record, decode_award, where)
        except Undecodable:
            rows.others.append(Other(decode(record, decode_other, where), appended_at(record)))
            continue
        try:
            rows.add(award, record)
        except UNREADABLE as error:
            raise undecodable(record, where, error) from error


def award_row(award: Award, user: bytes, appended: int) -> bytes:
    """The columns of `copy_awards`, in its order. Raises: UNREADABLE for what no column holds."""
    data, evidence = award.data, award.data.evidence
    identity, earned_at = uuid_bytes(award.id), moment(data.earned_at)
    partition, offset, version = evidence.partition, evidence.offset, data.catalog_version
    # fmt: off
    shared = (
        data.catalog, data.achievement, data.tier, data.rarity, evidence.topic, data.catalog_sha256, data.origin,
        data.replay_id, data.name if data.replay_id else None,
    )
    numbers = _begin_award(
        27, 16, identity, 4, data.n, 8, earned_at, 8, appended, 8, data.points, 4, partition, 8, offset, 4, version,
        8, data.xp, 1, data.is_public,
    )
    # fmt: on
    return b"".join(
        (
            numbers,
            bigint(data.progress_at_unlock),
            user,
            text(evidence.event_id),
            text(data.scope) if data.scope else NO_SCOPE,
            fields(data) if data.metadata or data.context else NO_FIELDS,
            _shared[shared],
        )
    )


def fields(data: AwardData) -> bytes:
    """The columns metadata, context, description and message: texts only where metadata is filled in."""
    return b"".join(
        (
            jsonb(encode_json(data.metadata)),
            jsonb(encode_json(data.context)) if data.context else NULL,
            text(data.description) if data.metadata else NULL,
            text(data.message) if data.metadata else NULL,
        )
    )


def uuid_bytes(written: str) -> bytes:
    """Raises: ValueError."""
    value = bytes.fromhex(written.replace("-", ""))
    if len(value) != 16:
        raise ValueError(f"its id {written} is no UUID")
    return value
