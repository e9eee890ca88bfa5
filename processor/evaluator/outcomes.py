"""Unlocks and derived events as bytes.

Almost all of an unlock is the same for everyone who earns it, so it is encoded once, with gaps; the gaps are
found by encoding an outcome with a placeholder in each, which keeps the schema the only place that names fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
from operator import attrgetter, getitem
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from schemas.events import DERIVED_SOURCE, Attributes, attribute_of, is_user
from schemas.outcomes import SOURCE_PREFIX, Evidence, Outcome, Unlocked, id_start, uuid_of
from schemas.program import AchievementSpec, CatalogProgram, DeriveSpec, EventSpec
from schemas.zones import EPOCH

encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode

Unlock = tuple[bytes, str, int, datetime, Any, int, str]
"""Key, subject, place of the template, earned at, progress, offset, event id. Progress is the metric's value; of a
level, the level and the value; of an award that was lost before, `Again`; of one that says something of its event,
`Said`."""
Read = Callable[[Any], Any]
Later = Callable[[], bytes]
"""What writes an outcome when it is read."""
Told = Unlock | bytes | Later
"""An outcome: one that has a template, one that is written, or one that is written when it is read."""

GAP = "\x1a"
QUOTE = b'"'


def id_end(scope: str, n: int = 0) -> bytes:
    """What finishes the hash of an id, behind the user."""
    return b"," + encode([scope, n])[1:]


ID_END = id_end("")
NEVER_LOST = encode(0)


class Again(NamedTuple):
    """What is told of an award that was lost n times: its metric's value."""

    progress: int | None
    n: int


class Said(NamedTuple):
    """What is told of an award with scope or context. Shapes: data is its event's."""

    progress: int | None
    scope: str
    n: int
    data: Any


class Occasion(NamedTuple):
    """Why an outcome is told: as it happens, or by a replay."""

    origin: Literal["live", "replay"]
    replay_id: str | None
    announce: bool
    dates: Literal["approximate"] | msgspec.UnsetType = msgspec.UNSET


LIVE = Occasion("live", None, True)
NOWHERE = Evidence(topic="", partition=0, offset=0, event_id="")
GAPS = ("id", "subject", "time", "data.n", "data.earned_at", "data.progress_at_unlock", "data.evidence")


class Template(Protocol):
    """What writes the outcomes that differ in who, when and why alone.

    Shapes: evidence as `evidence_of` gives it.
    """

    def render(self, told: Unlock, evidence: Sequence[bytes]) -> bytes: ...


class UnlockTemplate:
    """The outcome of one achievement, ready but for who, when and why."""

    def __init__(self, catalog: CatalogProgram, spec: AchievementSpec, occasion: Occasion = LIVE) -> None:
        self._pieces = pieces_of(example_of(catalog, spec, occasion), GAPS)
        self._id_start = id_start(catalog.catalog, spec.key, spec.tier)

    def render(self, told: Unlock, evidence: Sequence[bytes]) -> bytes:
        """Hot: one join of bytes, since text with an emoji in it takes four bytes a character."""
        _, subject, _, earned_at, progress, offset, event_id = told
        start, to_user, to_time, to_n, to_earned_at, to_progress, to_evidence, end = self._pieces
        to_offset, to_event, to_end = evidence
        user, moment, lost, behind_user = encode(subject), encode(earned_at), NEVER_LOST, ID_END
        if type(progress) is Again:
            progress, n = progress
            lost, behind_user = encode(n), id_end("", n)
        identity = self._id_start.copy()
        identity.update(user + behind_user)
        return b"".join((start, QUOTE, uuid_of(identity.digest()), QUOTE, to_user, user, to_time, moment,
                         to_n, lost, to_earned_at, moment, to_progress, encode(progress), to_evidence,
                         to_offset, encode(offset), to_event, encode(event_id), to_end, end))  # fmt: skip


def evidence_of(topic: str, partition: int) -> list[bytes]:
    """The record that crossed a condition, in pieces: what stands before, between and behind offset and event."""
    example = Evidence(topic=topic, partition=partition, offset=0, event_id="")
    return _pieces(encode(msgspec.to_builtins(example) | dict.fromkeys(("offset", "event_id"), GAP)))


Row = Unlock | tuple[bytes, bytes | Later]
"""An outcome with its key: an unlock as it is, or (key, value)."""


class Outcomes(Collection[tuple[bytes, bytes]]):
    """The outcomes of a cut as (key, value). Unlocks are rendered when they are read: until then they take a third
    of the memory, and the fold is not held up."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self._templates = templates
        self._parts: list[tuple[Sequence[Template], Sequence[bytes], Sequence[Row]]] = []
        self._count = 0

    def change(self, templates: Sequence[Template]) -> None:
        """From here on unlocks are those of another program."""
        self._templates = templates

    def tell(self, evidence: Sequence[bytes], rows: Sequence[Row]) -> None:
        """Take outcomes of one topic, behind those before. Shapes: evidence as `evidence_of` gives it."""
        if rows:
            self._parts.append((self._templates, evidence, rows))
            self._count += len(rows)

    def write(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Take outcomes that are rendered already."""
        self.tell((), rows)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        for templates, evidence, rows in self._parts:
            for row in rows:
                if len(row) == 2:
                    key, told = row
                    yield key, told if isinstance(told, bytes) else told()
                else:
                    yield row[0], templates[row[2]].render(row, evidence)

    def __contains__(self, row: object) -> bool:
        return any(row == each for each in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collection) and list(self) == list(other)


def _pieces(encoded: bytes) -> list[bytes]:
    """What stands between the gaps."""
    return encoded.split(encode(GAP))


def example_of(catalog: CatalogProgram, spec: AchievementSpec, occasion: Occasion = LIVE) -> Outcome:
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
            evidence=NOWHERE,
            **occasion._asdict(),
        ),
    )


def pieces_of(example: msgspec.Struct, gaps: Sequence[str]) -> list[bytes]:
    """The JSON of an outcome without these fields. Shapes: gaps are paths, in the order they are written in."""
    fields = msgspec.to_builtins(example)
    for gap in gaps:
        *above, name = gap.split(".")
        reduce(getitem, above, fields)[name] = GAP
    return _pieces(encode(fields))


class Form:
    """What is the same whenever it is told, but for some fields."""

    def __init__(self, example: msgspec.Struct, gaps: Sequence[str]) -> None:
        self._parts = [part for piece in pieces_of(example, gaps) for part in (piece, b"")][:-1]

    def joined(self, values: Sequence[bytes]) -> bytes:
        """Shapes: values as the gaps, encoded."""
        parts = self._parts[:]
        parts[1::2] = values
        return b"".join(parts)


class DerivedEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """Another user's event, as it is written."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: dict[str, Any]
    timezone: str | None = None


class Derivation:
    """A rule that gives another user an event out of this one."""

    def __init__(self, catalog: str, rule: DeriveSpec, parent: EventSpec) -> None:
        self._source, self._type, self._unless_self = DERIVED_SOURCE + catalog, rule.type, rule.unless_self
        self._subject = _path_reader(parent, rule.subject)
        self._data = [(name, _path_reader(parent, path)) for name, path in rule.data.items()]

    def derive(self, event: Attributes, data: Any) -> tuple[bytes, bytes] | None:
        """(key, value) of the derived event, or None where there is nobody else to give it to. Hot."""
        subject = event.subject if self._subject is None else self._subject(data)
        if type(subject) is not str or not is_user(subject):
            return None
        if self._unless_self and subject == event.subject:
            return None
        said = {name: event.subject if read is None else read(data) for name, read in self._data}
        identity, at, zone = derived_id(event.source, event.id, self._type, subject), event.time, event.timezone
        derived = DerivedEvent("1.0", identity, self._source, self._type, subject, at, said, zone)
        return subject.encode(), encode(derived)


def derived_id(source: str, parent: str, rule: str, subject: str) -> str:
    """The same for the same cause, so that a derived event said twice counts once."""
    return hashlib.sha1(encode([source, parent, rule, subject]), usedforsecurity=False).hexdigest()


def _path_reader(event: EventSpec, path: str) -> Read | None:
    """What reads `data.<field>`; nothing for `subject`, which is no data."""
    return None if path == "subject" else field_reader(event, path.removeprefix("data."))


def field_reader(event: EventSpec, name: str) -> Read:
    """What reads a declared field of an event's data as it is published."""
    field, places = attribute_of(event, name), next(each.places for each in event.fields if each.name == name)
    if places:  # kept scaled, published as it was
        return lambda data: written_decimal(getattr(data, field), places)
    return attrgetter(field)


def written_decimal(scaled: int | None, places: int) -> msgspec.Raw | None:
    """A scaled decimal as a JSON number."""
    return None if scaled is None else msgspec.Raw(str(Decimal(scaled).scaleb(-places)).encode())
