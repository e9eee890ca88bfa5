"""What keeps a version from being published: a replay under way that is at what the version changes.

Its job folds the past by the rules it was started with, and the partitions would go by others. Who starts a replay
and who publishes hold the same lock of the registry, so that either knows of the other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from broker.catalogs import Beside
from processor.replay.excerpt import Aim, folded_types, needs_of
from projections.settings import DatabaseSettings
from replays.registry import LETS_GO, NoRegistry, Registry, Replay, registry_of, wait_or_cancel
from schemas.errors import Precondition
from schemas.program import CatalogProgram, CatalogRecord
from schemas.replays import Named


def beside_replays(database: Callable[[], DatabaseSettings], *, is_named: bool) -> Beside:
    """To publish within. `is_named` says whether there is a database to ask.

    Raises: Precondition when a replay is at what the version changes; or when replays have brought versions, and no
    database is named, or it does not answer.
    """

    @asynccontextmanager
    async def beside(records: Sequence[CatalogRecord], program: CatalogProgram) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if is_named or not all(record.announced for record in records):
                registry = await stack.enter_async_context(registry_of(database()))
                await _enter(stack, registry, records, program)
            yield

    return beside


async def _enter(
    stack: AsyncExitStack, registry: Registry, records: Sequence[CatalogRecord], program: CatalogProgram
) -> None:
    try:
        await stack.enter_async_context(registry.alone())
    except NoRegistry:  # then nobody has ever started a replay
        return
    for replay in await registry.listed():
        if replay.status not in LETS_GO:
            refuse_touching(replay, records, program)


def refuse_touching(replay: Replay, records: Sequence[CatalogRecord], program: CatalogProgram) -> None:
    """Raises: Precondition when this version changes what the replay is at, or is the one that it brings."""
    for what in touched(replay, records, program):
        raise Precondition(
            f"version {program.version} of catalog '{program.catalog}' {what}, and replay '{replay.id}' is at it: "
            f"{wait_or_cancel(replay.id)}"
        )


def touched(replay: Replay, records: Sequence[CatalogRecord], program: CatalogProgram) -> Iterator[str]:
    aim, before = aim_of(replay), _record(records, program.catalog, replay.versions.get(program.catalog))
    if before is None or not any(aim):
        return
    if before.sha256 == program.sha256 and replay.catalog == program.catalog:
        yield "is brought by a replay"
    now = dict(_all_rules(program))
    for (kind, name), rule in _rules(before, aim):
        if (kind, name) not in now:
            yield f"has no {kind} '{name}' any more"
        elif now[kind, name] != rule:
            yield f"changes the {kind} '{name}'"


def aim_of(replay: Replay) -> Aim:
    plan: dict[str, list[Named]] = {
        name: [(catalog, key) for catalog, key in replay.plan.get(name, ())] for name in ("wanted", "harder")
    }
    judged = plan["harder"] if replay.policy == "revoke" else []
    return Aim(replay.filling, [*replay.muted, *plan["wanted"]], judged)


def _record(records: Sequence[CatalogRecord], catalog: str, version: int | None) -> CatalogProgram | None:
    found = (each.program for each in records if (each.catalog, each.version) == (catalog, version))
    return next(found, None)


def _rules(program: CatalogProgram, aim: Aim) -> Iterator[tuple[tuple[str, str], object]]:
    """What the fold for this aim goes by."""
    needs = needs_of(program, aim)
    metrics = [each for each in program.metrics if each.key in needs.metrics]
    achievements = [each for each in program.achievements if each.reference in needs.achievements]
    types = folded_types(metrics, achievements)
    types |= {each.type for each in program.events if any(rule.type in types for rule in each.derive)}
    named = {("metric", each.key) for each in metrics} | {("event", each) for each in types}
    named |= {("achievement", each.reference) for each in achievements}
    named |= {("setting", "timezone"), ("setting", "repartition"), ("setting", "levels")} if named else set()
    return ((name, rule) for name, rule in _all_rules(program) if name in named)


def _all_rules(program: CatalogProgram) -> Iterator[tuple[tuple[str, str], object]]:
    """Equal slots are equal meanings."""
    yield from ((("metric", each.key), each.slot) for each in program.metrics)
    yield from ((("achievement", each.reference), each.rule) for each in program.achievements)
    yield from ((("event", each.type), each) for each in program.events)
    yield ("setting", "timezone"), program.timezone
    yield ("setting", "repartition"), program.repartition
    yield ("setting", "levels"), program.levels
