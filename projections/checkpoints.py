"""How far a projection has read, kept in the transaction that writes what was read.

A crash before the commit shows nothing and is read again; after it the rows and the position are there.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker.reading import Batch
from projections.decoding import RESTART
from projections.session import Session
from schemas.errors import LaurelError


class TakenOver(LaurelError):  # noqa: N818 - what happened, not a fault
    """Another process has moved a position that this one held."""

    exit_code = RESTART


async def move(session: Session, projection: str, batches: Sequence[Batch]) -> None:
    """Compare and set, before any row is written. Raises: TakenOver."""
    moved = await session.move(batches)
    if lost := sorted(f"{batch.topic}-{batch.partition}" for batch in batches if batch.partition not in moved):
        raise TakenOver(
            f"'{projection}' no longer holds {', '.join(lost)}: another projector took over while this one was "
            "away; nothing was written, and this process must start again"
        )
