"""Starting a stretch, everything that could refuse it first; and its job, by what the registry was told then."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from processor.replay.job import Task
from processor.replay.late import LateJob, LateTask, Span
from processor.replay.ports import Ports
from replays.late_intent import Intent, Wish, intend, reading
from replays.late_planning import Counting
from replays.registry import Registration, Registry, Replay, registry_of
from replays.settings import ReplaySettings
from replays.stretches import KafkaStretches
from schemas.errors import Precondition
from schemas.events import readers


async def start(settings: ReplaySettings, wish: Wish) -> Replay:
    """The replay, new or as it is found under its id; nothing is written when it is refused.

    Raises: Precondition.
    """
    intent = await intend(settings.kafka, settings.names, wish)
    id = wish.id or usual_id(intent)
    async with registry_of(settings) as registry:
        found = await registry.find(id)
        return _same(found, intent) if found is not None else await _start(settings, registry, id, intent)


async def _start(settings: ReplaySettings, registry: Registry, id: str, intent: Intent) -> Replay:
    registration = registration_of(id, intent)
    await registry.refuse_beside(id, "late")
    await registry.refuse_taken(id, registration.names)
    catalogs = [each.catalog for each in reading(intent.program, intent.wish.topic)]
    await registry.refuse_among(id, catalogs)
    refuse_lost(intent)
    await refuse_nothing(settings, intent)
    async with registry.alone():
        await registry.refuse_among(id, catalogs)  # it takes long to know that there is something
        return await registry.start(registration)


def refuse_lost(intent: Intent) -> None:
    """Raises: Precondition when retention may have taken a part of the stretch, and that was not accepted."""
    if intent.lost and not intent.wish.accept_truncated:
        raise Precondition(
            f"{'; '.join(str(each) for each in intent.lost)}: that part of the stretch is gone. Say "
            "--accept-truncated to fold what is left of it"
        )


async def refuse_nothing(settings: ReplaySettings, intent: Intent) -> None:
    """Raises: Precondition when there is no record to fold."""
    counting, wish = Counting(settings, intent), intent.wish
    for partition in intent.spans:
        sorting = await counting.sorted(partition)
        if sorting is not None and sorting.chosen:
            return
    raise Precondition(
        f"in {wish.topic} from {wish.since.isoformat()} until {wish.until.isoformat()} there is no record that was "
        "not counted then and can be now: `laurel replay plan` says what became of each"
    )


def usual_id(intent: Intent) -> str:
    """The same for the same stretch, under the same rules."""
    wish = intent.wish
    about = [wish.topic, wish.since, wish.until, wish.users, wish.notify, intent.catalogs]
    told = hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()
    return f"{wish.topic}-{told[:8]}"


def registration_of(id: str, intent: Intent) -> Registration:
    wish, catalog = intent.wish, intent.catalog
    return Registration(
        id=id,
        kind="late",
        catalog=catalog.catalog,
        version=catalog.version,
        sha256=catalog.sha256,
        notify=wish.notify,
        policy="keep",
        dates="exact",
        from_versions=intent.catalogs,
        muted=[],
        filling=[],
        plan={
            "why": [f"what was not counted of {wish.topic} then, and can be now, is folded as if it arrived now"],
            **_stretch(intent),
            "spans": [[number, *span] for number, span in intent.spans.items()],
            "truncated": [str(each) for each in intent.lost],
        },
        partitions=len(intent.spans),
        topic=wish.topic,
    )


def _stretch(intent: Intent) -> dict[str, Any]:
    wish = intent.wish
    users = sorted(wish.users) if wish.users is not None else None
    return {"topic": wish.topic, "since": wish.since.isoformat(), "until": wish.until.isoformat(), "users": users}


def _same(found: Replay, intent: Intent) -> Replay:
    """Raises: Precondition when what is found under this id is something else, or was cancelled."""
    if found.kind != "late" or any(found.plan[name] != value for name, value in _stretch(intent).items()):
        raise Precondition(f"replay '{found.id}' is of something else: give another --id")
    if found.status == "cancelled":
        raise Precondition(f"replay '{found.id}' was cancelled: start it again under another id, with --id NAME")
    return found


def job_of(settings: ReplaySettings, replay: Replay, task: Task, ports: Ports) -> LateJob:
    plan, names = replay.plan, settings.names
    spans = {number: Span(start, end, until) for number, start, end, until in plan["spans"]}
    late = LateTask(plan["topic"], spans, plan["users"] and {*plan["users"]}, names.replay_assignments)
    reader = readers(task.program)[plan["topic"]]
    return LateJob(task, ports, late, KafkaStretches(settings.kafka, names), reader)
