"""The way back of a promotion: the old rules under a higher version, from the states that its shadow has kept.

It is a full reprocessing in the same namespace, which does not begin at the beginning of the log but where the
partitions were taken over: there are the states that they had, and the shadow goes on from them to where live is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from broker.catalogs import read_records
from broker.connections import consumer
from broker.controls import read_controls
from broker.positions import Positions, as_partitions, group_positions
from replays.intent import Intent, intend, refuse_unread
from replays.registry import Registration, Registry, Replay, registry_of
from replays.settings import ReplaySettings
from replays.shadow import shadow_names
from replays.starting import Wish, as_full, registration_of_part
from schemas.errors import Precondition
from schemas.lanes import place_of
from schemas.program import CatalogRecord
from schemas.replays import Notify, Policy
from schemas.state import Control
from schemas.topics import Names

OTHERWISE = "another full replay, with the old rules under a higher version, leads back"
VERSION = re.compile(r"^version:[ \t]*\d+", re.MULTILINE)


class Return(NamedTuple):
    """What an operator asks for: the way back of which replay."""

    id: str
    notify: Notify = "digest"
    policy: Policy = "keep"


def id_back(id: str) -> str:
    return f"{id}-back"


async def turn_back(settings: ReplaySettings, wish: Return) -> Replay:
    """The replay that leads back, new or as it is found; nothing is written when it is refused.

    Raises: Precondition.
    """
    async with registry_of(settings) as registry:
        replay, found = await registry.get(wish.id), await registry.find(id_back(wish.id))
        if found is None:
            return await _start(settings, registry, replay, wish)
        if found.status == "cancelled":
            raise Precondition(
                f"replay '{found.id}' was cancelled, and with it the states of before are gone: {OTHERWISE}"
            )
        return found


async def _start(settings: ReplaySettings, registry: Registry, replay: Replay, wish: Return) -> Replay:
    refuse_unpromoted(replay)
    await registry.refuse_beside(id_back(replay.id), "full")
    refuse_later(replay, await registry.listed())
    records = await read_records(settings.kafka, settings.names)
    refuse_published(replay, records)
    old = as_version(ran_before(replay, records), replay.version + 1)
    intent = await intend(settings.kafka, settings.names, old.text, old.file_name)
    refuse_other_versions(replay, intent)
    refuse_unread(intent)
    await refuse_lost(settings, replay)
    told = registration_of_part(id_back(replay.id), intent, Wish(*old, notify=wish.notify, policy=wish.policy))
    return await registry.start(leading_back(as_full(told, old.text, old.file_name, replay.shadow), replay))


def leading_back(told: Registration, replay: Replay) -> Registration:
    why = [f"version {replay.from_versions[replay.catalog]} again, from the states that '{replay.id}' has replaced"]
    return replace(told, plan={**told.plan, "why": why, "back_of": replay.id})


# --- the old rules ---


class OldRules(NamedTuple):
    text: str
    file_name: str


def ran_before(replay: Replay, records: Sequence[CatalogRecord]) -> OldRules:
    """Raises: Precondition."""
    version = replay.from_versions.get(replay.catalog)
    found = [each for each in records if (each.catalog, each.version) == (replay.catalog, version)]
    if not found:
        raise Precondition(f"no version of catalog '{replay.catalog}' ran before replay '{replay.id}'")
    return OldRules(found[0].source, found[0].file)


def as_version(old: OldRules, version: int) -> OldRules:
    """The same under another version. Raises: Precondition."""
    text, count = VERSION.subn(f"version: {version}", old.text)
    if count != 1:
        raise Precondition(
            f"{old.file_name} as it was published has no line of its own that begins with `version:`, to be raised "
            f"to {version}: {OTHERWISE}"
        )
    return OldRules(text, old.file_name)


# --- what keeps it from being the way back ---


def refuse_unpromoted(replay: Replay) -> None:
    """Raises: Precondition when nothing was promoted, or nothing is kept of before."""
    if replay.kind != "full":
        raise Precondition(f"replay '{replay.id}' gave its awards by itself, and only a promotion has a way back")
    if replay.status != "done":
        raise Precondition(f"replay '{replay.id}' is {replay.status}: what is not promoted needs no way back")
    if replay.dropped_at is not None:
        raise Precondition(
            f"the shadow of replay '{replay.id}' was dropped, and the states of before with it: {OTHERWISE}"
        )


def refuse_later(replay: Replay, listed: Sequence[Replay]) -> None:
    """Raises: Precondition when another replay has come behind it, which the old states know nothing of."""
    for each in listed:
        if replay.ended_at is not None and each.created_at > replay.ended_at and each.status != "cancelled":
            raise Precondition(
                f"replay '{each.id}' was started behind the promotion of '{replay.id}', and the states of before "
                f"know nothing of it: {OTHERWISE}"
            )


def refuse_published(replay: Replay, records: Sequence[CatalogRecord]) -> None:
    """Raises: Precondition when another version has come since, or another catalog: states are numbered by them."""
    for each in records:
        if each.version > replay.versions.get(each.catalog, 0):
            raise Precondition(
                f"version {each.version} of catalog '{each.catalog}' was published since the promotion of "
                f"'{replay.id}': {OTHERWISE}"
            )


def refuse_other_versions(replay: Replay, intent: Intent) -> None:
    """Raises: Precondition when not what was promoted runs."""
    if intent.from_versions != replay.versions:
        raise Precondition(
            f"replay '{replay.id}' brought {replay.versions}, and {intent.from_versions} runs now: {OTHERWISE}"
        )


async def refuse_lost(settings: ReplaySettings, replay: Replay) -> None:
    """Raises: Precondition when nothing was kept, or cannot go on from where it stands."""
    shadow = shadow_names(settings.names, replay)
    controls = await read_controls(settings.kafka, shadow)
    kept = {number for number, control in controls.items() if _keeps(control, replay)}
    if missing := sorted({*range(replay.partitions)} - kept):
        raise Precondition(
            f"the shadow of replay '{replay.id}' has kept nothing of before in partition {missing[0]}: it was "
            "promoted by a version of Laurel that does not"
        )
    wanted = dict(_positions(shadow, controls))
    await _refuse_unknown_to_group(settings, shadow, wanted)
    await _refuse_deleted(settings, wanted)


def _keeps(control: Control, replay: Replay) -> bool:
    note = control.replays.get(replay.id)
    return note is not None and note.told is not None


def _positions(shadow: Names, controls: Mapping[int, Control]) -> Iterator[tuple[tuple[str, int], int]]:
    """Where the shadow goes on, in what it does not write itself."""
    for number, control in controls.items():
        for lane, at in control.positions.items():
            if lane not in (shadow.derived, shadow.replay_assignments) and at:
                yield place_of(lane, number), at


async def _refuse_unknown_to_group(settings: ReplaySettings, shadow: Names, wanted: Positions) -> None:
    async with group_positions(settings.kafka, shadow.processor) as group:
        for (topic, partition), at in (await group.committed(wanted)).items():
            if not at:
                raise Precondition(
                    f"the broker has forgotten that group {shadow.processor} is at "
                    f"{wanted[topic, partition]} of {topic}-{partition}, as it does when nobody was in a group for "
                    "offsets.retention.minutes: set its positions again (kafka-consumer-groups.sh --reset-offsets)"
                )


async def _refuse_deleted(settings: ReplaySettings, wanted: Positions) -> None:
    async with consumer(settings.kafka) as client:
        begins = await client.beginning_offsets(as_partitions(wanted))
    for (topic, partition), begin in begins.items():
        if begin > wanted[topic, partition]:
            raise Precondition(
                f"{topic}-{partition} begins at {begin}, and the states of before stand at "
                f"{wanted[topic, partition]}: retention has deleted what came in between, and without it there is "
                "no way back"
            )
