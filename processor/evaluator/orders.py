"""An order of a replay, as the owner of a partition gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from processor.evaluator.partition import Folded, Rows
from processor.evaluator.ready import ReadyProgram
from processor.evaluator.settlement import Books
from schemas.errors import BadRecord
from schemas.records import Record
from schemas.replays import ReplayOrder, decode_order
from schemas.state import State

Fate = Literal["applied", "duplicate", "skipped"]


class Given(NamedTuple):
    """An order, and what it came with. Shapes: positions, the next offset of every source where it was folded."""

    order: Any
    record: Record
    positions: Mapping[str, int]

    @property
    def user(self) -> bytes:
        if self.record.key is None:
            raise BadRecord("bad_order", f"{type(self.order).__name__} is about a user: its key must say whom")
        return self.record.key


class States(Protocol):
    """The user states of a partition, as far as orders change them; processor/evaluator/partition.py has them."""

    def change(self, program: ReadyProgram) -> None: ...
    def user(self, key: bytes) -> State: ...
    def having(self, slot: int, sign: bytes) -> list[bytes]: ...
    def tell(self, outcomes: Rows) -> None: ...
    def replace(self, rows: Mapping[bytes, bytes | None]) -> None: ...
    def fold_late(self, program: ReadyProgram, topic: str, record: Record, books: Books) -> Folded: ...
    def __len__(self) -> int: ...


def order_of(record: Record) -> ReplayOrder | None:
    """None for what will be a dead letter."""
    try:
        return read_order(record)
    except BadRecord:
        return None


def read_order(record: Record) -> ReplayOrder:
    """Raises: BadRecord."""
    try:
        order: ReplayOrder = decode_order(record.value or b"")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BadRecord("bad_order", f"this is no order of a replay: {error}") from None
    return order
