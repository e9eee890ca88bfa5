"""Starting a replay: everything that could refuse it comes first, then the catalog, then the row."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from broker.catalogs import submit_record
from processor.evaluator.compile import compile_catalog
from replays.intent import Intent, intend, refuse, why_exact
from replays.planning import refuse_outdated
from replays.registry import LETS_GO, Registration, Registry, Replay, registry_of, wait_or_cancel
from replays.settings import ReplaySettings
from replays.shadow import refuse_leftovers, shadow_namespace
from replays.space import refuse_no_space, space_for
from schemas.catalog import read_catalog
from schemas.catalog.meaning import catalog_hash
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogProgram
from schemas.replays import Dates, Named, Notify, Policy
from schemas.topics import Names


class Wish(NamedTuple):
    """What an operator asks for.

    Shapes: wanted are running achievements whose past is looked at again; plan is as `laurel replay plan --json`
    told it, to be started as it is or not at all.
    """

    text: str
    file_name: str
    id: str | None = None
    notify: Notify = "digest"
    policy: Policy = "keep"
    dates: Dates = "exact"
    accept_truncated: bool = False
    wanted: Sequence[Named] | None = None
    plan: dict[str, Any] | None = None


async def start(settings: ReplaySettings, wish: Wish) -> Replay:
    """The replay, new or as it is found under its id; nothing is written when it is refused.

    Raises: BadCatalog, Precondition.
    """
    id = wish.id or usual_id(wish)
    async with registry_of(settings) as registry:
        found = await registry.find(id)
        if found is not None:
            return _same(found, wish)
        try:
            return await _start(settings, registry, id, wish)
        except LaurelError:
            found = await registry.find(id)  # somebody else may have started it meanwhile, which is the same
            if found is None:
                raise
            return _same(found, wish)


async def _start(settings: ReplaySettings, registry: Registry, id: str, wish: Wish) -> Replay:
    intent = await intend(settings.kafka, settings.names, wish.text, wish.file_name, wish.wanted)
    if wish.wanted is None:
        await refuse_repeated(registry, intent.catalog)
        await refuse_done(registry, intent)
    refuse(intent, wish.accept_truncated, wish.policy)
    refuse_approximate(intent, wish)
    if wish.plan is not None:
        refuse_outdated(wish.plan, intent)
    registration = registration_of(id, intent, wish, settings.names)
    await registry.refuse_beside(id, registration.kind)
    await registry.refuse_taken(id, registration.names)
    if registration.kind == "full":
        await refuse_no_room(settings, registration)
    async with registry.alone():  # nobody publishes between the two
        if registration.kind != "full":
            await submit_record(settings.kafka, settings.names, wish.text, wish.file_name, compile_catalog)
        return await registry.start(registration)


async def refuse_no_room(settings: ReplaySettings, registration: Registration) -> None:
    """Raises: Precondition when there is no space for a shadow, or something in its place."""
    assert registration.shadow is not None, "a full one has a shadow"
    await refuse_leftovers(settings, Names(registration.shadow, follows=settings.namespace))
    refuse_no_space(await space_for(settings), settings.replay_space_reserve)


async def refuse_repeated(registry: Registry, catalog: CatalogProgram) -> None:
    """Raises: Precondition when another replay brings this very version, and has not ended."""
    for each in await registry.listed():
        if each.sha256 == catalog.sha256 and (each.muted or each.filling) and each.status not in LETS_GO:
            raise Precondition(
                f"version {catalog.version} of catalog '{catalog.catalog}' is being replayed by '{each.id}': "
                f"{wait_or_cancel(each.id)}"
            )


async def refuse_done(registry: Registry, intent: Intent) -> None:
    """Raises: Precondition when a replay has brought this very version, and nothing of it is left to be done."""
    catalog, found = intent.catalog, intent.changes
    if found.kind == "nothing" and intent.from_versions.get(catalog.catalog) == catalog.version:
        for each in await registry.listed():
            if each.sha256 == catalog.sha256 and each.status == "done":
                raise Precondition(
                    f"version {catalog.version} of catalog '{catalog.catalog}' runs already, and replay "
                    f"'{each.id}' brought it: `laurel replay diff {each.id}` shows what that gave"
                )


def refuse_approximate(intent: Intent, wish: Wish) -> None:
    """Raises: Precondition when dates are to be approximate, and the states do not tell who has earned what."""
    revoked = intent.changes.harder if wish.policy == "revoke" else ()
    why = why_exact(intent, revoked) if wish.dates == "approximate" else None
    if why is not None:
        raise Precondition(f"dates cannot be approximate, for {why}: leave --dates approximate out")


def usual_id(wish: Wish) -> str:
    """The same for the same catalog and options. Raises: BadCatalog."""
    catalog = read_catalog(wish.text, wish.file_name)
    options = [catalog_hash(catalog), wish.notify, wish.policy, wish.dates, wish.wanted]
    told = hashlib.sha256(msgspec.json.encode(options)).hexdigest()
    return f"{catalog.catalog}-v{catalog.version}-{told[:8]}"


def _same(found: Replay, wish: Wish) -> Replay:
    """Raises: Precondition when what is found under this id is something else, or was cancelled."""
    sha256 = catalog_hash(read_catalog(wish.text, wish.file_name))
    if found.sha256 != sha256:
        raise Precondition(
            f"replay '{found.id}' is of another catalog, version {found.version} of '{found.catalog}' with hash "
            f"{found.sha256[:12]}, not {sha256[:12]}: give another --id"
        )
    if found.status == "cancelled":
        raise Precondition(f"replay '{found.id}' was cancelled: start it again under another id, with --id NAME")
    return found


def registration_of(id: str, intent: Intent, wish: Wish, names: Names) -> Registration:
    """What a full one retires and brings is known to nobody before it is promoted."""
    told = registration_of_part(id, intent, wish)
    if intent.changes.kind != "full":
        return told
    return as_full(told, wish.text, wish.file_name, shadow_namespace(names, id))


def as_full(told: Registration, text: str, file_name: str, shadow: str | None) -> Registration:
    alone = replace(told, kind="full", muted=(), filling=(), retired=())
    return replace(alone, shadow=shadow, source=text, file=file_name)


def registration_of_part(id: str, intent: Intent, wish: Wish) -> Registration:
    catalog, found = intent.catalog, intent.changes
    return Registration(
        id=id,
        kind="fold_and_merge" if found.kind == "fold_and_merge" else "sweep",  # perhaps for its policy alone
        catalog=catalog.catalog,
        version=catalog.version,
        sha256=catalog.sha256,
        notify=wish.notify,
        policy=wish.policy,
        dates=wish.dates,
        from_versions=intent.from_versions,
        muted=found.muted,
        filling=found.filling,
        plan={
            "why": found.why,
            "wanted": found.wanted,
            "removed": found.removed,
            "harder": found.harder,
            "achievements": [name for _, name in [*found.muted, *found.wanted]],
            "truncated": [str(each) for each in intent.lost],
        },
        partitions=intent.partitions,
        retired=[name for named in (found.removed, found.harder) for of, name in named if of == catalog.catalog],
    )
