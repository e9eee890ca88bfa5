"""What every projection is: decoded outside the transaction, written inside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from psycopg import AsyncConnection

from broker.reading import Batch


class Projection(Protocol):
    """One read model, written from one topic.

    Units: window_s, how long records are gathered before they are written, from the first one on; up to
    window_s_max while Postgres is busy for that long with those before. records_max, about, of one transaction.
    condenses, whether of a key's records in a batch only the last is wanted. fetch_bytes_min, what the broker
    gathers first, for a quarter of a second; 1: it gives what it has.
    """

    @property
    def name(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def window_s(self) -> float: ...
    @property
    def window_s_max(self) -> float: ...
    @property
    def records_max(self) -> int: ...
    @property
    def condenses(self) -> bool: ...
    @property
    def fetch_bytes_min(self) -> int: ...

    async def prepare(self, connection: AsyncConnection) -> None:
        """Make the temporary tables of a new session."""

    async def resume(self) -> None:
        """Look up what is to be known before reading goes on at the positions."""

    async def decode(self, batches: Sequence[Batch]) -> Any:
        """The rows of these records. Raises: Undecodable."""

    async def write(self, connection: AsyncConnection, rows: Any) -> int:
        """Write what `decode` gave; the caller commits. Returns how many notifications that made."""


def place(batch: Batch) -> str:
    return f"{batch.topic}/{batch.partition}"
