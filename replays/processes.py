"""The processes of a shadow: what a replay's job asks of whoever can start them."""

from __future__ import annotations

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


def start_all(processes: Processes, settings: ReplaySettings, shadow: Names) -> None:
    """One that follows takes up the partitions of the one before it at once: each has a name in the group."""
    common = {
        "LAUREL_KAFKA": settings.kafka,
        "LAUREL_POSTGRES": settings.postgres.get_secret_value(),
        "LAUREL_NAMESPACE": shadow.namespace,
        "LAUREL_METRICS_PORT": "0",
    }
    follows = {"LAUREL_FOLLOWS": settings.namespace}
    for name in worker_names(settings.replay_workers):
        processes.start(name, "worker", common | follows | {"LAUREL_MEMBER_ID": name})
    processes.start(PROJECTOR, "projector", common | {"LAUREL_MEMBER_ID": PROJECTOR})
