"""The registry of replays in memory: rows, each changed by compare-and-set, of which no two have the same name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from processor.replay.late import Span
from processor.replay.ports import Status
from schemas.program import CatalogRecord
from schemas.replays import Named, Notify
from simulation.activity import PLAYS

Ending = Literal["done", "cancelled", "failed"]
CHANGES: dict[str, tuple[set[Status], Status]] = {
    "pause": ({"running"}, "paused"),
    "resume": ({"paused"}, "running"),
    "cancel": ({"running", "paused"}, "cancelling"),
    "decide": ({"running"}, "activating"),
    "done": ({"activating"}, "done"),
    "cancelled": ({"cancelling"}, "cancelled"),
    "failed": ({"running", "activating", "cancelling"}, "failed"),
}
ENDED: set[Status] = {"done", "cancelled"}


class Row:
    """A replay, and the version it brings. Shapes: spans, by partition, of one that folds late what is in them."""

    def __init__(
        self,
        id: str,
        record: CatalogRecord,
        muted: list[Named],
        filling: list[Named],
        notify: Notify,
        wanted: Sequence[Named] = (),
        spans: Mapping[int, Span] | None = None,
    ) -> None:
        self.id, self.record, self.notify = id, record, notify
        self.muted, self.filling, self.wanted, self.spans = muted, filling, wanted, spans
        self.status: Status = "running"

    @property
    def names(self) -> set[Named]:
        """What no other may have meanwhile; a topic is of no catalog."""
        return {*self.muted, *self.filling, *([] if self.spans is None else [("", PLAYS)])}


class Registry:
    """Shapes: rows, id -> row, in the order in which they were started."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def start(self, row: Row) -> bool:
        """False where a replay that has not ended has one of its names."""
        if any(row.names & other.names for other in self.rows.values() if other.status not in ENDED):
            return False
        self.rows[row.id] = row
        return True

    def change(self, id: str, verb: str) -> Status:
        """The status after it, whoever set that."""
        before, after = CHANGES[verb]
        row = self.rows[id]
        if row.status in before:
            row.status = after
        return row.status

    def under_way(self) -> list[str]:
        return [row.id for row in self.rows.values() if row.status not in (*ENDED, "failed")]

    def of_status(self, *statuses: Status) -> list[Row]:
        return [row for row in self.rows.values() if row.status in statuses]
