"""The queue that a notification service takes deliveries from.

Claimed under a lease, acknowledged with the same lease, given back with a growing pause, dead after too many
attempts, lost never. A service that dies keeps its deliveries until the lease ends; then others claim them. So
a delivery may be sent twice: `dedupe` is the same both times.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from psycopg import Connection
from psycopg.rows import dict_row

from projections.statements import statements
from schemas.errors import LaurelError

SQL = statements("notification_queue.sql")

DEFAULT_SUBSCRIBER = "default"
ATTEMPTS_MAX = 12
BACKOFF_BASE_S = 2.0
BACKOFF_CAP_S = 3600.0
CLAIM_MAX = 1000
LEASE_SECONDS_MAX = 24 * 3600


class Delivery(NamedTuple):
    """A notification on its way to one subscriber. Units: attempts counts this one."""

    notification_id: UUID
    dedupe: str
    attempts: int
    lease_until: datetime
    user_id: str
    type: str
    title: str
    message: str
    link: str | None
    metadata: dict[str, Any]
    created_at: datetime


class Claim(NamedTuple):
    """Deliveries under one lease, oldest first."""

    lease: UUID
    deliveries: list[Delivery]


class LeaseLost(LaurelError):  # noqa: N818 - what happened, not a fault
    """Deliveries that are no longer held under a lease: it ended and somebody else claimed them, or they were
    answered for already."""


def claim(connection: Connection, count: int, lease_seconds: float, subscriber: str = DEFAULT_SUBSCRIBER) -> Claim:
    """Up to `count` deliveries that are due, hidden from other claimers for the lease. Raises: LaurelError."""
    check_claim(count, lease_seconds)
    lease = uuid4()
    wanted = {
        "subscriber": subscriber,
        "count": count,
        "lease": lease,
        "seconds": lease_seconds,
        "attempts_max": ATTEMPTS_MAX,
    }
    rows = claim_rows(connection, wanted)
    while rows and all(row["state"] == "dead" for row in rows):  # others may wait behind those that just died
        rows = claim_rows(connection, wanted)
    deliveries = [delivery(row) for row in rows if row["state"] == "leased"]
    return Claim(lease, sorted(deliveries, key=lambda each: (each.created_at, each.dedupe)))


def claim_rows(connection: Connection, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(SQL["claim"], wanted).fetchall()


def delivery(row: dict[str, Any]) -> Delivery:
    return Delivery(**{field: row[field] for field in Delivery._fields})


def check_claim(count: int, lease_seconds: float) -> None:
    if not 1 <= count <= CLAIM_MAX:
        raise LaurelError(f"cannot claim {count} deliveries: ask for 1 to {CLAIM_MAX}")
    if not 0 < lease_seconds <= LEASE_SECONDS_MAX:
        raise LaurelError(f"a lease of {lease_seconds} seconds is not possible: ask for up to {LEASE_SECONDS_MAX}")


def acknowledge(connection: Connection, lease: UUID, notifications: Sequence[UUID]) -> None:
    """These were delivered. Raises: LeaseLost, after those that are still held were acknowledged."""
    wanted = {"lease": lease, "notifications": list(notifications)}
    refuse_lost(connection, "acknowledge", wanted)


def give_back(connection: Connection, lease: UUID, notifications: Sequence[UUID], error: str) -> None:
    """These could not be delivered now: due again after a pause, or dead. Raises: LeaseLost, as `acknowledge`."""
    wanted = {
        "lease": lease,
        "notifications": list(notifications),
        "error": error,
        "attempts_max": ATTEMPTS_MAX,
        "base_s": BACKOFF_BASE_S,
        "cap_s": BACKOFF_CAP_S,
    }
    refuse_lost(connection, "give_back", wanted)


def extend(connection: Connection, lease: UUID, notifications: Sequence[UUID], lease_seconds: float) -> None:
    """Hold these for so long from now on. Raises: LeaseLost, after those that are still held were extended."""
    check_claim(1, lease_seconds)
    wanted = {"lease": lease, "notifications": list(notifications), "seconds": lease_seconds}
    refuse_lost(connection, "extend", wanted)


def refuse_lost(connection: Connection, statement: str, wanted: dict[str, Any]) -> None:
    done = {row[0] for row in connection.execute(SQL[statement], wanted).fetchall()}
    lost = [str(each) for each in wanted["notifications"] if each not in done]
    if lost:
        raise LeaseLost(
            f"{len(lost)} of {len(wanted['notifications'])} deliveries are not held under lease {wanted['lease']}: "
            f"{', '.join(lost)}; the lease ended and somebody else has them, or they were answered for already: "
            "do nothing more about them, and claim for a longer time"
        )
