"""`laurel skip`: let a partition go on that is parked at a record which made our own code raise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import typer
from msgspec.structs import replace

from broker.notes import write_note
from broker.parking import Parking, read_parking
from broker.positions import Place, group_positions
from broker.topics import partition_counts
from cli.kafka import run
from cli.settings import Settings
from schemas.errors import LaurelError
from schemas.lanes import lane_of
from schemas.notes import Note, SkipOrder, Suspect

WAIT_S = 30.0
POLL_S = 0.2


class Skip(NamedTuple):
    """A record that is to be skipped, and where its partition stands.

    Shapes: behind counts the offsets after it; `passed` when it was skipped before; owner is the partition of the
    states that it belongs to.
    """

    place: Place
    owner: int
    offset: int
    passed: bool
    behind: int
    suspect: Suspect

    def __str__(self) -> str:
        return f"{self.place[0]}-{self.place[1]} offset {self.offset}"


def command(
    topic: Annotated[str, typer.Argument(help="The source topic, as `laurel doctor` names it.")],
    partition: Annotated[int, typer.Argument(min=0, help="Its partition.")],
    offset: Annotated[int, typer.Argument(min=0, help="The offset at which it is parked.")],
    retry: Annotated[bool, typer.Option("--retry", help="Let a mended version try it again instead.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="Seconds to wait for the partition's owner.")
    ] = WAIT_S,
) -> None:
    """Make a parked record a dead letter of class `skipped`, and let the partition go on behind it.

    The partition's owner does it, in the transaction of its next checkpoint; workers go on meanwhile. Asking again
    changes nothing. A record at which nothing is parked is refused. With --retry nothing is skipped: the record is
    folded as any other, and parked again after three more exits.
    """
    settings, place = Settings(), (topic, partition)
    skip = run(_look(settings, place, offset))
    if skip.passed:
        print(f"{skip} was passed before: there is nothing to skip")
        return
    print(explained(skip, retry))
    if not yes:
        typer.confirm("Retry it?" if retry else "Skip it?", abort=True)
    print(result(skip, retry, run(_order(settings, skip, retry, wait_s))))


def explained(skip: Skip, retry: bool) -> str:
    known = f"{skip} has ended the worker {skip.suspect.exits} times ({skip.suspect.error})."
    if retry:
        return f"{known} It is folded again; a worker that cannot ends again, three times before it is parked again"
    return (
        f"{known} Skipped, it becomes a dead letter of class 'skipped', its bytes untouched, and counts for "
        f"nobody; the {skip.behind:,} offsets behind it are folded"
    )


def result(skip: Skip, retry: bool, done: bool) -> str:
    if not done:
        return f"ordered: the worker that owns partition {skip.owner} will do it, once there is one"
    return "folded" if retry else f"skipped: see `laurel dlq list --class skipped --topic {skip.place[0]}`"


async def _look(settings: Settings, place: Place, offset: int) -> Skip:
    """Raises: LaurelError unless the partition is parked at this record, or has passed it."""
    topic, partition = place
    counts = await partition_counts(settings.kafka, [settings.names.control, topic])
    if partition >= counts[topic]:
        raise LaurelError(
            f"there is no partition {partition} of {topic} in namespace '{settings.namespace}': `laurel doctor` "
            "lists what is parked"
        )
    parking = await read_parking(settings.kafka, settings.names, range(counts[settings.names.control]))
    async with group_positions(settings.kafka, settings.names.processor) as group:
        position = (await group.committed([place]))[place]
        end = (await group.ends([place]))[place]
    known = parking.get(place, Parking())
    if known.suspect is None or not known.is_parked or known.suspect.start != offset:
        raise LaurelError(_refused(place, offset, parking, position))
    _, owner = lane_of(*place, counts[settings.names.control])
    return Skip(place, owner, offset, position > offset, max(0, end - offset - 1), known.suspect)


def _refused(place: Place, offset: int, parking: Mapping[Place, Parking], position: int) -> str:
    known = parking.get(place)
    suspect = known.suspect if known else None
    named = f"{place[0]}-{place[1]} is not parked at offset {offset}"
    if suspect is not None and suspect.is_parked and suspect.start >= position:
        topic, partition = place
        return f"{named}, but at {suspect.start}: `laurel skip {topic} {partition} {suspect.start}`"
    return f"{named}, it stands at {position}: only a record that is parked can be skipped; see `laurel doctor`"


async def _order(settings: Settings, skip: Skip, retry: bool, wait_s: float) -> bool:
    """Leave word for the partition's owner. Returns whether it got past the record while we waited."""
    suspect = skip.suspect
    order: Note = replace(suspect, exits=0) if retry else SkipOrder(topic=suspect.topic, offset=skip.offset)
    await write_note(settings.kafka, settings.names, skip.owner, order)
    deadline = time.monotonic() + wait_s
    async with group_positions(settings.kafka, settings.names.processor) as group:
        while (await group.committed([skip.place]))[skip.place] <= skip.offset:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
    return True
