"""Unlocks and derived events as bytes.

Almost all of an unlock is the same for everyone who earns it, so it is encoded once, with gaps; the gaps are
found by encoding an outcome with a placeholder in each, which keeps the schema the only place that names fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from schemas.events import DERIVED_SOURCE, Attributes, attribute_of, is_user
from schemas.outcomes import SOURCE_PREFIX, Evidence, Outcome, Unlocked, id_start, uuid_of
from schemas.program import AchievementSpec, CatalogProgram, DeriveSpec, EventSpec
from schemas.zones import EPOCH

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

GAP = "\x1a"
ID_END = b"," + encode(["", 0])[1:]  # scope and n, behind the user


class UnlockTemplate:
    """The outcome of one achievement, ready but for who, when and why."""

    def __init__(self, catalog: CatalogProgram, spec: AchievementSpec) -> None:
        self._pieces = _pieces(_with_gaps(example_of(catalog, spec)))
        self._id_start = id_start(catalog.catalog, spec.key, spec.tier)

    def render(self, subject: str, earned_at: datetime, progress: int | None, evidence: bytes) -> bytes:
        """Shapes: evidence is JSON. Hot: bytes, since text with an emoji in it takes four bytes a character."""
        start, to_user, to_time, to_earned_at, to_progress, to_evidence, end = self._pieces
        user, moment, shown = encode(subject), encode(earned_at), encode(progress)
        identity = self._id_start.copy()
        identity.update(user + ID_END)
        made = uuid_of(identity.hexdigest()).encode()
        return b"".join((start, made, to_user, user, to_time, moment, to_earned_at, moment,
                         to_progress, shown, to_evidence, evidence, end))  # fmt: skip


class EvidenceTemplate:
    """The record that crossed a condition, ready but for its offset and event."""

    def __init__(self, topic: str, partition: int) -> None:
        example = Evidence(topic=topic, partition=partition, offset=0, event_id="")
        open_fields = dict.fromkeys(("offset", "event_id"), GAP)
        self._pieces = _pieces(encode(msgspec.to_builtins(example) | open_fields))

    def render(self, offset: int, event_id: str) -> bytes:
        start, to_event, end = self._pieces
        return b"".join((start, encode(offset), to_event, encode(event_id), end))


def _pieces(encoded: bytes) -> list[bytes]:
    """What stands between the gaps."""
    return encoded.split(encode(GAP))


def example_of(catalog: CatalogProgram, spec: AchievementSpec) -> Outcome:
    """An unlock with all that is the same for everybody."""
    return Outcome(
        id="",
        source=SOURCE_PREFIX + catalog.catalog,
        subject="",
        time=EPOCH,
        data=Unlocked(
            catalog=catalog.catalog,
            achievement=spec.key,
            name=spec.name,
            description=spec.description,
            message=spec.message,
            icon=spec.icon,
            color_from=spec.color_from,
            color_to=spec.color_to,
            category=spec.category,
            type=spec.type,
            catalog_version=catalog.version,
            catalog_sha256=catalog.sha256,
            tier=spec.tier,
            rarity=spec.rarity,
            points=spec.points,
            xp=spec.xp,
            secret=spec.secret,
            is_public=spec.is_public,
            scope="",
            n=0,
            metadata={},
            earned_at=EPOCH,
            progress_at_unlock=None,
            evidence=Evidence(topic="", partition=0, offset=0, event_id=""),
            origin="live",
            replay_id=None,
            announce=True,
        ),
    )


def _with_gaps(example: Outcome) -> bytes:
    """The JSON of an outcome: id, subject, time, earned_at, progress_at_unlock and evidence are gaps."""
    fields = msgspec.to_builtins(example)
    fields.update(dict.fromkeys(("id", "subject", "time"), GAP))
    fields["data"].update(dict.fromkeys(("earned_at", "progress_at_unlock", "evidence"), GAP))
    return encode(fields)


class Derivation:
    """A rule that gives another user an event out of this one."""

    def __init__(self, catalog: str, rule: DeriveSpec, parent: EventSpec) -> None:
        self._rule = rule
        self._source = DERIVED_SOURCE + catalog
        self._subject = path_reader(parent, rule.subject)
        self._data = {name: path_reader(parent, path) for name, path in rule.data.items()}

    def derive(self, event: Attributes, data: Any) -> tuple[bytes, bytes] | None:
        """(key, value) of the derived event, or None where there is nobody else to give it to."""
        subject = self._subject(event, data)
        if not isinstance(subject, str) or not is_user(subject):
            return None
        if self._rule.unless_self and subject == event.subject:
            return None
        return subject.encode(), encode(self._event(subject, event, data))

    def _event(self, subject: str, event: Attributes, data: Any) -> dict[str, Any]:
        derived = {
            "specversion": "1.0",
            "id": derived_id(event.source, event.id, self._rule.type, subject),
            "source": self._source,
            "type": self._rule.type,
            "subject": subject,
            "time": event.time,
            "data": {name: read(event, data) for name, read in self._data.items()},
        }
        return derived if event.timezone is None else derived | {"timezone": event.timezone}


def derived_id(source: str, parent: str, rule: str, subject: str) -> str:
    """The same for the same cause, so that a derived event said twice counts once."""
    return hashlib.sha1(encode([source, parent, rule, subject]), usedforsecurity=False).hexdigest()


def path_reader(event: EventSpec, path: str) -> Callable[[Attributes, Any], Any]:
    """What reads `subject` or `data.<field>` of an event."""
    if path == "subject":
        return lambda event, data: event.subject
    name = path.removeprefix("data.")
    field, places = attribute_of(event, name), next(each.places for each in event.fields if each.name == name)
    if places:  # kept scaled, published as it was
        return lambda event, data: written_decimal(getattr(data, field), places)
    return lambda event, data: getattr(data, field)


def written_decimal(scaled: int | None, places: int) -> msgspec.Raw | None:
    """A scaled decimal as a JSON number."""
    return None if scaled is None else msgspec.Raw(str(Decimal(scaled).scaleb(-places)).encode())
