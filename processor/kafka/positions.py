"""Where a partition starts to read, and when that would be a lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import structlog

from schemas.errors import Precondition
from schemas.lanes import place_of
from schemas.state import Control

log = structlog.get_logger(__name__)


class Bounds(NamedTuple):
    """Of a partition of a source: its first offset, where what is committed in it ends, and the group's position,
    None before the first checkpoint."""

    begin: int
    end: int
    committed: int | None


def starting_positions(group: str, number: int, control: Control, bounds: Mapping[str, Bounds]) -> dict[str, int]:
    """The position of every lane: the group's, and the beginning where it has none.

    Raises: Precondition when the control record, which is committed together with positions, contradicts them.
    """
    starts = {}
    for lane, at in bounds.items():
        topic, partition = place_of(lane, number)
        starts[lane] = Source(group, topic, partition, control.positions.get(lane), *at).start()
    return starts


class Source(NamedTuple):
    """A partition of a source topic, as three witnesses know it: the changelog (recorded), the group (committed)
    and the topic itself."""

    group: str
    topic: str
    partition: int
    recorded: int | None
    begin: int
    end: int
    committed: int | None

    def start(self) -> int:
        if self.recorded is not None and self.committed is None:
            raise Precondition(self._forgotten())
        if self.committed and self.recorded is None:
            raise Precondition(self._unrecorded())
        if max(self.committed or 0, self.recorded or 0) > self.end:
            raise Precondition(self._shrunk())
        if self.committed is not None and self.committed < self.begin:
            raise Precondition(self._deleted())
        if self.recorded is not None and self.recorded != self.committed:
            log.warning("the group's position was moved by hand", source=self._asdict())
        return self.begin if self.committed is None else self.committed

    def _forgotten(self) -> str:
        return (
            f"{self} was read up to {self.recorded}, says the changelog, but the group has no position in it: the "
            "topic was recreated, or the group's offsets expired. If it is the same topic, set the position: "
            f"{self._reset(f'--to-offset {self.recorded}')}. If it is new, its users need a new namespace"
        )

    def _unrecorded(self) -> str:
        return (
            f"{self} was read up to {self.committed}, says the group, but the changelog has no word of it: it was "
            "recreated, and the states are lost. Restore it, or start over in a new namespace, whose worker reads "
            "the sources again. If the position was set by hand before the first start, take it back: "
            f"{self._reset('--to-earliest')}"
        )

    def _shrunk(self) -> str:
        read = max(self.committed or 0, self.recorded or 0)
        return (
            f"{self} ends at {self.end}, but was read up to {read}: the topic was recreated, or its broker lost "
            "data. The states hold events that it has not: restore the topic, or start over in a new namespace"
        )

    def _deleted(self) -> str:
        return (
            f"{self} begins at {self.begin}, but was read only up to {self.committed}: retention deleted the rest "
            f"unread. Raise the topic's retention.ms; to go on without it: {self._reset('--to-earliest')}"
        )

    def _reset(self, where: str) -> str:
        place = f"{self.topic}:{self.partition}"
        return f"kafka-consumer-groups.sh --group {self.group} --topic {place} --reset-offsets {where} --execute"

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"
