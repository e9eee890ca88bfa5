"""A full reprocessing, carried out: a shadow that keeps level with what runs, until it is promoted or taken back.

Of the processes that are at it one leads, by a lock in Postgres that ends with its session; the others wait.
What it does next follows from the registry's row and from what the owners have committed, so whoever comes after
one that died goes on where that one was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog

from broker.catalogs import read_records, submit_record
from broker.connections import Unreachable
from broker.failpoints import reach
from processor.evaluator.compile import compile_catalog
from processor.replay.ports import Status
from replays.beholding import STANDING_STILL, Eyes, Sight, eyes_on, reports
from replays.owners import CLOSE_LOOK_S, Owners, owners_of
from replays.processes import Employ, Processes, start_all, worker_names
from replays.registry import LEVEL, Registry, Replay
from replays.settings import ReplaySettings
from replays.shadow import make, remove, shadow_names
from replays.steps import CLOSE, DECIDE
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogRecord
from schemas.replays import Hold, Promote, Release, ReplayNote, Settle
from schemas.topics import Names

LOOK_S = 0.5
CHANGES_S = 5.0

log = structlog.get_logger(__name__)


class TakenTooLong(LaurelError):  # noqa: N818 - what happened
    """Live events have waited long enough."""


async def reprocess(settings: ReplaySettings, registry: Registry, replay: Replay, employ: Employ) -> Status:
    """Carry it out as far as it goes. Raises: LaurelError; what a server's client raises when it went away."""
    while not await registry.lead(replay.id):
        if (status := await registry.status(replay.id)) not in WORK:
            return status
        await asyncio.sleep(LOOK_S)
    while (status := await registry.status(replay.id)) in WORK:
        await WORK[status](settings, registry, await registry.get(replay.id), employ)
    return status


# --- beside what runs ---


async def accompany(settings: ReplaySettings, registry: Registry, replay: Replay, employ: Employ) -> None:
    """Until it is decided, paused or taken back. Raises: LaurelError when a process of it cannot go on."""
    await make(settings, replay, await registry.source(replay.id))
    shadow = shadow_names(settings.names, replay)
    with employ(shadow.namespace) as processes:
        start_all(processes, settings, shadow)
        seen = eyes_on(settings.kafka, registry, settings.names, shadow)
        async with owners_of(settings) as owners, seen as eyes:
            await Vigil(settings, registry, processes, owners, Look(registry, eyes, replay)).keep()


class Look:
    """At the row of a replay and at both namespaces, again and again; what is seen is shown.

    Shapes: replay, the row as it was seen last.
    """

    def __init__(self, registry: Registry, eyes: Eyes, replay: Replay) -> None:
        self.replay = replay
        self._registry, self._eyes = registry, eyes
        self._before: tuple[float, Sight] | None = None
        self._level: set[int] = set()

    async def take(self) -> Sight:
        self.replay = await self._registry.get(self.replay.id)
        sight, now = await self._eyes.look(self.replay.partitions), time.monotonic()
        then, before = self._before or (now, None)
        told = [*reports(self.replay, sight, before, now - then, self._level)]
        self._level = {report.partition for report in told if report.phase == LEVEL}
        for report in told:
            await self._registry.show(self.replay.id, report)
        if before is None or now - then > CHANGES_S:
            self._before = now, sight
        return sight


class Vigil:
    """Over a shadow and its processes. Units: held_since, of our own clock."""

    def __init__(
        self, settings: ReplaySettings, registry: Registry, processes: Processes, owners: Owners, look: Look
    ) -> None:
        self._settings, self._registry, self._processes = settings, registry, processes
        self._owners, self._look = owners, look
        self._held_since: float | None = None

    @property
    def _replay(self) -> Replay:
        return self._look.replay

    async def keep(self) -> None:
        """Until the row says neither running nor promoting. Raises: LaurelError; nothing is held then."""
        while (sight := await self._look.take()) and self._replay.status in ("running", "promoting"):
            try:
                await self._watch(sight)
            except TakenTooLong as late:
                await self._give_up(str(late))
            except Unreachable:
                raise
            except LaurelError as failure:
                if self._replay.status == "promoting":
                    await self._give_up(str(failure))
                raise
            await asyncio.sleep(CLOSE_LOOK_S if self._replay.status == "promoting" else LOOK_S)

    async def _watch(self, sight: Sight) -> None:
        self._processes.refuse_ended()
        if self._replay.status == "promoting":
            self._refuse_waiting()
            await self._promote(sight)
        elif self._replay.back_of is not None and not self._replay.attempt:
            await self._registry.promote_when_level(self._replay)

    async def _promote(self, sight: Sight) -> None:
        """The next of: hold, settle, let the shadow come to the cut, decide."""
        replay, notes = self._replay, sight.notes(self._replay)
        if any(note is not None and note.phase == "released" for note in notes.values()):
            raise TakenTooLong("its promotion was given up before")  # by one that died before it could say so
        standing = {number: note for number, note in notes.items() if note and note.phase in STANDING_STILL}
        if len(standing) < replay.partitions:
            hold = Hold(replay=replay.id, attempt=replay.attempt)
            await self._owners.tell({number: hold for number in notes if number not in standing})
        elif unsettled := [number for number, note in standing.items() if not sight.has_settled(number, note)]:
            await self._owners.tell({number: self._settle(sight.live_ends[number]) for number in unsettled})
        elif all(sight.is_at_cut(each, note) and sight.runs(replay, each) for each, note in standing.items()):
            await self._decide()

    def _settle(self, end: int) -> Settle:
        return Settle(replay=self._replay.id, attempt=self._replay.attempt, derived=end)

    def _refuse_waiting(self) -> None:
        """Raises: TakenTooLong."""
        self._held_since = self._held_since or time.monotonic()
        longest = self._settings.replay_hold_s
        if time.monotonic() - self._held_since > longest:
            raise TakenTooLong(
                f"live events have waited for {longest:g} s (LAUREL_REPLAY_HOLD_S) and the shadow was not ready: "
                "see that all workers run, then promote it again"
            )

    async def _decide(self) -> None:
        """The workers of the shadow end before it: from then on its states belong to the owners."""
        for name in worker_names(self._settings.replay_workers):
            await asyncio.to_thread(self._processes.stop, name)
        await publish_live(self._settings, self._registry, self._replay)
        reach(f"replay.{DECIDE}")
        await self._registry.decide_to_promote(self._replay.id)

    async def _give_up(self, why: str) -> None:
        """Live goes on with the old rules."""
        replay, self._held_since = self._replay, None
        log.warning("promotion is given up", replay=replay.id, why=why)
        await self._owners.tell_all(replay, Release(replay=replay.id, attempt=replay.attempt))
        await self._registry.give_up(replay.id, why)
        await asyncio.to_thread(self._start_again)

    def _start_again(self) -> None:
        """The workers that were ended for the decision."""
        start_all(self._processes, self._settings, shadow_names(self._settings.names, self._replay))


async def publish_live(settings: ReplaySettings, registry: Registry, replay: Replay) -> None:
    """Owners find the version when promote names it. Raises: Precondition when its numbering is another by now."""
    source, shadow = await registry.source(replay.id), shadow_names(settings.names, replay)
    await submit_record(settings.kafka, settings.names, source.text, source.file_name, compile_catalog)
    here, there = [await _record(settings.kafka, names, replay) for names in (settings.names, shadow)]
    if here.ledger != there.ledger:
        raise Precondition(
            f"another version was published since replay '{replay.id}' was started, and the states of the shadow "
            f"are numbered in another way: cancel it (`laurel replay cancel {replay.id}`) and start another"
        )


async def _record(bootstrap: str, names: Names, replay: Replay) -> CatalogRecord:
    records = await read_records(bootstrap, names)
    return next(each for each in records if (each.catalog, each.version) == (replay.catalog, replay.version))


# --- once it is decided, or taken back ---


async def promote(settings: ReplaySettings, registry: Registry, replay: Replay, _: Employ) -> None:
    """Every partition takes over its states. Raises: Precondition with what an owner says against it."""
    async with owners_of(settings) as owners:
        notes = await owners.tell_all(replay, promotion_of(replay))
    refused = [note for note in notes if note is None or note.phase != "done"]
    if refused:
        raise Precondition(_told(refused[0], replay))
    if replay.policy == "legacy":
        await registry.retire(replay, retired_by(replay, (note for note in notes if note is not None)))
    reach(f"replay.{CLOSE}")
    await registry.end(replay.id, "done")


def promotion_of(replay: Replay) -> Promote:
    assert replay.shadow is not None, "only a full one is promoted"
    return Promote(
        replay=replay.id,
        attempt=replay.attempt,
        shadow=replay.shadow,
        catalogs=replay.versions,
        policy=replay.policy,
        notify=replay.notify,
    )


def retired_by(replay: Replay, notes: Iterable[ReplayNote]) -> list[str]:
    """The achievements whose older awards the policy is about: by what the version says, and by what it gave."""
    named = [*replay.plan.get("removed", ()), *replay.plan.get("harder", ())]
    unmet = [each for note in notes for each in note.unmet]
    return sorted({reference for catalog, reference in [*named, *unmet] if catalog == replay.catalog})


def _told(note: ReplayNote | None, replay: Replay) -> str:
    said = note and note.refused
    return (
        f"{said or 'a partition did not take the states of the shadow over'}. Live events wait: mend it, then "
        f"`laurel replay resume {replay.id}`"
    )


async def take_back(settings: ReplaySettings, registry: Registry, replay: Replay, _: Employ) -> None:
    """Nothing of it stays, and nothing is held."""
    if replay.attempt:
        async with owners_of(settings) as owners:
            await owners.tell_all(replay, Release(replay=replay.id, attempt=replay.attempt))
    await remove(settings, replay)
    await registry.drop(replay.id)
    reach(f"replay.{CLOSE}")
    await registry.end(replay.id, "cancelled")


WORK: dict[Status, Callable[[ReplaySettings, Registry, Replay, Employ], Awaitable[None]]] = {
    "running": accompany,
    "promoting": accompany,
    "activating": promote,
    "cancelling": take_back,
}
