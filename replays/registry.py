"""The registry of replays in Postgres: who started what, how far it is, and the one arbiter of who may fill what.

Every change of status is a compare-and-set on the replay's row, with an audit row in the same transaction.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal, NamedTuple

from psycopg import AsyncConnection, AsyncCursor, errors, sql
from psycopg.types.json import Jsonb

from processor.replay.ports import Report, Status
from projections.database import connect_async
from projections.settings import DatabaseSettings
from projections.statements import statements
from schemas.errors import Precondition
from schemas.replays import Dates, Named, Notify, Policy
from schemas.topics import Names

SQL = statements("registry.sql", "replays")
WHO = "LAUREL_WHO"

Ending = Literal["done", "cancelled", "failed"]
Kind = Literal["sweep", "fold_and_merge", "full", "late"]


@dataclass(frozen=True, kw_only=True)
class Undertaking:
    """What a replay is to do, settled before it starts.

    Shapes: from_versions is catalog -> the version that ran; shadow is the namespace of a full one's.
    """

    id: str
    kind: Kind
    catalog: str
    version: int
    sha256: str
    notify: Notify
    policy: Policy
    dates: Dates
    from_versions: dict[str, int]
    muted: Sequence[Named]
    filling: Sequence[Named]
    plan: dict[str, Any]
    partitions: int
    shadow: str | None = None


@dataclass(frozen=True, kw_only=True)
class Registration(Undertaking):
    """Shapes: `retired` are the references of the achievements whose older awards the policy is about; source and
    file are the text of a full one's catalog and what it is called: nobody else hears of it before it is promoted.
    topic is that of a late one.
    """

    retired: Sequence[str] = ()
    source: str | None = None
    file: str | None = None
    topic: str | None = None

    @property
    def names(self) -> list[Named]:
        """What no other replay may have meanwhile: a metric and an achievement may share a name; a topic is of no
        catalog."""
        return sorted({*self.muted, *self.filling, *([("", self.topic)] if self.topic else [])})


@dataclass(frozen=True, kw_only=True)
class Replay(Undertaking):
    """A row of the registry, as it was read. Shapes: attempt, how often a full one was to be promoted."""

    status: Status
    who: str
    created_at: datetime
    decided_at: datetime | None
    ended_at: datetime | None
    failure: str | None
    attempt: int = 0
    dropped_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.status in ("done", "cancelled", "failed")

    @property
    def versions(self) -> dict[str, int]:
        """What runs behind it."""
        return {**self.from_versions, self.catalog: self.version}

    @property
    def back_of(self) -> str | None:
        """The promoted replay whose way back it is."""
        found: str | None = self.plan.get("back_of")
        return found


COLUMNS = [field.name for field in fields(Replay)]


class PartitionProgress(NamedTuple):
    """How far a replay is in a partition. Units: position and of, records of this phase; rate, records a second."""

    partition: int
    phase: str
    position: int
    of: int
    users: int
    rate: float | None
    updated_at: datetime


class Source(NamedTuple):
    """The text of a catalog, and its file's name."""

    text: str
    file_name: str


class Word(NamedTuple):
    who: str
    at: datetime


class Step(NamedTuple):
    """A change of status: from which ones, and to which."""

    before: tuple[Status, ...]
    after: Status


STEPS = {
    "pause": Step(("running",), "paused"),
    "resume": Step(("paused", "failed"), "running"),
    "resume decided": Step(("failed",), "activating"),
    "cancel": Step(("running", "paused", "failed", "promoting"), "cancelling"),  # before it is decided, as below
    "decide": Step(("running",), "activating"),
    "promote": Step(("running",), "promoting"),
    "give up": Step(("promoting",), "running"),
    "decide to promote": Step(("promoting",), "activating"),
    "finish": Step(("activating",), "done"),
    "forget": Step(("cancelling",), "cancelled"),
    "fail": Step(("running", "promoting", "activating", "cancelling"), "failed"),
}
ENDINGS: dict[Ending, str] = {"done": "finish", "cancelled": "forget", "failed": "fail"}
LEVEL = "level"
LETS_GO: tuple[Status, ...] = ("done", "cancelled")
NOW_WHAT: dict[Status, str] = {
    "running": "it runs, see `laurel replay status {id}`",
    "paused": "it is paused; give `laurel replay resume {id}`, or `laurel replay cancel {id}`",
    "promoting": "it is being promoted; wait for it, `laurel replay status {id} --watch`, or cancel it",
    "cancelling": "it is being cancelled; wait for it, `laurel replay status {id} --watch`",
    "cancelled": "it was cancelled; start it again under another id, with --id",
    "activating": "it is decided, and gives its awards; it ends by itself, `laurel replay status {id} --watch`",
    "done": "it is done; `laurel replay diff {id}` shows what it gave",
    "failed": "it failed; see `laurel replay status {id}`, mend the cause, then `laurel replay resume {id}`",
}


class NoRegistry(Precondition):
    def __init__(self) -> None:
        super().__init__("Postgres has no registry of replays: make it with `laurel db upgrade`")


class Registry:
    """The registry of a namespace, over one session that commits each statement."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Whoever else starts a replay, or publishes a version, comes before or behind. Raises: NoRegistry."""
        async with self._connection.transaction():
            await self._execute("one_at_a_time", {})
            yield

    async def start(self, wanted: Registration) -> Replay:
        """The replay, new or as it is found under its id. Raises: Precondition when another one has its metrics."""
        async with self.alone():
            if await self._created(wanted):
                await self.refuse_beside(wanted.id, wanted.kind)
                await self._take(wanted)
                await self.retire(wanted, wanted.retired)
                told = {"notify": wanted.notify, "dates": wanted.dates, **wanted.plan}
                await self._note("start", await self.get(wanted.id), told)
        return await self.get(wanted.id)

    async def refuse_beside(self, id: str, kind: Kind) -> None:
        """Raises: Precondition when another has not ended, and one of the two is a full reprocessing."""
        for other, its_kind in await self._rows("beside", {"id": id, "kind": kind}):
            whole = "that one" if its_kind == "full" else "this one"
            raise Precondition(
                f"replay '{other}' has not ended, and {whole} is a full reprocessing, which bears no other beside "
                f"it: {wait_or_cancel(other)}"
            )

    async def refuse_among(self, id: str, catalogs: Collection[str]) -> None:
        """Raises: Precondition while another one brings a version of these, or looks at the past of one."""
        others = (
            each for each in await self.listed() if each.id != id and each.kind in ("sweep", "fold_and_merge")
        )
        for other in others:
            if other.status not in LETS_GO and other.catalog in catalogs:
                raise Precondition(
                    f"replay '{other.id}' of catalog '{other.catalog}', which reads this topic, has not ended, and "
                    f"would not see what is folded late beside it: {wait_or_cancel(other.id)}"
                )

    async def refuse_taken(self, id: str, names: Sequence[Named]) -> None:
        """Raises: Precondition when a replay that has not ended fills or mutes one of these."""
        held = await self._rows("holders", _listed(names))
        others = [row for row in held if row[2] != id]
        if others:
            catalog, name, holder = others[0]
            what = f"'{name}' of catalog '{catalog}'" if catalog else f"topic '{name}'"
            raise Precondition(
                f"{what} belongs to replay '{holder}' until that one has ended: {wait_or_cancel(holder)}"
            )

    async def find(self, id: str) -> Replay | None:
        rows = await self._rows("find", {"id": id})
        return _replay(rows[0]) if rows else None

    async def get(self, id: str) -> Replay:
        """Raises: Precondition when there is no such replay."""
        found = await self.find(id)
        if found is None:
            raise Precondition(f"there is no replay '{id}': `laurel replay status` lists those there are")
        return found

    async def listed(self) -> list[Replay]:
        return [_replay(row) for row in await self._rows("list", {})]

    async def under_way(self) -> list[str]:
        """Those that a job has to do something for, oldest first."""
        return [id for (id,) in await self._rows("under_way", {})]

    async def status(self, id: str) -> Status:
        return (await self.get(id)).status

    async def pause(self, id: str) -> Replay:
        return await self._ordered("pause", id)

    async def resume(self, id: str) -> Replay:
        """A failed one too, once its cause is mended. Raises: Precondition when it has ended otherwise."""
        decided = (await self.get(id)).decided_at is not None
        if decided and await self._change("resume decided", id):
            return await self.get(id)
        return await self._ordered("resume", id)

    async def cancel(self, id: str) -> Replay:
        """Ask for it; a job carries it out. Raises: Precondition once it is decided."""
        if (await self.get(id)).status == "cancelled":
            return await self.get(id)
        return await self._ordered("cancel", id)

    async def decide(self, id: str) -> Status:
        """To activate it, unless somebody has cancelled or paused it: the status now, whoever set it."""
        await self._change("decide", id)
        return await self.status(id)

    async def promote(self, id: str) -> Replay:
        """Ask for it; a job carries it out. Raises: Precondition unless it is a full one that is level."""
        replay = await self.get(id)
        if replay.kind != "full":
            raise Precondition(f"replay '{id}' gives its awards by itself: only a full reprocessing is promoted")
        if replay.status in ("activating", "done"):
            return replay
        if replay.status == "running" and not await self._is_level(replay):
            raise Precondition(
                f"the shadow of replay '{id}' is not level with what runs yet: wait, `laurel replay status {id}`"
            )
        return await self._ordered("promote", id)

    async def promote_when_level(self, replay: Replay) -> None:
        """Of one that leads back, which was ordered with it; unless somebody has paused or cancelled it."""
        if await self._is_level(replay):
            await self._change("promote", replay.id)

    async def _is_level(self, replay: Replay) -> bool:
        progress = await self.progress(replay.id)
        return len(progress) == replay.partitions and all(each.phase == LEVEL for each in progress)

    async def give_up(self, id: str, why: str) -> None:
        """The promotion, for this time: the shadow goes on."""
        await self._change("give up", id, why)

    async def decide_to_promote(self, id: str) -> Status:
        """As `decide`, of a full one whose partitions all stand still."""
        await self._change("decide to promote", id)
        return await self.status(id)

    async def refuse_shared(self, id: str) -> None:
        """Raises: Precondition while another one is at work in its shadow: a way back."""
        for (other,) in await self._rows("sharing", {"id": id}):
            raise Precondition(
                f"the shadow of replay '{id}' is that of replay '{other}', which has not ended: wait for it "
                f"(`laurel replay status {other} --watch`)"
            )

    async def drop(self, id: str) -> Replay:
        """Note that its shadow is gone, and with it that of its way back."""
        async with self._connection.transaction():
            if await self._rows("drop", {"id": id}):
                await self._note("drop", await self.get(id), {})
        return await self.get(id)

    async def shown(self, names: Names) -> dict[int, int]:
        """How far the outcomes of another namespace are in its read models, by partition."""
        schema = sql.Identifier(names.postgres_schema)
        statement = sql.SQL(SQL["shown"].decode()).format(schema=schema)
        return dict(await (await self._connection.execute(statement, {"topic": names.outcomes})).fetchall())

    async def source(self, id: str) -> Source:
        """Of a full one."""
        ((text, file_name),) = await self._rows("source", {"id": id})
        return Source(text, file_name)

    async def retire(self, replay: Undertaking, retired: Sequence[str]) -> None:
        """The policy for awards of before; of a full one when it is promoted. The same twice is harmless."""
        if retired:
            said = {"catalog": replay.catalog, "version": replay.version, "policy": replay.policy}
            await self._connection.execute(SQL["retire"], {"id": replay.id, "retired": list(retired), **said})

    async def lead(self, id: str) -> bool:
        """Whether this session is the one whose processes carry out this replay, until the session ends."""
        ((leads,),) = await self._rows("lead", {"id": id})
        return bool(leads)

    async def end(self, id: str, status: Ending, failure: str | None = None) -> None:
        """Done or cancelled in every partition, or failed; what has ended already stays as it is."""
        await self._change(ENDINGS[status], id, failure)

    async def show(self, id: str, report: Report) -> None:
        await self._connection.execute(SQL["show_progress"], {"id": id, **report._asdict()})

    async def progress(self, id: str) -> list[PartitionProgress]:
        return [PartitionProgress(*row) for row in await self._rows("progress", {"id": id})]

    async def last_word(self, id: str, verb: str) -> Word | None:
        """Who gave this command last, and when."""
        rows = await self._rows("last_word", {"id": id, "verb": verb})
        return Word(*rows[0]) if rows else None

    async def still_s(self, id: str) -> float:
        """How long nothing was heard of it: of no command, and of no job."""
        ((seconds,),) = await self._rows("still", {"id": id})
        return float(seconds)

    async def _ordered(self, verb: str, id: str) -> Replay:
        """An operator's change; one that is there already changes nothing."""
        changed, replay = await self._change(verb, id), await self.get(id)
        if not changed and replay.status != STEPS[verb].after:
            raise Precondition(f"cannot {verb} replay '{id}': {NOW_WHAT[replay.status].format(id=id)}")
        return replay

    async def _change(self, verb: str, id: str, failure: str | None = None) -> bool:
        before, after = STEPS[verb]
        wanted = {"id": id, "from": list(before), "to": after, "failure": failure}
        async with self._connection.transaction():
            changed = bool(await self._rows("change", wanted))
            if changed and after in LETS_GO:
                await self._connection.execute(SQL["release"], {"id": id})
            if changed:
                await self._note(verb, await self.get(id), {"failure": failure} if failure else {})
        return changed

    async def _created(self, wanted: Registration) -> bool:
        said = asdict(wanted) | {name: Jsonb(getattr(wanted, name)) for name in ("from_versions", "plan")}
        named = {name: Jsonb([list(each) for each in getattr(wanted, name)]) for name in ("muted", "filling")}
        return bool(await self._rows("create", {**said, **named, "who": who()}))

    async def _take(self, wanted: Registration) -> None:
        taken = await self._rows("take", {"id": wanted.id, **_listed(wanted.names)})
        if len(taken) < len(wanted.names):
            await self.refuse_taken(wanted.id, wanted.names)

    async def _note(self, verb: str, replay: Replay, details: dict[str, Any]) -> None:
        said = {"who": who(), "verb": verb, "id": replay.id, "catalog": replay.catalog, "sha256": replay.sha256}
        await self._connection.execute(SQL["note"], {**said, "details": Jsonb(details)})

    async def _rows(self, statement: str, wanted: dict[str, Any]) -> list[tuple[Any, ...]]:
        return await (await self._execute(statement, wanted)).fetchall()

    async def _execute(self, statement: str, wanted: dict[str, Any]) -> AsyncCursor[tuple[Any, ...]]:
        try:
            return await self._connection.execute(SQL[statement], wanted)
        except errors.UndefinedTable:
            raise NoRegistry from None


@asynccontextmanager
async def registry_of(settings: DatabaseSettings) -> AsyncIterator[Registry]:
    async with await connect_async(settings, f"{settings.namespace} replay") as connection:
        yield Registry(connection)


def wait_or_cancel(id: str) -> str:
    """What to do where a replay that has not ended is in the way."""
    return f"wait for it (`laurel replay status {id} --watch`), or cancel it (`laurel replay cancel {id}`)"


def who() -> str:
    """Who gives the command: LAUREL_WHO, else the user of this machine."""
    try:
        return os.environ.get(WHO) or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return f"uid {os.getuid()}"


def _replay(row: tuple[Any, ...]) -> Replay:
    told = dict(zip(COLUMNS, row, strict=True))
    named = {name: [(catalog, key) for catalog, key in told[name]] for name in ("muted", "filling")}
    return Replay(**told | named)


def _listed(names: Sequence[Named]) -> dict[str, Any]:
    return {"catalogs": [catalog for catalog, _ in names], "names": [name for _, name in names]}
