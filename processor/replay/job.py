"""The job of a replay, over its ports: any number of processes may run it, and each may die and begin anew.

What it does next follows from the registry's row and the notes of the partitions; what it sends, from the log. So
what it keeps is only to go on faster, and whatever is sent twice is the same twice. History up to the cut is folded
before it is decided, so that little is left between that and the facts: what live events cross waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from itertools import chain, islice
from typing import NamedTuple

from msgspec.structs import replace

from processor.replay.approximation import Approximation
from processor.replay.excerpt import Aim
from processor.replay.interleaving import interleaved
from processor.replay.past import Past
from processor.replay.ports import Addressed, Ports, Report, Status, Stretch
from processor.replay.revocations import Ended, Revocations
from processor.replay.spool import Letters, Spool
from processor.replay.turns import Ahead, Turns
from processor.replay.wanted import Wanted
from processor.replay.watch import GOING_ON, LOOK_S, Turned, Watch
from processor.replay.winners import winners_of
from schemas.errors import LaurelError
from schemas.program import Program
from schemas.replays import (
    Activate,
    Base,
    Cancel,
    Dates,
    Done,
    End,
    Fact,
    Facts,
    Named,
    Notify,
    Phase,
    Prepare,
    ReplayNote,
    ReplayOrder,
    judged_by,
)

REPORT_EVERY_S = 1.0
PARTITIONS_AT_ONCE = 2
FACTS_BYTES_MAX = 256 * 1024
NEWEST_BYTES_MAX = 16 * 1024 * 1024


class Task(NamedTuple):
    """What is replayed: of one id, the same in every process.

    Shapes: catalogs is what `prepare` says to run, program these versions with the newest numbering; wanted are
    running achievements to look at again, where nothing is muted; revoked are the awards that the operator's policy
    takes from those whom the program does not give them.
    """

    replay: str
    catalogs: dict[str, int]
    program: Program
    partitions: int
    muted: Sequence[Named] = ()
    filling: Sequence[Named] = ()
    wanted: Sequence[Named] = ()
    revoked: Sequence[Named] = ()
    notify: Notify = "digest"
    dates: Dates = "exact"

    @property
    def awards(self) -> list[Named]:
        return [*self.muted, *self.wanted]

    @property
    def judged(self) -> list[Named]:
        """Of what is revoked, what the program can give."""
        known = {
            (each.catalog, spec.reference)
            for each in self.program.catalogs
            for spec in each.achievements
            if spec.is_active
        }
        return [name for name in self.revoked if name in known]

    @property
    def gone(self) -> list[Named]:
        """Of what is revoked, what nobody can earn any more."""
        judged = {*self.judged}
        return [name for name in self.revoked if name not in judged]


class Aside(NamedTuple):
    """A partition as far as it is folded.

    Shapes: found is what was crossed; letters, what of it is put together by user; positions, where to go on; only,
    whose past is read, None for everybody's.
    """

    partition: int
    past: Past
    found: Spool
    letters: Letters
    positions: dict[str, int]
    only: set[bytes] | None


async def run(task: Task, ports: Ports) -> Status:
    """Carry it out until it has ended. Raises: LaurelError when it cannot go on."""
    return await Job(task, ports).run()


class Job:
    """One process of it."""

    def __init__(self, task: Task, ports: Ports) -> None:
        self._task, self._ports = task, ports
        self._watch = Watch(ports)
        self._folds: dict[int, Aside] = {}
        self._aim = Aim(task.filling, task.awards, task.judged)
        self._winners = winners_of(task.program, self._aim)
        self._steps: dict[Status, Callable[[], Awaitable[None]]] = {
            "running": self._fill,
            "paused": self._fill,
            "activating": self._award,
            "cancelling": self._cancel,
        }

    async def run(self) -> Status:
        while (status := await self._ports.registry.status()) in self._steps:
            try:
                await self._steps[status]()
            except Turned:
                continue
        return status

    # --- before it is decided ---

    async def _fill(self) -> None:
        self._watch.expected = GOING_ON
        notes = await self._notes()
        await self._tell([self._prepare()], (each for each in range(self._task.partitions) if each not in notes))
        notes = await self._until({"filling", "ready"})
        await self._in_each(self._send_bases, notes, {"filling"})
        await self._until({"ready"})
        await self._watch.look()
        await self._ports.registry.decide()

    def _prepare(self) -> Prepare:
        task = self._task
        return Prepare(
            replay=task.replay,
            catalogs=task.catalogs,
            muted=list(task.muted),
            filling=list(task.filling),
            notify=task.notify,
        )

    async def _send_bases(self, partition: int, note: ReplayNote) -> None:
        users = 0
        if self._winners is None:
            aside = await self._aside(partition)
            await self._fold(aside, note.cut, "filling")
            users = await self._send(partition, self._bases(aside.past))
            aside.past.rest()
        await self._send(partition, [Addressed(None, End(replay=self._task.replay, users=users))])

    def _bases(self, past: Past) -> Iterator[Addressed]:
        return (Addressed(user, Base(replay=self._task.replay, slots=slots)) for user, slots in past.bases())

    # --- when it is decided ---

    async def _award(self) -> None:
        self._watch.expected = ("activating",)
        await self._in_each(self._award_in, await self._notes(), {"ready", "active"})
        await self._until({"done"})
        await self._ports.registry.end("done")

    async def _award_in(self, partition: int, note: ReplayNote) -> None:
        """From activate to its facts what live events cross in it waits: so it is told when it is its turn, when
        little of its history is left and live keeps up; and behind that nobody rests."""
        if note.phase == "ready":
            await self._fold_ahead(partition)
            await self._watch.keep_clear()
        with self._watch.in_haste():
            if note.phase == "ready":
                await self._tell([Activate(replay=self._task.replay)], [partition])
                note = (await self._until({"active", "done"}, [partition]))[partition]
            if note.phase == "active":
                await (self._send_facts if self._task.dates == "exact" else self._send_values)(partition, note)

    async def _fold_ahead(self, partition: int) -> None:
        """To where live was when its partition was certainly not active. A sweep reads the states when it is."""
        control = (await self._ports.notes.controls())[partition]
        is_ready = control.replays[self._task.replay].phase == "ready"
        if is_ready and self._winners is None and self._task.dates == "exact":
            await self._fold_further(await self._aside(partition), control.positions)

    async def _fold_further(self, aside: Aside, cut: Mapping[str, int]) -> None:
        await self._fold(aside, cut, "active")
        aside.letters.add(aside.found)
        aside.found.clear()

    async def _send_facts(self, partition: int, note: ReplayNote) -> None:
        aside = await self._aside(partition)
        await self._fold_further(aside, note.active_at)
        turns = Turns(chain(aside.letters, (user for user, _ in aside.past.bases())))
        ahead = Ahead(self._ports.history, aside.past, partition, aside.positions, aside.only)
        async with ahead.hurrying(turns):
            await self._send(partition, (order for user in turns for order in self._facts(aside, user)))
        await self._revoke(aside)
        await self._send(partition, [Addressed(None, Done(replay=self._task.replay))])
        del self._folds[partition]

    async def _send_values(self, partition: int, note: ReplayNote) -> None:
        """Where dates are approximate: by the states alone."""
        task = self._task
        approximation = Approximation(task.replay, task.program, self._aim)
        async with aclosing(self._newest(partition)) as states:
            async for rows in states:
                await self._send(partition, approximation.of_all(rows))
        if task.revoked:
            await self._revoke(self._begun(partition, only=set()))
        await self._send(partition, [Addressed(None, Done(replay=task.replay))])

    def _facts(self, aside: Aside, user: bytes) -> Iterator[Addressed]:
        found = aside.letters.of(user)
        *before, last = _fitting(aside.past.outlasting(user, found))
        known = Facts(replay=self._task.replay, judged=sorted(judged_by(found)))
        for some in before:
            yield Addressed(user, replace(known, facts=some))
        yield Addressed(user, replace(known, facts=last, last=True))

    async def _revoke(self, aside: Aside) -> None:
        """By the states as they are now: the owner takes what is held still. Where the log has lost its beginning
        nobody can be told not to have earned something; but what nobody can earn any more goes."""
        task, partition, history = self._task, aside.partition, self._ports.history
        read = aside.past.excerpt.types if task.judged else ()
        begins = [await history.begin(topic, partition) for topic in read]
        ended = Ended([] if any(begins) else task.judged, task.gone)
        if not any(ended):
            return
        revocations = Revocations(task.replay, task.program, ended, aside.past)
        if revocations.has_scopes:
            await self._hear(revocations, partition)
        losing = await self._losing(revocations, partition)
        if losing and ended.judged:
            await self._fold_on(aside)
        orders = ((user, revocations.of(user, held)) for user, held in losing.items())
        await self._send(partition, (Addressed(user, order) for user, order in orders if order))

    async def _losing(self, revocations: Revocations, partition: int) -> dict[bytes, frozenset[int]]:
        """Who holds something that the past does not give, and what of all that may go is held."""
        losing: dict[bytes, frozenset[int]] = {}
        async with aclosing(self._newest(partition)) as states:
            async for rows in states:
                found = ((user, revocations.held(row)) for user, row in rows.items() if row is not None)
                losing |= {user: held for user, held in found if revocations.of(user, held)}
        return losing

    async def _fold_on(self, aside: Aside) -> None:
        """To where live is: what it gave by the new rule, also what was held already, is no loss."""
        controls = await self._ports.notes.controls()
        await self._fold(aside, controls[aside.partition].positions, "active")

    async def _hear(self, revocations: Revocations, partition: int) -> None:
        async with aclosing(self._ports.history.outcomes(partition)) as outcomes:
            async for values in outcomes:
                revocations.hear(values)
                await self._watch.go_on()

    # --- when it is called off ---

    async def _cancel(self) -> None:
        """Who was not told to prepare is told now: every partition is left with the same versions, and the same
        muted and half filled."""
        self._watch.expected = ("cancelling",)
        notes = await self._notes()
        cancel = Cancel(replay=self._task.replay)
        await self._tell(
            [self._prepare(), cancel], (each for each in range(self._task.partitions) if each not in notes)
        )
        await self._tell([cancel], (each for each, note in notes.items() if note.phase != "cancelled"))
        await self._until({"cancelled"})
        await self._ports.registry.end("cancelled")

    # --- what all of it is made of ---

    async def _aside(self, partition: int) -> Aside:
        """What this process has folded of a partition: nothing yet, when another one began the replay.

        Between the bases and the facts of a partition its states rest: in memory are those of the partitions at
        work, however many there are.
        """
        if partition in self._folds:
            self._folds[partition].past.wake()
        else:
            self._folds[partition] = self._begun(partition, await self._users(partition))
        return self._folds[partition]

    def _begun(self, partition: int, only: set[bytes] | None) -> Aside:
        past = Past(self._task.program, self._aim, partition, self._task.partitions)
        return Aside(partition, past, Spool(), Letters(), {}, only)

    async def _users(self, partition: int) -> set[bytes] | None:
        """Whose past is to be read, by the states as they are after the decision; None for everybody's."""
        winners = self._winners
        if winners is None:
            return None
        found: set[bytes] = set()
        async with aclosing(self._newest(partition)) as states:
            async for rows in states:
                found |= winners.among(rows)
        return found

    async def _newest(self, partition: int) -> AsyncGenerator[Mapping[bytes, bytes | None]]:
        """The states in large pieces. Before compaction a user is there many times: of each piece the last one."""
        newest: dict[bytes, bytes | None] = {}
        size = 0
        async with aclosing(self._ports.history.states(partition)) as states:
            async for rows in states:
                newest.update(rows)
                size += sum(len(row) for _, row in rows if row is not None)
                if size > NEWEST_BYTES_MAX:
                    yield newest
                    newest, size = {}, 0
                await self._watch.go_on()
        yield newest

    async def _fold(self, aside: Aside, cut: Mapping[str, int], phase: Phase) -> None:
        """On from where it stands, up to the cut."""
        if aside.only == set():
            return
        history, types = self._ports.history, aside.past.excerpt.types
        stretches = [await self._left(aside, topic, cut.get(topic, 0)) for topic in types]
        meter = Meter(self._ports, aside.partition, phase, stretches)
        async with AsyncExitStack() as stack:
            scans = {
                each.topic: await stack.enter_async_context(
                    aclosing(history.scan(each, Wanted(types[each.topic], aside.only)))
                )
                for each in stretches
                if each.start < each.cut
            }
            async for chunk in interleaved(scans):
                aside.past.fold(chunk.topic, chunk.records)
                aside.found.append(aside.past.facts())
                await meter.show(chunk.topic, chunk.end, len(aside.past))
                await self._watch.go_on()
        aside.positions.update({each.topic: each.cut for each in stretches})
        await meter.finish(len(aside.past))

    async def _left(self, aside: Aside, topic: str, cut: int) -> Stretch:
        start = aside.positions.get(topic)
        if start is None:
            start = await self._ports.history.begin(topic, aside.partition)
        return Stretch(topic, aside.partition, start, max(start, cut))

    async def _send(self, partition: int, orders: Iterable[Addressed]) -> int:
        """Returns how many."""
        sent, coming = 0, iter(orders)
        while some := [*islice(coming, self._watch.orders_at_once)]:
            await self._ports.orders.send(partition, some)
            await self._watch.go_on()
            await self._watch.keep_pace(len(some))
            sent += len(some)
        return sent

    async def _tell(self, orders: Sequence[ReplayOrder], partitions: Iterable[int]) -> None:
        for partition in partitions:
            await self._ports.orders.send(partition, [Addressed(None, order) for order in orders])

    async def _notes(self) -> dict[int, ReplayNote]:
        """What the partitions have committed of this replay."""
        controls = await self._ports.notes.controls()
        replay = self._task.replay
        return {
            partition: control.replays[replay]
            for partition, control in controls.items()
            if replay in control.replays
        }

    async def _until(
        self, phases: Collection[Phase], partitions: Collection[int] | None = None
    ) -> dict[int, ReplayNote]:
        """Wait until these partitions, or all, are in one of these phases."""
        wanted = range(self._task.partitions) if partitions is None else partitions
        while True:
            notes = await self._notes()
            _refuse_miscounted(notes)
            if all(each in notes and notes[each].phase in phases for each in wanted):
                return notes
            await asyncio.sleep(LOOK_S)
            await self._watch.look()

    async def _in_each(
        self,
        work: Callable[[int, ReplayNote], Awaitable[None]],
        notes: Mapping[int, ReplayNote],
        phases: Collection[Phase],
    ) -> None:
        """Some partitions at once, as each waits for its owner; one where live events are to wait for less."""
        places = asyncio.Semaphore(1 if self._watch.gave_way else PARTITIONS_AT_ONCE)

        async def in_turn(partition: int, note: ReplayNote) -> None:
            async with places:
                await work(partition, note)

        try:
            async with asyncio.TaskGroup() as group:
                for partition, note in notes.items():
                    if note.phase in phases:
                        group.create_task(in_turn(partition, note))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None


class Meter:
    """Tells the registry, now and then, how far a partition is."""

    def __init__(self, ports: Ports, partition: int, phase: Phase, stretches: Sequence[Stretch]) -> None:
        self._ports, self._partition, self._phase = ports, partition, phase
        self._starts = {each.topic: each.start for each in stretches}
        self._positions = dict(self._starts)
        self._of = sum(each.cut - each.start for each in stretches)
        self._began = self._told_at = asyncio.get_running_loop().time()

    async def show(self, topic: str, position: int, users: int) -> None:
        self._positions[topic] = position
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= REPORT_EVERY_S:
            self._told_at = now
            await self._tell(users, now)

    async def finish(self, users: int) -> None:
        await self._tell(users, asyncio.get_running_loop().time())

    async def _tell(self, users: int, now: float) -> None:
        position = sum(self._positions.values()) - sum(self._starts.values())
        rate = position / (now - self._began) if now > self._began else None
        await self._ports.registry.report(Report(self._partition, self._phase, position, self._of, users, rate))


def _refuse_miscounted(notes: Mapping[int, ReplayNote]) -> None:
    """Raises: LaurelError when a partition can never be ready. Of one job the bases come before their end."""
    for partition, note in notes.items():
        if note.phase == "filling" and note.expected is not None:
            _refuse_count(partition, note.users, note.expected)


def _refuse_count(partition: int, users: int, expected: int) -> None:
    if users > expected:
        raise LaurelError(
            f"partition {partition} has the past of {users} users, and {expected} were found in the "
            "end: its log has lost records since the replay began; cancel it, and start it under another "
            "--id with --accept-truncated"
        )
    if users < expected:
        raise LaurelError(
            f"partition {partition} has taken the past of {users} of {expected} users, and refused that of the "
            "others: another version runs there, which counts otherwise; cancel it, and start a replay of the "
            "version that runs, under another --id"
        )


def _fitting(facts: Iterable[Fact]) -> Iterator[list[Fact]]:
    """In order, so many together as one order may hold; a large one alone."""
    some: list[Fact] = []
    size = 0
    for fact in facts:
        if some and size + len(fact.value) > FACTS_BYTES_MAX:
            yield some
            some, size = [], 0
        some.append(fact)
        size += len(fact.value)
    yield some
