"""What a full reprocessing asks of the world while it is carried out.

On servers these are Kafka, Postgres and processes (replays/servers.py), in the simulation they are in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Literal, Protocol

from broker.positions import Place
from processor.replay.ports import Report, Status
from replays.registry import Replay, Source
from schemas.program import CatalogRecord
from schemas.topics import Names

Ends = Callable[[Collection[Place]], Awaitable[Mapping[Place, int]]]
"""How far partitions are committed."""


class Rows(Protocol):
    """The registry of replays; replays/registry.py is the real one, and says more of each."""

    async def lead(self, id: str) -> bool: ...
    async def get(self, id: str) -> Replay: ...
    async def status(self, id: str) -> Status: ...
    async def source(self, id: str) -> Source: ...
    async def show(self, id: str, report: Report) -> None: ...
    async def shown(self, names: Names) -> Mapping[int, int]: ...
    async def promote_when_level(self, replay: Replay) -> None: ...
    async def give_up(self, id: str, why: str) -> None: ...
    async def decide_to_promote(self, id: str) -> Status: ...
    async def retire(self, replay: Replay, retired: Sequence[str]) -> None: ...
    async def drop(self, id: str) -> Replay: ...
    async def end(self, id: str, status: Literal["done", "cancelled", "failed"]) -> None: ...


class Namespaces(Protocol):
    """The live one, and the shadows beside it."""

    async def make(self, replay: Replay, source: Source) -> None:
        """Whatever of its shadow is missing; several makers at once are harmless."""
        ...

    async def remove(self, replay: Replay) -> None:
        """Whatever of its shadow is there."""
        ...

    async def publish(self, source: Source) -> None:
        """This version, live: partitions run it when they are told to. Twice is harmless."""
        ...

    async def records(self, names: Names) -> Sequence[CatalogRecord]:
        """Every version that is published in a namespace, oldest first."""
        ...


class Crew(Protocol):
    """The processes of a shadow, which are started again when they fall."""

    def start(self) -> None:
        """All of them."""
        ...

    async def start_again(self) -> None:
        """The workers, after they were stopped."""
        ...

    async def stop_workers(self) -> None:
        """Politely; returns when they are gone."""
        ...

    def refuse_ended(self) -> None:
        """Raises: LaurelError when one ended in a way that a restart would not mend."""
        ...
