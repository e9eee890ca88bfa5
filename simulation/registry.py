"""The registry of replays in memory: rows, each changed by compare-and-set, of which no two have the same name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from processor.replay.late import Span
from processor.replay.ports import Report, Status
from replays.registry import LETS_GO, LEVEL, STEPS, Replay
from schemas.program import CatalogRecord
from schemas.replays import Named, Notify, Policy
from simulation.activity import PLAYS
from simulation.process import Process

BEGAN = datetime(2025, 10, 1, tzinfo=UTC)


class Whole(NamedTuple):
    """What a full one has besides. Shapes: shadow, its namespace; ran, the version before it."""

    shadow: str
    ran: int
    partitions: int
    policy: Policy


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
        whole: Whole | None = None,
    ) -> None:
        self.id, self.record, self.notify = id, record, notify
        self.muted, self.filling, self.wanted, self.spans = muted, filling, wanted, spans
        self.whole = whole
        self.status: Status = "running"
        self.is_decided = False
        self.attempt = 0
        self.progress: dict[int, Report] = {}

    @property
    def names(self) -> set[Named]:
        """What no other may have meanwhile; a topic is of no catalog."""
        return {*self.muted, *self.filling, *([] if self.spans is None else [("", PLAYS)])}

    @property
    def is_level(self) -> bool:
        assert self.whole is not None, "only a full one is level"
        found = [report.phase for report in self.progress.values()]
        return len(found) == self.whole.partitions and all(phase == LEVEL for phase in found)

    @property
    def replay(self) -> Replay:
        """A full one, as the registry tells it."""
        assert self.whole is not None, "only a full one is asked for"
        record = self.record
        return Replay(
            id=self.id,
            kind="full",
            catalog=record.catalog,
            version=record.version,
            sha256=record.sha256,
            notify=self.notify,
            policy=self.whole.policy,
            dates="exact",
            from_versions={record.catalog: self.whole.ran},
            muted=[],
            filling=[],
            plan={},
            partitions=self.whole.partitions,
            shadow=self.whole.shadow,
            status=self.status,
            who="simulated",
            created_at=BEGAN,
            decided_at=BEGAN if self.is_decided else None,
            ended_at=None,
            failure=None,
            attempt=self.attempt,
        )


class Registry:
    """Shapes: rows, id -> row, in the order in which they were started."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.leaders: dict[str, Process] = {}

    def start(self, row: Row) -> bool:
        """False where a replay that has not ended has one of its names, or one of the two is a full one."""
        others = [other for other in self.rows.values() if other.status not in LETS_GO]
        if any(row.names & other.names or row.whole or other.whole for other in others):
            return False
        self.rows[row.id] = row
        return True

    def change(self, id: str, verb: str) -> Status:
        """The status after it, whoever set that. What is decided is not called off."""
        before, after = STEPS[verb]
        row = self.rows[id]
        if row.status in before and not (after == "cancelling" and row.is_decided):
            row.status = after
            row.is_decided |= after == "activating"
            row.attempt += after == "promoting"
        return row.status

    def lead(self, id: str, process: Process) -> bool:
        """Whether this one leads, until it dies or lets go."""
        leader = self.leaders.get(id)
        if leader is None or leader.is_dead:
            self.leaders[id] = process
        return self.leaders[id] is process

    def let_go(self, id: str, process: Process) -> None:
        if self.leaders.get(id) is process:
            del self.leaders[id]

    def under_way(self) -> list[str]:
        return [row.id for row in self.rows.values() if row.status not in (*LETS_GO, "failed")]

    def of_status(self, *statuses: Status) -> list[Row]:
        return [row for row in self.rows.values() if row.status in statuses]
