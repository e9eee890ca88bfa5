"""What must be there before a worker starts: a broker, a catalog, topics that fit."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

import structlog
from aiokafka.errors import KafkaError

from broker.catalogs import newest_program, read_records
from broker.connections import admin
from broker.notes import LAYOUT_PARTITION, read_layout, write_note
from broker.topics import check_topics, missing, partition_counts
from processor.evaluator.programs import Programs
from schemas.errors import Precondition
from schemas.notes import Layout
from schemas.program import Program
from schemas.topics import Names, TopicSpec

PAUSE_S, PAUSE_S_MAX = 0.5, 5.0

log = structlog.get_logger(__name__)


class Plan(NamedTuple):
    """What to run, and over how many partitions the users are spread."""

    programs: Programs
    partitions: int

    @property
    def program(self) -> Program:
        """The newest version of every catalog."""
        return self.programs.newest


async def prepare(bootstrap: str, names: Names, timeout_s: float) -> Plan:
    """Wait for a broker, then check what it holds. Only the start is ever tried again.

    Raises: Precondition with the remedy.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        await _reach(bootstrap, deadline)
        try:
            return await _agreed(bootstrap, names)
        except KafkaError as error:
            if time.monotonic() > deadline:
                raise Precondition(f"the broker at {bootstrap} is not ready: {error!r}. See its log") from error
            await asyncio.sleep(PAUSE_S)


async def _reach(bootstrap: str, deadline: float) -> None:
    pause_s = PAUSE_S
    while True:
        try:
            async with admin(bootstrap):
                return
        except Precondition as unreachable:
            if time.monotonic() + pause_s > deadline:
                raise
            log.warning("waiting for a broker", why=str(unreachable), pause_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_S_MAX)


async def _agreed(bootstrap: str, names: Names) -> Plan:
    """A plan that fits what the states were made with, and is noted for those who come later."""
    layout = await read_layout(bootstrap, names)  # before the catalogs, which can only have moved on since
    plan = await check(bootstrap, names)
    if layout is not None:
        refuse_changed(names, layout, plan)
    if layout != (ours := layout_of(plan)):
        await write_note(bootstrap, names, LAYOUT_PARTITION, ours)
    return plan


def layout_of(plan: Plan) -> Layout:
    catalogs = {catalog.catalog: (catalog.version, catalog.sha256) for catalog in plan.program.catalogs}
    return Layout(partitions=plan.partitions, catalogs=catalogs)


def refuse_changed(names: Names, before: Layout, plan: Plan) -> None:
    """Raises: Precondition when topics or catalogs are not those that the states were made with."""
    if before.partitions != plan.partitions:
        raise Precondition(
            f"the states of namespace '{names.namespace}' are spread over {before.partitions} partitions, and its "
            f"topics have {plan.partitions} now: users would not be found where they are. Start over in a new "
            "namespace, whose worker reads the sources again"
        )
    now = layout_of(plan).catalogs
    for catalog, (version, sha256) in before.catalogs.items():
        other_version, other_sha256 = now.get(catalog, (0, ""))
        if other_version < version or (other_version == version and other_sha256 != sha256):
            raise Precondition(
                f"catalog '{catalog}' has run in version {version} with content {sha256[:12]}, and "
                f"{names.catalogs} has version {other_version} with {other_sha256[:12] or 'nothing'}: the topic "
                "was recreated, and with it the numbering of the states is lost. Restore the topic, or start over "
                "in a new namespace"
            )


async def check(bootstrap: str, names: Names) -> Plan:
    """The program and the topics it needs. Raises: Precondition naming everything that does not fit."""
    records = await read_records(bootstrap, names)
    program = newest_program(records, names)
    partitions = await state_partitions(bootstrap, names)
    faults = await check_topics(bootstrap, needed_topics(names, program, partitions), program.repartitioned)
    if faults:
        raise Precondition("\n".join(fault.message for fault in faults))
    return Plan(Programs(program, records), partitions)


async def state_partitions(bootstrap: str, names: Names) -> int:
    """How many partitions the state has. Raises: Precondition."""
    partitions = (await partition_counts(bootstrap, [names.changelog]))[names.changelog]
    if not partitions:
        raise missing(names.changelog)
    return partitions


def needed_topics(names: Names, program: Program, partitions: int) -> list[TopicSpec]:
    """Ours as we want them; of the publishers' topics only the number of partitions is our business."""
    ours = [TopicSpec(spec.name, spec.partitions or partitions, spec.config) for spec in names.specs()]
    known = {spec.name for spec in ours}
    return ours + [TopicSpec(topic, partitions, {}) for topic in program.sources if topic not in known]
