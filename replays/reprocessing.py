"""A full reprocessing, carried out: a shadow that keeps level with what runs, until it is promoted or taken back.

Of the processes that are at it one leads, by a lock in Postgres that ends with its session; the others wait.
What it does next follows from the registry's row and from what the owners have committed, so whoever comes after
one that died goes on where that one was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import NamedTuple

import structlog
from msgspec.structs import asdict

from broker.connections import Unreachable
from broker.failpoints import reach
from processor.replay.ports import Status
from replays.beholding import STANDING_STILL, Eyes, Sight, reports
from replays.owners import CLOSE_LOOK_S, Owners
from replays.ports import Crew, Namespaces, Rows
from replays.registry import LEVEL, Replay
from replays.shadow import shadow_names
from replays.steps import CLOSE, DECIDE
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogRecord
from schemas.replays import Hold, Promote, Rehearse, Release, ReplayNote, Settle
from schemas.topics import Names

LOOK_S = 0.5
CHANGES_S = 5.0

log = structlog.get_logger(__name__)


class NotNow(LaurelError):  # noqa: N818 - what happened
    """The promotion cannot be, or live events have waited long enough for it: the shadow goes on."""


class World(NamedTuple):
    """Where a full one is carried out. Shapes: the last three are given for as long as they are used, the crew and
    the eyes of a shadow. Units: hold_s, seconds that live events may wait for a promotion."""

    names: Names
    hold_s: float
    registry: Rows
    namespaces: Namespaces
    crew: Callable[[Names], AbstractContextManager[Crew]]
    eyes: Callable[[Names], AbstractAsyncContextManager[Eyes]]
    owners: Callable[[], AbstractAsyncContextManager[Owners]]


async def reprocess(world: World, replay: Replay) -> Status:
    """Carry it out as far as it goes. Raises: LaurelError; what a server's client raises when it went away."""
    registry = world.registry
    while not await registry.lead(replay.id):
        if (status := await registry.status(replay.id)) not in WORK:
            return status
        await asyncio.sleep(LOOK_S)
    while (status := await registry.status(replay.id)) in WORK:
        await WORK[status](world, await registry.get(replay.id))
    return status


# --- beside what runs ---


async def accompany(world: World, replay: Replay) -> None:
    """Until it is decided, paused or taken back. Raises: LaurelError when a process of it cannot go on."""
    await world.namespaces.make(replay, await world.registry.source(replay.id))
    shadow = shadow_names(world.names, replay)
    with world.crew(shadow) as crew:
        crew.start()
        async with world.owners() as owners, world.eyes(shadow) as eyes:
            await Vigil(world, crew, owners, Look(world.registry, eyes, replay)).keep()


class Look:
    """At the row of a replay and at both namespaces, again and again; what is seen is shown.

    Shapes: replay, the row as it was seen last.
    """

    def __init__(self, registry: Rows, eyes: Eyes, replay: Replay) -> None:
        self.replay = replay
        self._registry, self._eyes = registry, eyes
        self._clock = asyncio.get_running_loop().time
        self._before: tuple[float, Sight] | None = None
        self._level: set[int] = set()

    async def take(self) -> Sight:
        self.replay = await self._registry.get(self.replay.id)
        sight, now = await self._eyes.look(self.replay.partitions), self._clock()
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

    def __init__(self, world: World, crew: Crew, owners: Owners, look: Look) -> None:
        self._world, self._registry, self._crew = world, world.registry, crew
        self._owners, self._look = owners, look
        self._clock = asyncio.get_running_loop().time
        self._held_since: float | None = None

    @property
    def _replay(self) -> Replay:
        return self._look.replay

    async def keep(self) -> None:
        """Until the row says neither running nor promoting. Raises: LaurelError; nothing is held then."""
        while (sight := await self._look.take()) and self._replay.status in ("running", "promoting"):
            try:
                await self._watch(sight)
            except NotNow as why:
                await self._give_up(str(why))
            except Unreachable:
                raise
            except LaurelError as failure:
                if self._replay.status == "promoting":
                    await self._give_up(str(failure))
                raise
            await asyncio.sleep(CLOSE_LOOK_S if self._replay.status == "promoting" else LOOK_S)

    async def _watch(self, sight: Sight) -> None:
        self._crew.refuse_ended()
        if self._replay.status == "promoting":
            self._refuse_waiting()
            await self._promote(sight)
        elif self._replay.back_of is not None and not self._replay.attempt:
            await self._registry.promote_when_level(self._replay)

    async def _promote(self, sight: Sight) -> None:
        """The next of: hold, settle, let the shadow come to the cut, decide."""
        replay, notes = self._replay, sight.notes(self._replay)
        if any(note is not None and note.phase == "released" for note in notes.values()):
            raise NotNow("its promotion was given up before")  # by one that died before it could say so
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
        """Raises: NotNow."""
        self._held_since = self._held_since or self._clock()
        if self._left_s() < 0:
            raise self._too_late()

    def _left_s(self) -> float:
        """How long live events may still wait."""
        held_s = self._clock() - (self._held_since or self._clock())
        return self._world.hold_s - held_s

    def _too_late(self) -> NotNow:
        return NotNow(
            f"live events have waited for {self._world.hold_s:g} s (LAUREL_REPLAY_HOLD_S) and the shadow "
            "was not ready: see that all workers run, then promote it again"
        )

    async def _decide(self) -> None:
        """The workers of the shadow end before it: from then on its states belong to the owners."""
        await self._crew.stop_workers()
        await publish_live(self._world, self._replay)
        await self._rehearse()
        reach(f"replay.{DECIDE}")
        await self._registry.decide_to_promote(self._replay.id)

    async def _rehearse(self) -> None:
        """Whatever an owner has against it is said while it can be given up. Raises: NotNow."""
        order = Rehearse(**asdict(promotion_of(self._replay)))
        try:
            async with asyncio.timeout(self._left_s()):
                notes = await self._owners.tell_all(self._replay, order)
        except TimeoutError:
            raise self._too_late() from None
        refused = [note.refused for note in notes if note is not None and note.refused is not None]
        if refused:
            raise NotNow(refused[0])

    async def _give_up(self, why: str) -> None:
        """Live goes on with the old rules."""
        replay, self._held_since = self._replay, None
        log.warning("promotion is given up", replay=replay.id, why=why)
        await self._owners.tell_all(replay, Release(replay=replay.id, attempt=replay.attempt))
        await self._registry.give_up(replay.id, why)
        await self._crew.start_again()


async def publish_live(world: World, replay: Replay) -> None:
    """Owners find the version when promote names it. Raises: Precondition when its numbering is another by now."""
    shadow = shadow_names(world.names, replay)
    await world.namespaces.publish(await world.registry.source(replay.id))
    here, there = [await _record(world.namespaces, names, replay) for names in (world.names, shadow)]
    if here.ledger != there.ledger:
        raise Precondition(
            f"another version was published since replay '{replay.id}' was started, and the states of the shadow "
            f"are numbered in another way: cancel it (`laurel replay cancel {replay.id}`) and start another"
        )


async def _record(namespaces: Namespaces, names: Names, replay: Replay) -> CatalogRecord:
    records = await namespaces.records(names)
    return next(each for each in records if (each.catalog, each.version) == (replay.catalog, replay.version))


# --- once it is decided, or taken back ---


async def promote(world: World, replay: Replay) -> None:
    """Every partition takes over its states. Raises: Precondition with what an owner says against it."""
    async with world.owners() as owners:
        notes = await owners.tell_all(replay, promotion_of(replay))
    refused = [note for note in notes if note is None or note.phase != "done"]
    if refused:
        raise Precondition(_told(refused[0], replay))
    if replay.policy == "legacy":
        await world.registry.retire(replay, retired_by(replay, (note for note in notes if note is not None)))
    reach(f"replay.{CLOSE}")
    await world.registry.end(replay.id, "done")


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


async def take_back(world: World, replay: Replay) -> None:
    """Nothing of it stays, and nothing is held."""
    if replay.attempt:
        async with world.owners() as owners:
            await owners.tell_all(replay, Release(replay=replay.id, attempt=replay.attempt))
    await world.namespaces.remove(replay)
    await world.registry.drop(replay.id)
    reach(f"replay.{CLOSE}")
    await world.registry.end(replay.id, "cancelled")


WORK: dict[Status, Callable[[World, Replay], Awaitable[None]]] = {
    "running": accompany,
    "promoting": accompany,
    "activating": promote,
    "cancelling": take_back,
}
