"""What a new version of a catalog takes: how it is made up for, over which log, and why it cannot be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from broker.catalogs import read_records, standing
from broker.controls import read_controls
from broker.topics import missing, partition_counts, places_of
from processor.evaluator.compile import compile_catalog
from processor.replay.approximation import why_not
from processor.replay.changes import Changes, changes, unfinished_in
from processor.replay.excerpt import Aim
from replays.history import Begin, lost_beginnings
from replays.registry import wait_or_cancel
from schemas.catalog import read_catalog
from schemas.errors import Precondition
from schemas.program import CatalogProgram, CatalogRecord, Program
from schemas.replays import Named, Policy
from schemas.state import Control
from schemas.topics import Names


class Intent(NamedTuple):
    """What a replay would do.

    Shapes: from_versions is catalog -> what runs now, nothing for a catalog that is new; lost are the partitions
    whose first records are gone, of the topics it reads.
    """

    catalog: CatalogProgram
    from_versions: dict[str, int]
    running: Program
    new: Program
    changes: Changes
    partitions: int
    lost: list[Begin]


async def intend(
    bootstrap: str, names: Names, text: str, file_name: str, wanted: Collection[Named] | None = None
) -> Intent:
    """Changes nothing. Shapes: wanted are achievements that run, whose past is looked at again.

    Raises: BadCatalog on a text that fails the check, or a version that sank; Precondition when topics are missing,
    or nothing was published yet.
    """
    catalog = read_catalog(text, file_name)
    records = await read_records(bootstrap, names)
    controls = await read_controls(bootstrap, names)
    if not records:
        raise Precondition(
            f"no catalog runs in namespace '{names.namespace}', so there is no past: publish {file_name} with "
            "`laurel catalog publish`"
        )
    program, ledger = compile_catalog(catalog, records[-1].ledger)
    standing(records, program, file_name)
    versions = running_versions(records, controls.values())
    running = program_at(records, names, versions)
    others = [each for each in running.catalogs if each.catalog != program.catalog]
    together = sorted([*others, program], key=lambda each: each.catalog)
    new = Program(catalogs=together, ledger=ledger, derived=names.derived, commands=names.commands)
    found = changes(running, new, unfinished_in(controls.values(), records), wanted)
    topics = all_topics(new) if found.kind == "full" else [*found.types]
    lost = await lost_beginnings(bootstrap, await places_of(bootstrap, topics)) if topics else []
    return Intent(program, versions, running, new, found, await partitions_of(bootstrap, names), lost)


def all_topics(program: Program) -> list[str]:
    """What everything is folded from: what is derived of it is derived anew."""
    return [topic for topic in program.sources if topic != program.derived]


def running_versions(records: Sequence[CatalogRecord], controls: Collection[Control]) -> dict[str, int]:
    """Of every catalog the lowest version that a partition runs; the published one where none runs any yet."""
    told = [control.catalogs for control in controls if control.catalogs]
    if not told:
        announced = (each for each in records if each.announced)  # others wait for a replay to bring them
        return {each.catalog: each.version for each in sorted(announced, key=lambda each: each.version)}
    catalogs = {catalog for versions in told for catalog in versions}
    return {name: min(versions[name] for versions in told if name in versions) for name in sorted(catalogs)}


def program_at(records: Sequence[CatalogRecord], names: Names, versions: Mapping[str, int]) -> Program:
    """These versions, with the newest numbering."""
    catalogs = [each.program for each in records if versions.get(each.catalog) == each.version]
    catalogs.sort(key=lambda each: each.catalog)
    return Program(catalogs=catalogs, ledger=records[-1].ledger, derived=names.derived, commands=names.commands)


async def partitions_of(bootstrap: str, names: Names) -> int:
    """Of the state. Raises: Precondition when the orders' topic is not split alike."""
    counts = await partition_counts(bootstrap, [names.changelog, names.replay_assignments])
    for topic, count in counts.items():
        if not count:
            raise missing(topic)
    if len({*counts.values()}) > 1:
        raise Precondition(
            f"topic {names.replay_assignments} has {counts[names.replay_assignments]} partitions, the state has "
            f"{counts[names.changelog]}: delete that topic and make it again with `laurel topics create`"
        )
    return counts[names.changelog]


def refuse(intent: Intent, accept_truncated: bool, policy: Policy) -> None:
    """Raises: Precondition when this cannot be started, or not without the operator's word."""
    found = intent.changes
    if found.kind == "full":
        refuse_full(intent)
    if found.kind == "nothing" and (policy == "keep" or not (found.removed or found.harder)):
        raise Precondition(
            f"{named(intent)} has nothing to replay, {'; '.join(found.why)}: publish it with `laurel catalog "
            "publish`"
        )
    for (_, name), holder in found.conflicts.items():
        raise Precondition(
            f"{named(intent)} waits for '{name}', which belongs to replay '{holder}' until that one has ended: "
            f"{wait_or_cancel(holder)}"
        )
    if intent.lost and not accept_truncated:
        others = f", and {len(intent.lost) - 1} more partitions likewise" if len(intent.lost) > 1 else ""
        raise Precondition(
            f"{intent.lost[0]}{others}: what came before would not count. Say --accept-truncated if that is meant"
        )


def named(intent: Intent) -> str:
    return f"version {intent.catalog.version} of catalog '{intent.catalog.catalog}'"


def refuse_full(intent: Intent) -> None:
    """Raises: Precondition when not even folding everything anew makes up for it."""
    if intent.changes.wanted:
        raise Precondition(f"the past of this cannot be looked at alone: {'; '.join(intent.changes.why)}")
    refuse_unread(intent)


def refuse_unread(intent: Intent) -> None:
    """Raises: Precondition when the new version leaves a topic that runs."""
    unread = sorted({*all_topics(intent.running)} - {*all_topics(intent.new)})
    if unread:
        raise Precondition(
            f"{named(intent)} does not read {', '.join(unread)} any more, and a full reprocessing comes to where "
            "the present version stands in every topic: go on declaring one of its events"
        )


def why_exact(intent: Intent, revoked: Collection[Named] = ()) -> str | None:
    """Why the past has to be read; None where the states tell all of it but the dates."""
    found = intent.changes
    if found.kind == "full":
        return "everything is folded anew"
    return why_not(intent.new, Aim(found.filling, [*found.muted, *found.wanted], revoked))
