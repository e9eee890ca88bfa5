"""A full reprocessing on Kafka, Postgres and processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager

from broker.catalogs import read_records, submit_record
from processor.evaluator.compile import compile_catalog
from replays.beholding import Eyes, eyes_on
from replays.owners import Owners, owners_of
from replays.ports import Crew
from replays.processes import Employ, ShadowProcesses
from replays.registry import Registry, Replay, Source
from replays.reprocessing import World
from replays.settings import ReplaySettings
from replays.shadow import make, remove
from schemas.program import CatalogRecord
from schemas.topics import Names


def world_of(settings: ReplaySettings, registry: Registry, employ: Employ) -> World:
    @contextmanager
    def crew(shadow: Names) -> Iterator[Crew]:
        with employ(shadow.namespace) as processes:
            yield ShadowProcesses(processes, settings, shadow)

    def eyes(shadow: Names) -> AbstractAsyncContextManager[Eyes]:
        return eyes_on(settings.kafka, registry, settings.names, shadow)

    def owners() -> AbstractAsyncContextManager[Owners]:
        return owners_of(settings)

    namespaces = ServerNamespaces(settings)
    return World(settings.names, settings.replay_hold_s, registry, namespaces, crew, eyes, owners)


class ServerNamespaces:
    def __init__(self, settings: ReplaySettings) -> None:
        self._settings = settings

    async def make(self, replay: Replay, source: Source) -> None:
        await make(self._settings, replay, source)

    async def remove(self, replay: Replay) -> None:
        await remove(self._settings, replay)

    async def publish(self, source: Source) -> None:
        settings = self._settings
        await submit_record(settings.kafka, settings.names, source.text, source.file_name, compile_catalog)

    async def records(self, names: Names) -> Sequence[CatalogRecord]:
        return await read_records(self._settings.kafka, names)
