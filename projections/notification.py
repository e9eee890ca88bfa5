"""The read models `notification` and `notification_delivery`: what users are told about awards and other outcomes.

Written in the transaction in which the award appears, so none is told before its award can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha1
from struct import Struct
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncCursor

from projections.award import Award
from projections.columns import Repeated, encode_json, jsonb, nullable, text
from projections.statements import statements

SQL = statements("notification.sql")

ID_PREFIX = sha1(b"laurel/notification/1:", usedforsecurity=False)
SUBSCRIBER = text("default")
TYPE = text("achievement_unlocked")

_texts = Repeated(nullable)
_begin_notice = Struct(">hi16siq").pack
_begin_delivery = Struct(">hi16s").pack


class Details(msgspec.Struct, gc=False, omit_defaults=True):
    """What a message may want to show, so that its sender need ask nobody."""

    outcome_id: str
    catalog: str
    achievement: str
    tier: str | None
    scope: str
    icon: str
    color_from: str
    color_to: str
    category: str
    rarity: str
    points: int
    earned_at: datetime
    metadata: dict[str, Any] | None = None


class Notice(msgspec.Struct, gc=False):
    """A row of `notification`."""

    id: str
    user_id: str
    type: str
    title: str
    message: str
    link: str | None
    metadata: dict[str, Any]
    created_at: datetime


async def copy_notifications(cursor: AsyncCursor, notices: bytes, deliveries: bytes) -> None:
    """Notify of awards that are all new. Raises: UniqueViolation when somebody was notified already."""
    async with cursor.copy(SQL["copy_notifications"]) as copy:
        await copy.write(notices)
    async with cursor.copy(SQL["copy_deliveries"]) as copy:
        await copy.write(deliveries)


async def merge_notifications(cursor: AsyncCursor, notices: bytes) -> int:
    """Notify of the awards among these that appeared. Returns how many notifications that made."""
    async with cursor.copy(SQL["copy_incoming"]) as copy:
        await copy.write(notices)
    await cursor.execute(SQL["insert_notifications"], prepare=False)
    return cursor.rowcount


async def notify(cursor: AsyncCursor, notices: Sequence[Notice]) -> int:
    """Returns how many of them are new."""
    if not notices:
        return 0
    await cursor.execute(SQL["insert_notices"], [encode_json(notices).decode()], prepare=False)
    return cursor.rowcount


def notification_id(outcome_id: str) -> str:
    """The same for the same outcome, whoever computes it and how often."""
    return str(UUID(bytes=notification_uuid(outcome_id)))


def notification_uuid(outcome_id: str) -> bytes:
    """The first 128 bits of a sha1 as a version 5 UUID. Source: RFC 9562, section 5.5."""
    named = ID_PREFIX.copy()
    named.update(outcome_id.encode())
    digest = bytearray(named.digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return bytes(digest)


def notice_row(award: Award, identity: bytes, user: bytes, appended: int) -> bytes:
    """A row of `notification` for COPY."""
    data = award.data
    return b"".join(
        (
            _begin_notice(8, 16, identity, 8, appended),
            user,
            TYPE,
            _texts[data.name],
            _texts[data.message or data.description],
            _texts[f"/achievements/{data.catalog}/{data.achievement}"],
            jsonb(encode_json(details(award))),
        )
    )


def delivery_row(identity: bytes) -> bytes:
    """A row of `notification_delivery` for COPY."""
    return _begin_delivery(2, 16, identity) + SUBSCRIBER


def details(award: Award) -> Details:
    data = award.data
    return Details(
        outcome_id=award.id,
        catalog=data.catalog,
        achievement=data.achievement,
        tier=data.tier,
        scope=data.scope,
        icon=data.icon,
        color_from=data.color_from,
        color_to=data.color_to,
        category=data.category,
        rarity=data.rarity,
        points=data.points,
        earned_at=data.earned_at,
        metadata=data.metadata or None,
    )
