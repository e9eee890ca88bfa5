"""Outcomes that are written whole, one at a time: what few records come to. Most unlocks have a template."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from processor.evaluator.outcomes import LIVE, NOWHERE, Form, Occasion, Read, example_of, field_reader
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
    unlocked_id,
)
from schemas.program import AchievementSpec, CatalogProgram, ChallengeSpec, EventSpec, LevelsSpec
from schemas.records import Record
from schemas.zones import EPOCH

UNLOCKED_GAPS = (
    *("id", "subject", "time", "data.description", "data.message", "data.scope", "data.n", "data.metadata"),
    *("data.context", "data.earned_at", "data.progress_at_unlock", "data.evidence"),
)
OF_METADATA = ("data.description", "data.message", "data.metadata")  # the same for everybody where it has none
LEVEL_GAPS = ("id", "subject", "time", "data.value", "data.earned_at", "data.evidence")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


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
        self._readers: dict[tuple[type, str], Read] = {}

    def read(self, cause: Cause, names: Mapping[str, str]) -> dict[str, Any]:
        """Shapes: names maps what a value shall be called to the field that holds it."""
        return {name: self._reader(type(cause.data), field)(cause.data) for name, field in names.items()}

    def _reader(self, kind: type, field: str) -> Read:
        if (kind, field) not in self._readers:
            is_declared = field in self._declared.get(kind, ())
            reader = field_reader(self._specs[kind], field) if is_declared else _nothing
            self._readers[kind, field] = reader
        return self._readers[kind, field]


def _nothing(data: Any) -> None:
    return None


def filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with `{name}` replaced where there is such a value; braces in values stay as they are."""
    if not values or "{" not in text:
        return text
    return PLACEHOLDER.sub(lambda gap: _said(values[gap[1]]) if gap[1] in values else gap[0], text)


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(value)
    return bytes(value).decode() if isinstance(value, msgspec.Raw) else str(value)


class AwardTeller:
    """The unlocks and revocations of one achievement."""

    def __init__(
        self, catalog: CatalogProgram, spec: AchievementSpec, fields: Fields, occasion: Occasion = LIVE
    ) -> None:
        self._spec, self._fields = spec, fields
        self._example = example_of(catalog, spec, occasion)
        said_alike = () if spec.metadata else OF_METADATA
        self._form = Form(self._example, [gap for gap in UNLOCKED_GAPS if gap not in said_alike])
        self._id_start = id_start(catalog.catalog, spec.key, spec.tier)

    def unlocked(self, cause: Cause, earned_at: datetime, progress: int | None, scope: str, n: int) -> bytes:
        spec, user = self._spec, cause.event.subject
        told = finished_id(self._id_start, user, scope, n), user, earned_at
        context = self._fields.read(cause, spec.context)
        if not spec.metadata:
            return self._form.filled(*told, scope, n, context, earned_at, progress, cause.evidence)
        metadata = self._fields.read(cause, spec.metadata)
        texts = filled(spec.description, metadata), filled(spec.message, metadata)
        return self._form.filled(*told, *texts, scope, n, metadata, context, earned_at, progress, cause.evidence)

    def revoked(
        self, cause: Cause, earned_at: datetime, n: int, reasons: Sequence[Reason], scope: str = ""
    ) -> bytes:
        spec, unlocked, user = self._spec, self._example.data, cause.event.subject
        said = {name: getattr(unlocked, name) for name in SAID_AGAIN}
        data = Revoked(
            **said,
            scope=scope,
            n=n,
            award_id=unlocked_id(unlocked.catalog, spec.key, user, tier=spec.tier, scope=scope, n=n),
            earned_at=earned_at,
            revoked_at=cause.at,
            reasons=list(reasons),
            evidence=cause.evidence,
            announce=unlocked.announce and spec.revocable == "announced",
        )
        outcome = RevokedOutcome(
            id=outcome_id(REVOKED, unlocked.catalog, spec.key, user, tier=spec.tier, scope=scope, n=n),
            source=self._example.source,
            subject=user,
            time=cause.at,
            data=data,
        )
        return encode_outcome(outcome)


SAID_AGAIN = [
    field
    for field in Revoked.__struct_fields__
    if field not in ("scope", "n", "award_id", "earned_at", "revoked_at", "reasons", "evidence", "announce")
]
"""What a revocation says as the unlock did."""


class LevelTeller:
    """The levels of one catalog."""

    def __init__(self, catalog: CatalogProgram, levels: LevelsSpec, occasion: Occasion = LIVE) -> None:
        self._catalog, self._levels, self._occasion = catalog, levels, occasion
        self._forms: dict[int, Form] = {}

    def reached(self, cause: Cause, level: int, value: int, at: datetime) -> bytes:
        user = cause.event.subject
        identity = outcome_id(LEVEL_REACHED, self._catalog.catalog, LEVEL_KEY, user, scope=str(level))
        if level not in self._forms:
            self._forms[level] = Form(self._example(level), LEVEL_GAPS)
        return self._forms[level].filled(identity, user, at, value, at, cause.evidence)

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
