"""The catalogs topic: the only source of the rules that a process runs.

One partition, compacted, a record for every version of every catalog. With a further version every partition is
told, in the same transaction, to run it. A record carries the numbering after it,
so publishing is a chain: each new version is compiled against the ledger of the latest record. The transactional
id keeps the chain single-file: whoever begins to publish fences everybody else, and only then reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

from broker.connections import producer
from broker.positions import last_stable_offsets
from broker.reading import read_to_end
from broker.topics import missing, partition_counts, places_of
from schemas.catalog import Catalog, read_catalog
from schemas.errors import BadCatalog, LaurelError, Precondition
from schemas.events import event_specs
from schemas.program import (
    CatalogProgram,
    CatalogRecord,
    Ledger,
    Program,
    decode_catalog_record,
    encode_catalog_record,
    record_of,
)
from schemas.replays import Publish, encode_order
from schemas.topics import Names

FENCED_ATTEMPTS_MAX = 5
FENCED_PAUSE_S = 0.2

Compile = Callable[[Catalog, Ledger], tuple[CatalogProgram, Ledger]]
Beside = Callable[[Sequence[CatalogRecord], CatalogProgram], AbstractAsyncContextManager[None]]
"""What a version is published within: it may refuse it, by what is published."""


def beside_nothing(records: Sequence[CatalogRecord], program: CatalogProgram) -> AbstractAsyncContextManager[None]:
    """Where no replay can be under way, or the caller sees to it."""
    return nullcontext()


class Draft(NamedTuple):
    """A catalog on its way to the topic."""

    catalog: Catalog
    text: str
    file_name: str
    compile_catalog: Compile
    from_now: bool
    announced: bool
    beside: Beside


class Submission(NamedTuple):
    """What a submitted catalog became; `fresh` is False when this very version was there already."""

    record: CatalogRecord
    fresh: bool


async def read_program(bootstrap: str, names: Names) -> Program:
    """What to run now: the highest version of every catalog. Raises: Precondition when nothing is published."""
    return newest_program(await read_records(bootstrap, names), names)


def newest_program(records: Sequence[CatalogRecord], names: Names) -> Program:
    """The highest version of every catalog. Raises: Precondition when there are none."""
    if not records:
        raise Precondition(
            f"topic {names.catalogs} holds no catalog: publish one with `laurel catalog publish FILE`"
        )
    return program_of(records, names)


async def read_records(bootstrap: str, names: Names) -> list[CatalogRecord]:
    """Every published version, oldest first. Raises: Precondition when the topic is missing."""
    place = (names.catalogs, 0)
    if not (await partition_counts(bootstrap, [names.catalogs]))[names.catalogs]:
        raise missing(names.catalogs)
    values = [record.value async for batch in read_to_end(bootstrap, [place]) for record in batch.records]
    return [decode_catalog_record(value) for value in values if value is not None]


def program_of(records: Sequence[CatalogRecord], names: Names) -> Program:
    newest: dict[str, CatalogProgram] = {}
    for record in sorted(records, key=lambda record: record.version):
        newest[record.catalog] = record.program
    programs = [newest[catalog] for catalog in sorted(newest)]
    return Program(catalogs=programs, ledger=records[-1].ledger, derived=names.derived, commands=names.commands)


async def publish(
    bootstrap: str, names: Names, text: str, file_name: str, compile_catalog: Compile, from_now: bool = False
) -> CatalogRecord:
    """Publish a catalog, or find it published. Raises: as `submit`."""
    return (await submit(bootstrap, names, text, file_name, compile_catalog, from_now)).record


async def submit(
    bootstrap: str,
    names: Names,
    text: str,
    file_name: str,
    compile_catalog: Compile,
    from_now: bool = False,
    beside: Beside = beside_nothing,
) -> Submission:
    """Publish a catalog unless this version with this content is there; partitions run it from now on.

    Raises: BadCatalog on a text that fails the check, a version that sank, other content under a published
    version, or an event that another catalog declares differently; Precondition when a topic is missing, or a
    new metric would start without its past; what `beside` raises.
    """
    catalog = read_catalog(text, file_name)
    return await _submit(
        bootstrap, names, Draft(catalog, text, file_name, compile_catalog, from_now, announced=True, beside=beside)
    )


async def submit_record(
    bootstrap: str, names: Names, text: str, file_name: str, compile_catalog: Compile
) -> Submission:
    """Publish a catalog for a replay, which tells the partitions to run it. Raises: as `submit`."""
    catalog, beside = read_catalog(text, file_name), beside_nothing
    return await _submit(
        bootstrap, names, Draft(catalog, text, file_name, compile_catalog, True, announced=False, beside=beside)
    )


async def _submit(bootstrap: str, names: Names, draft: Draft) -> Submission:
    for attempt in range(FENCED_ATTEMPTS_MAX):
        try:
            return await _submit_once(bootstrap, names, draft)
        except (ProducerFenced, InvalidProducerEpoch):  # somebody began after us; what they wrote comes first
            await asyncio.sleep(FENCED_PAUSE_S * attempt)
    raise LaurelError(
        f"{draft.file_name}: other publishers of namespace '{names.namespace}' came in between "
        f"{FENCED_ATTEMPTS_MAX} times: publish again when they are done"
    )


async def _submit_once(bootstrap: str, names: Names, draft: Draft) -> Submission:
    await places_of(bootstrap, [names.catalogs])
    async with producer(bootstrap, transactional_id=names.catalog_publisher) as client:
        await client.begin_transaction()  # fences: what is read from here on is the end of the chain
        records = await read_records(bootstrap, names)
        before = records[-1].ledger if records else Ledger()
        program, after = draft.compile_catalog(draft.catalog, before)
        published = standing(records, program, draft.file_name)
        if published is not None:
            return await _begun(bootstrap, names, client, draft, records, published)
        if not draft.from_now and any(record.catalog == program.catalog for record in records):
            await _refuse_a_past_nobody_fills(bootstrap, names, program, new_metrics(program, before, after))
        record = _record(draft, program, after)
        event_specs(program_of([*records, record], names))  # raises when it contradicts a catalog that runs
        heard_by = await _heard_by(bootstrap, names, records, program)
        async with draft.beside(records, program):
            await _append(client, names, record)
            await _tell(client, names, draft, record, heard_by)
    return Submission(record, fresh=True)


async def _begun(
    bootstrap: str,
    names: Names,
    client: AIOKafkaProducer,
    draft: Draft,
    records: Sequence[CatalogRecord],
    published: CatalogRecord,
) -> Submission:
    """What is there already; from now on, where a replay that was to bring it has left it."""
    is_left = draft.announced and draft.from_now and not published.announced
    if is_left:
        heard_by = await _heard_by(bootstrap, names, records, published.program)
        async with draft.beside(records, published.program):
            await _tell(client, names, draft, published, heard_by)
    return Submission(published, fresh=is_left)


async def _heard_by(bootstrap: str, names: Names, records: Sequence[CatalogRecord], program: CatalogProgram) -> int:
    """How many partitions may run older versions, and are to be told of this one.

    Raises: Precondition when users have states, and their workers could not hear of it, or would end for a topic
    that is not there.
    """
    if not records:
        return 0
    if await has_states(bootstrap, names):
        read = program_of(records, names).sources
        topics = {event.topic for event in program.events if event.topic is not None}
        await places_of(bootstrap, [names.replay_assignments, *sorted(topics.difference(read))])
    return (await partition_counts(bootstrap, [names.replay_assignments]))[names.replay_assignments]


def _record(draft: Draft, program: CatalogProgram, ledger: Ledger) -> CatalogRecord:
    return record_of(program, ledger, draft.text, draft.file_name, announced=draft.announced)


async def _append(client: AIOKafkaProducer, names: Names, record: CatalogRecord) -> None:
    key = f"{record.catalog}/{record.version}".encode()
    await client.send_and_wait(names.catalogs, encode_catalog_record(record), key=key, partition=0)


async def _tell(
    client: AIOKafkaProducer, names: Names, draft: Draft, record: CatalogRecord, partitions: int
) -> None:
    """Word of it to so many partitions, where it is announced; and all that was written counts."""
    order = encode_order(Publish(catalogs={record.catalog: record.version}, from_now=draft.from_now))
    for partition in range(partitions if draft.announced else 0):
        await client.send_and_wait(names.replay_assignments, order, partition=partition)
    await client.commit_transaction()


def standing(records: Sequence[CatalogRecord], program: CatalogProgram, file_name: str) -> CatalogRecord | None:
    """The newest record when it is this very catalog, None when this is a newer one. Raises: BadCatalog."""
    versions = {record.version: record for record in records if record.catalog == program.catalog}
    highest = max(versions, default=0)
    if program.version > highest:
        return None
    same = versions.get(program.version)
    if same is None or same.sha256 != program.sha256 or program.version < highest:
        raise _sunken(program, same, highest, file_name)
    return same


def _sunken(program: CatalogProgram, same: CatalogRecord | None, highest: int, file_name: str) -> BadCatalog:
    other = same is not None and same.sha256 != program.sha256
    why = "is published with other content" if other else f"lies behind version {highest}, which runs"
    return BadCatalog(
        f"{file_name}: version {program.version} of catalog '{program.catalog}' {why}: "
        f"write `version: {highest + 1}` and publish again"
    )


async def _refuse_a_past_nobody_fills(
    bootstrap: str, names: Names, program: CatalogProgram, added: Sequence[str]
) -> None:
    """Raises: Precondition when users have states already and this version counts something new in them."""
    if added and await has_states(bootstrap, names):
        raise Precondition(
            f"version {program.version} of catalog '{program.catalog}' counts something new ({', '.join(added)}), "
            f"and what users of namespace '{names.namespace}' did so far would be missing in it: fill it with "
            "`laurel replay start --catalog FILE`, or publish with --from-now to let it start at 0 for everybody"
        )


def new_metrics(program: CatalogProgram, before: Ledger, after: Ledger) -> list[str]:
    """Metrics of this catalog that had no place in the state before."""
    slots = {slot for identity, slot in after.metrics.items() if identity not in before.metrics}
    return [metric.key for metric in program.metrics if metric.slot in slots]


async def has_states(bootstrap: str, names: Names) -> bool:
    counts = await partition_counts(bootstrap, [names.changelog])
    places = [(names.changelog, partition) for partition in range(counts[names.changelog])]
    return bool(places) and any((await last_stable_offsets(bootstrap, places)).values())
