"""What the job of a replay asks of the world: the log, the notes of the owners, the registry, the live traffic.

On servers these are Kafka and Postgres, in the simulation they are in memory. Everything is read committed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from processor.replay.wanted import Wanted
from schemas.records import Record
from schemas.replays import ReplayOrder
from schemas.state import Control

Status = Literal["running", "paused", "promoting", "cancelling", "cancelled", "activating", "done", "failed"]
StateRow = tuple[bytes, bytes | None]
"""A user and the state, as the changelog has it; None when it was erased."""


class Stretch(NamedTuple):
    """The positions [start, cut) of a partition."""

    topic: str
    partition: int
    start: int
    cut: int


class Part(NamedTuple):
    """What was found of a stretch up to a position. Shapes: records in order, perhaps none."""

    end: int
    records: Sequence[Record]


class Addressed(NamedTuple):
    """An order, and the user whom it is about, when it is about one."""

    user: bytes | None
    order: ReplayOrder


class Report(NamedTuple):
    """How far a partition is: records of this phase behind it and in all, users that something was sent for.

    Units: rate, records a second; None before it is known.
    """

    partition: int
    phase: str
    position: int
    of: int
    users: int
    rate: float | None


class History(Protocol):
    """The source topics of a namespace, and the states that came of them."""

    async def begin(self, topic: str, partition: int) -> int:
        """The first position that the log still holds."""
        ...

    def scan(self, stretch: Stretch, wanted: Wanted) -> AsyncGenerator[Part, None]:
        """The wanted records; the last part ends at the cut. Raises: Precondition when it is not held."""
        ...

    def follow(self, topic: str, partition: int, start: int, wanted: Wanted) -> AsyncGenerator[Part, None]:
        """The wanted records from there on, as they come, without an end; while none come, parts without any."""
        ...

    def states(self, partition: int) -> AsyncGenerator[Sequence[StateRow], None]:
        """The changelog up to its present end, without the control record; the last row of a user is the state."""
        ...

    def outcomes(self, partition: int) -> AsyncGenerator[Sequence[bytes], None]:
        """What was told of a partition's users, up to its present end."""
        ...


class Notes(Protocol):
    """What the owners of the partitions have committed."""

    async def controls(self) -> Mapping[int, Control]:
        """The newest control record of every partition that has one."""
        ...


class Orders(Protocol):
    """The topic of replay assignments."""

    async def send(self, partition: int, orders: Sequence[Addressed]) -> None:
        """Append in this order, no faster than the cap; returns when all are acknowledged."""
        ...


class Registry(Protocol):
    """The row of one replay."""

    async def status(self) -> Status:
        """What the row says now."""
        ...

    async def decide(self) -> Status:
        """From running to activating in one compare-and-set; the status after it, whoever set that."""
        ...

    async def report(self, report: Report) -> None:
        """Show how far it is; best effort, nothing goes by it."""
        ...

    async def end(self, status: Literal["done", "cancelled", "failed"], failure: str | None = None) -> None:
        """Ended: done from activating, cancelled from cancelling, failed from any; what it filled is let go.

        Ending twice is harmless.
        """
        ...


class Load(NamedTuple):
    """What comes to the live processors. Units: lag, records in all partitions; per_s, records a second."""

    lag: int
    per_s: float


class Traffic(Protocol):
    """The live processors."""

    async def load(self) -> Load:
        """How far they are behind now, and how quick what they fold comes."""
        ...

    def give_way(self) -> None:
        """From now on they have the machine first."""
        ...


class Ports(NamedTuple):
    """The world of a job."""

    history: History
    notes: Notes
    orders: Orders
    registry: Registry
    traffic: Traffic
