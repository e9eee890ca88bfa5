"""The processes of a shadow: what a replay's job asks of whoever can start them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from replays.settings import ReplaySettings
from schemas.topics import Names

PROJECTOR = "shadow-projector"


class Processes(Protocol):
    """`laurel` processes that are started again when they fall, and end when this is left, or with us."""

    def start(self, name: str, command: str, environment: Mapping[str, str]) -> None:
        """A `laurel <command>` with this on top of our own environment."""
        ...

    def refuse_ended(self) -> None:
        """Raises: LaurelError when one ended in a way that a restart would not mend, with what it said."""
        ...

    def stop(self, name: str) -> None:
        """Politely; returns when it is gone."""
        ...


Employ = Callable[[str], AbstractContextManager[Processes]]
"""Processes under a name, for as long as they are needed."""


def worker_names(count: int) -> list[str]:
    return [f"shadow-worker-{number}" for number in range(1, count + 1)]


class ShadowProcesses:
    """The crew of a shadow, of processes of this machine."""

    def __init__(self, processes: Processes, settings: ReplaySettings, shadow: Names) -> None:
        self._processes, self._settings, self._shadow = processes, settings, shadow
        self._workers = worker_names(settings.replay_workers)

    def start(self) -> None:
        """One that follows takes up the partitions of the one before it at once: each has a name in the group."""
        common = {
            "LAUREL_KAFKA": self._settings.kafka,
            "LAUREL_POSTGRES": self._settings.postgres.get_secret_value(),
            "LAUREL_NAMESPACE": self._shadow.namespace,
            "LAUREL_METRICS_PORT": "0",
        }
        follows = {"LAUREL_FOLLOWS": self._settings.namespace}
        for name in self._workers:
            self._processes.start(name, "worker", common | follows | {"LAUREL_MEMBER_ID": name})
        self._processes.start(PROJECTOR, "projector", common | {"LAUREL_MEMBER_ID": PROJECTOR})

    async def start_again(self) -> None:
        await asyncio.to_thread(self.start)

    async def stop_workers(self) -> None:
        for name in self._workers:
            await asyncio.to_thread(self._processes.stop, name)

    def refuse_ended(self) -> None:
        self._processes.refuse_ended()
