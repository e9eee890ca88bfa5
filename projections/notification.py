"""The read models `notification` and `notification_delivery`: what users are told about awards.

Written in the transaction in which the award appears, so none is told before its award can be seen.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Any

from psycopg import AsyncCursor

from projections.columns import json_text
from projections.statements import statements
from schemas.outcomes import Outcome, uuid_of

SQL = statements("notification.sql")

ID_PREFIX = b"laurel/notification/1:"
SILENT = (None, None, None, None, None)


async def insert_notifications(cursor: AsyncCursor) -> int:
    """Notify of the awards that appeared. Returns how many notifications that made."""
    await cursor.execute(SQL["insert_notifications"], prepare=False)
    return cursor.rowcount


def notification_id(outcome_id: str) -> str:
    """The same for the same outcome, whoever computes it and how often."""
    digits = sha1(ID_PREFIX + outcome_id.encode(), usedforsecurity=False).hexdigest()
    return uuid_of(digits).decode().strip('"')


def notice_columns(outcome: Outcome) -> tuple[Any, ...]:
    """notification_id, title, message, link and details; all null for an award that is not announced."""
    data = outcome.data
    if not data.announce:
        return SILENT
    link = f"/achievements/{data.catalog}/{data.achievement}"
    message = data.message or data.description
    return notification_id(outcome.id), data.name, message, link, json_text(details(outcome))


def details(outcome: Outcome) -> dict[str, Any]:
    """What a message may want to show, so that its sender need ask nobody."""
    data = outcome.data
    return {
        "outcome_id": outcome.id,
        "catalog": data.catalog,
        "achievement": data.achievement,
        "tier": data.tier,
        "scope": data.scope,
        "icon": data.icon,
        "color_from": data.color_from,
        "color_to": data.color_to,
        "category": data.category,
        "rarity": data.rarity,
        "points": data.points,
        "earned_at": data.earned_at,
        **({"metadata": data.metadata} if data.metadata else {}),
    }
