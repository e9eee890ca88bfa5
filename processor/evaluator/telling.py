"""Outcomes that are written whole, one at a time: what few records come to. Most unlocks have a template."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import msgspec

from processor.evaluator.entries import Board, Entry
from processor.evaluator.outcomes import (
    LIVE,
    NOWHERE,
    QUOTE,
    Form,
    Occasion,
    Read,
    Said,
    Template,
    Unlock,
    UnlockTemplate,
    encode,
    example_of,
    field_reader,
    id_end,
    pieces_of,
)
from schemas.events import Attributes
from schemas.outcomes import (
    CHALLENGE_COMPLETED,
    COMMAND_ANSWERED,
    COMMANDS_SOURCE,
    LEVEL_KEY,
    LEVEL_REACHED,
    REVOKED,
    SOURCE_PREFIX,
    AnswerOutcome,
    ChallengeCompleted,
    ChallengeOutcome,
    CommandAnswered,
    Evidence,
    LevelOutcome,
    LevelReached,
    Reason,
    Revoked,
    RevokedOutcome,
    encode_outcome,
    finished_id,
    id_start,
    outcome_id,
    uuid_of,
)
from schemas.program import AchievementSpec, CatalogProgram, ChallengeSpec, EventSpec, LevelsSpec
from schemas.records import Record
from schemas.zones import EPOCH

UNLOCKED_GAPS = (
    *("id", "subject", "time", "data.description", "data.message", "data.scope", "data.n", "data.metadata"),
    *("data.context", "data.earned_at", "data.progress_at_unlock", "data.evidence"),
)
OF_METADATA = ("data.description", "data.message", "data.metadata")  # the same for everybody where it has none
REVOKED_GAPS = (
    *("id", "subject", "time", "data.scope", "data.n", "data.award_id", "data.earned_at", "data.revoked_at"),
    *("data.reasons", "data.evidence"),
)
LEVEL_GAPS = ("id", "subject", "time", "data.value", "data.earned_at", "data.evidence")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
TEXTS_CACHED = 1_024


class Cause(msgspec.Struct, frozen=True, gc=False):
    """The record that all of this comes from. Units: timestamp, milliseconds since 1970, its append time."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    event: Attributes
    data: Any
    at: datetime
    record: Record

    @property
    def evidence(self) -> Evidence:
        return Evidence(topic=self.topic, partition=self.partition, offset=self.offset, event_id=self.event.id)


class Fields:
    """Reads fields by name from the data of whatever event it is: null where a catalog's type declares none.

    Shapes: specs has the event types as they are read, with the fields of all catalogs; declared those of one.
    """

    def __init__(self, specs: Mapping[type, EventSpec], declared: Mapping[type, Collection[str]]) -> None:
        self._specs, self._declared = specs, declared

    def reader(self, names: Mapping[str, str]) -> Callable[[Any], dict[str, Any]]:
        """What reads the data. Shapes: names maps what a value shall be called to the field that holds it."""
        known: dict[type, list[tuple[str, Read]]] = {}

        def read(data: Any) -> dict[str, Any]:
            readers = known.get(type(data))
            if readers is None:
                readers = [(name, self._reader(type(data), field)) for name, field in names.items()]
                known[type(data)] = readers
            return {name: each(data) for name, each in readers}

        return read

    def _reader(self, kind: type, field: str) -> Read:
        return field_reader(self._specs[kind], field) if field in self._declared.get(kind, ()) else _nothing


def _nothing(data: Any) -> None:
    return None


def filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with `{name}` replaced where there is such a value; braces in values stay as they are."""
    if not values or "{" not in text:
        return text
    parts = _cut(text)[:]
    parts[1::2] = [_said(values[name]) if name in values else f"{{{name}}}" for name in parts[1::2]]
    return "".join(parts)


@lru_cache(maxsize=TEXTS_CACHED)
def _cut(text: str) -> list[str]:
    """Every other part is the name of a placeholder."""
    return PLACEHOLDER.split(text)


def _said(value: Any) -> str:
    kind = type(value)
    return value if kind is str else TEXT_OF.get(kind, str)(value)


TEXT_OF: dict[type, Callable[[Any], str]] = {
    type(None): lambda nothing: "",
    bool: lambda value: "true" if value else "false",
    list: ", ".join,
    msgspec.Raw: lambda value: bytes(value).decode(),
}


class AwardTeller:
    """The unlocks and revocations of one achievement."""

    def __init__(
        self, catalog: CatalogProgram, spec: AchievementSpec, fields: Fields, occasion: Occasion = LIVE
    ) -> None:
        self._spec = spec
        self._context, self._metadata = fields.reader(spec.context), fields.reader(spec.metadata)
        self._example = example_of(catalog, spec, occasion)
        said_alike = () if spec.metadata else OF_METADATA
        self._form = Form(self._example, [gap for gap in UNLOCKED_GAPS if gap not in said_alike])
        self._id_start = id_start(catalog.catalog, spec.key, spec.tier)

    def unlocked(self, cause: Cause, earned_at: datetime, progress: int | None, scope: str, n: int) -> bytes:
        said = Said(progress, scope, n, cause.data)
        return self._written(cause.event.subject, earned_at, said, encode(cause.evidence))

    def render(self, told: Unlock, evidence: Sequence[bytes]) -> bytes:
        _, subject, _, earned_at, said, offset, event_id = told
        return self._written(subject, earned_at, said, joined(evidence, offset, event_id))

    def _written(self, subject: str, earned_at: datetime, said: Said, evidence: bytes) -> bytes:
        """Hot: as an unlock."""
        progress, scope, n, data = said
        spec, user, moment, where, lost = self._spec, encode(subject), encode(earned_at), encode(scope), encode(n)
        identity = self._id_start.copy()
        identity.update(b"%b,%b,%b]" % (user, where, lost))
        told = b'"%b"' % uuid_of(identity.digest()), user, moment
        behind = encode(self._context(data)), moment, encode(progress), evidence
        if not spec.metadata:
            return self._form.joined((*told, where, lost, *behind))
        metadata = self._metadata(data)
        texts = encode(filled(spec.description, metadata)), encode(filled(spec.message, metadata))
        return self._form.joined((*told, *texts, where, lost, encode(metadata), *behind))

    def revoked(
        self, cause: Cause, earned_at: datetime, n: int, reasons: Sequence[Reason], scope: str = ""
    ) -> bytes:
        return self.revoked_by(encode(cause.evidence), cause.event.subject, cause.at, earned_at, n, reasons, scope)

    def revoked_by(
        self,
        evidence: bytes,
        user: str,
        at: datetime,
        earned_at: datetime,
        n: int,
        reasons: Sequence[Reason],
        scope: str = "",
    ) -> bytes:
        form, start = self._revocation
        award = finished_id(self._id_start, user, scope, n)
        told = finished_id(start, user, scope, n), user, at, scope, n, award, earned_at, at, reasons
        return form.joined((*map(encode, told), evidence))

    @cached_property
    def _revocation(self) -> tuple[Form, hashlib._Hash]:
        """What every revocation says, and how the hash of its id begins. Of most achievements there is none."""
        spec, unlocked = self._spec, self._example.data
        data = Revoked(
            **{name: getattr(unlocked, name) for name in SAID_AGAIN},
            award_id="",
            revoked_at=EPOCH,
            reasons=[],
            announce=unlocked.announce and spec.revocable == "announced",
        )
        example = RevokedOutcome(id="", source=self._example.source, subject="", time=EPOCH, data=data)
        return Form(example, REVOKED_GAPS), id_start(unlocked.catalog, spec.key, spec.tier, REVOKED)


SAID_AGAIN = [
    field for field in Revoked.__struct_fields__ if field not in ("award_id", "revoked_at", "reasons", "announce")
]
"""What a revocation says as the unlock did."""


def joined(evidence: Sequence[bytes], offset: int, event_id: str) -> bytes:
    to_offset, to_event, to_end = evidence
    return b"".join((to_offset, encode(offset), to_event, encode(event_id), to_end))


class Lost(NamedTuple):
    """What is told of an award that was lost, and n times before."""

    teller: AwardTeller
    at: datetime
    n: int
    reasons: list[Reason]


class LossTemplate:
    """The revocations of a catalog."""

    def render(self, told: Unlock, evidence: Sequence[bytes]) -> bytes:
        _, subject, _, earned_at, lost, offset, event_id = told
        teller, at, n, reasons = lost
        found = joined(evidence, offset, event_id)
        written: bytes = teller.revoked_by(found, subject, at, earned_at, n, reasons)
        return written


class LevelTemplate:
    """The outcomes of a catalog's levels, each ready but for who, when and why."""

    def __init__(self, catalog: CatalogProgram, levels: LevelsSpec, occasion: Occasion = LIVE) -> None:
        self._catalog, self._levels, self._occasion = catalog, levels, occasion
        self._id_start = id_start(catalog.catalog, LEVEL_KEY, kind=LEVEL_REACHED)
        self._ready: dict[int, tuple[bytes, list[bytes]]] = {}  # made when first asked for: most are never

    def render(self, told: Unlock, evidence: Sequence[bytes]) -> bytes:
        """Hot: as an unlock."""
        _, subject, _, at, (level, value), offset, event_id = told
        behind_user, pieces = self._ready.get(level) or self._made_ready(level)
        start, to_user, to_time, to_value, to_earned_at, to_evidence, end = pieces
        to_offset, to_event, to_end = evidence
        user, moment = encode(subject), encode(at)
        identity = self._id_start.copy()
        identity.update(user + behind_user)
        return b"".join((start, QUOTE, uuid_of(identity.digest()), QUOTE, to_user, user, to_time, moment,
                         to_value, encode(value), to_earned_at, moment, to_evidence,
                         to_offset, encode(offset), to_event, encode(event_id), to_end, end))  # fmt: skip

    def _made_ready(self, level: int) -> tuple[bytes, list[bytes]]:
        """How the hash of its id ends, behind the user, and what stands between the gaps."""
        made = id_end(str(level)), pieces_of(self._example(level), LEVEL_GAPS)
        self._ready[level] = made
        return made

    def _example(self, level: int) -> LevelOutcome:
        """What is said of a level to everybody."""
        levels, catalog = self._levels, self._catalog
        data = LevelReached(
            catalog=catalog.catalog,
            catalog_version=catalog.version,
            catalog_sha256=catalog.sha256,
            level=level,
            name=filled(levels.name or "Level {level}", {"level": level}),
            message=filled(levels.message, {"level": level}),
            metric=levels.of,
            value=0,
            start=levels.starts[level - 1],
            next_start=levels.starts[level] if level < len(levels.starts) else None,
            earned_at=EPOCH,
            evidence=NOWHERE,
            **self._occasion._asdict(),
        )
        return LevelOutcome(id="", source=SOURCE_PREFIX + catalog.catalog, subject="", time=EPOCH, data=data)


def templates_of(catalog: CatalogProgram, board: Board, fields: Fields, occasion: Occasion) -> list[Template]:
    """What the outcomes of a catalog are written by, by their places on its board: its achievements, its levels,
    what is lost."""
    unlocks = [_unlock_template(catalog, entry, fields, occasion) for entry in board.entries]
    levels = [] if catalog.levels is None else [LevelTemplate(catalog, catalog.levels, occasion)]
    return [*unlocks, *levels, LossTemplate()]


def _unlock_template(catalog: CatalogProgram, entry: Entry, fields: Fields, occasion: Occasion) -> Template:
    if entry.is_told_alike:
        return UnlockTemplate(catalog, entry.spec, occasion)
    return AwardTeller(catalog, entry.spec, fields, occasion)


class ChallengeTeller:
    """The completions of one challenge."""

    def __init__(self, catalog: CatalogProgram, spec: ChallengeSpec) -> None:
        self._catalog, self._spec = catalog, spec

    def completed(self, cause: Cause, day: date, value: int) -> bytes:
        catalog, spec, user = self._catalog, self._spec, cause.event.subject
        data = ChallengeCompleted(
            catalog=catalog.catalog,
            challenge=spec.key,
            name=spec.name,
            description=spec.description,
            message=spec.message,
            icon=spec.icon,
            type=spec.type,
            catalog_version=catalog.version,
            catalog_sha256=catalog.sha256,
            day=day,
            metric=spec.when.metric,
            value=value,
            target=spec.when.at,
            xp=spec.xp,
            command_id=cause.event.id,
            earned_at=cause.at,
            evidence=cause.evidence,
            origin="live",
            replay_id=None,
            announce=True,
        )
        outcome = ChallengeOutcome(
            id=outcome_id(CHALLENGE_COMPLETED, catalog.catalog, spec.key, user, scope=day.isoformat()),
            source=SOURCE_PREFIX + catalog.catalog,
            subject=user,
            time=cause.at,
            data=data,
        )
        return encode_outcome(outcome)


def answered(cause: Cause, command: str, answer: CommandAnswered) -> bytes:
    """The answer to a command. Its time is the command's own."""
    event = cause.event
    outcome = AnswerOutcome(
        id=outcome_id(COMMAND_ANSWERED, event.source, command, event.subject, scope=event.id),
        source=COMMANDS_SOURCE,
        subject=event.subject,
        time=cause.at,
        data=answer,
    )
    return encode_outcome(outcome)
