"""The events that Laurel publishes. An outcome's id says what happened to whom and nothing about when it was
noticed: no offset, no time, no catalog version is in it, so nothing can mint a second award.
"""

from __future__ import annotations

import hashlib
import struct
from binascii import hexlify
from datetime import date, datetime
from typing import Any, Literal

import msgspec

from schemas.replays import Notify

UNLOCKED: Literal["achievement_unlocked"] = "achievement_unlocked"
REVOKED: Literal["achievement_revoked"] = "achievement_revoked"
LEVEL_REACHED: Literal["level_reached"] = "level_reached"
CHALLENGE_COMPLETED: Literal["challenge_completed"] = "challenge_completed"
COMMAND_ANSWERED: Literal["command_answered"] = "command_answered"
REPLAY_COMPLETED: Literal["replay_completed"] = "replay_completed"
ID_PREFIX = b"laurel/outcome/1:"
SOURCE_PREFIX = "laurel/"
COMMANDS_SOURCE = SOURCE_PREFIX + "commands"
REPLAYS_SOURCE = SOURCE_PREFIX + "replays"
LEVEL_KEY = "level"  # a reserved word: no achievement has it
UUID_PARTS = struct.Struct("8s4sx3sc3s12s")  # of hexadecimal digits; left out is where the version stands
VARIANT_OF = {b"%x" % value: b"89ab"[value & 3 :][:1] for value in range(16)}

_encode = msgspec.json.Encoder().encode


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The record that crossed the condition."""

    topic: str
    partition: int
    offset: int
    event_id: str


class Unlocked(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to write a message about an award without asking anyone.

    Units: earned_at is when it was really crossed, or some time after that where dates say approximate; when the
    engine said so is the record's append time.
    Shapes: progress_at_unlock is the metric's value, null for compound conditions; n counts how often this
    award was revoked before; points of an award that is not announced count all the same; xp is what the award
    adds to the catalog's XP; context and metadata are fields of the crossing event. With approximate dates there is
    none, and evidence is the order of the replay.
    """

    catalog: str
    achievement: str
    name: str
    description: str
    message: str
    icon: str
    color_from: str
    color_to: str
    category: str
    type: str
    catalog_version: int
    catalog_sha256: str
    tier: str | None
    rarity: str
    points: int
    xp: int = 0
    secret: bool
    is_public: bool = True
    scope: str
    n: int
    metadata: dict[str, Any]
    context: dict[str, Any] = {}
    earned_at: datetime
    progress_at_unlock: int | None
    evidence: Evidence
    origin: Literal["live", "replay"]
    replay_id: str | None
    announce: bool
    dates: Literal["approximate"] | msgspec.UnsetType = msgspec.UNSET


class MetricReason(msgspec.Struct, frozen=True, kw_only=True, tag="metric", tag_field="kind"):
    """A metric is below what was needed."""

    metric: str
    value: int
    needed: int


class AwardReason(msgspec.Struct, frozen=True, kw_only=True, tag="award", tag_field="kind"):
    """An award that was needed was revoked."""

    achievement: str
    tier: str | None


class CatalogReason(msgspec.Struct, frozen=True, kw_only=True, tag="catalog", tag_field="kind"):
    """A newer version of the catalog has another rule, or none, and its operator chose to end the old awards."""

    catalog_version: int


Reason = MetricReason | AwardReason | CatalogReason


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """An award is taken back: the unlock `award_id`, its points and its XP.

    Units: revoked_at is the time of the event that caused it.
    Shapes: n as in the unlock; reasons are a chain, the outermost cause first.
    """

    catalog: str
    achievement: str
    name: str
    icon: str
    category: str
    type: str
    catalog_version: int
    catalog_sha256: str
    tier: str | None
    rarity: str
    points: int
    xp: int
    secret: bool
    is_public: bool
    scope: str
    n: int
    award_id: str
    earned_at: datetime
    revoked_at: datetime
    reasons: list[Reason]
    evidence: Evidence
    origin: Literal["live", "replay"]
    replay_id: str | None
    announce: bool


class LevelReached(msgspec.Struct, frozen=True, kw_only=True):
    """A level above all that this user was told of before.

    Shapes: value is that of the metric that levels go by, after the record; start and next_start say at which
    values this level and the next one begin, null behind the last.
    """

    catalog: str
    catalog_version: int
    catalog_sha256: str
    level: int
    name: str
    message: str
    metric: str
    value: int
    start: int
    next_start: int | None
    earned_at: datetime
    evidence: Evidence
    origin: Literal["live", "replay"]
    replay_id: str | None
    announce: bool
    dates: Literal["approximate"] | msgspec.UnsetType = msgspec.UNSET


class ChallengeCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """A claim was verified. Units: earned_at is when the claim was made; day is the user's."""

    catalog: str
    challenge: str
    name: str
    description: str
    message: str
    icon: str
    type: str
    catalog_version: int
    catalog_sha256: str
    day: date
    metric: str
    value: int
    target: int
    xp: int
    command_id: str
    earned_at: datetime
    evidence: Evidence
    origin: Literal["live", "replay"]
    replay_id: str | None
    announce: bool


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a metric is from what a command needs."""

    metric: str
    value: int
    target: int


class CommandAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command. Shapes: reason is a word for programs, null when it was accepted."""

    command_id: str
    command: str
    status: Literal["accepted", "repeated", "refused"]
    reason: str | None
    message: str
    missing: list[Missing]


class ReplayCompleted(msgspec.Struct, frozen=True, kw_only=True):
    """All that a replay awards in this partition of the outcomes lies before this record.

    Shapes: catalogs name -> version, what has run here since. notify says what users are told of what they gained.
    """

    replay_id: str
    partition: int
    notify: Notify
    catalogs: dict[str, int]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What every outcome is. Its record's key is the subject, the user; what is nobody's has no key."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime


class Outcome(CloudEvent, frozen=True, kw_only=True):
    """Somebody earned something."""

    type: Literal["achievement_unlocked"] = UNLOCKED
    data: Unlocked


class RevokedOutcome(CloudEvent, frozen=True, kw_only=True):
    """Somebody does not hold an award any more."""

    type: Literal["achievement_revoked"] = REVOKED
    data: Revoked


class LevelOutcome(CloudEvent, frozen=True, kw_only=True):
    """Somebody reached a level."""

    type: Literal["level_reached"] = LEVEL_REACHED
    data: LevelReached


class ChallengeOutcome(CloudEvent, frozen=True, kw_only=True):
    """Somebody completed a challenge."""

    type: Literal["challenge_completed"] = CHALLENGE_COMPLETED
    data: ChallengeCompleted


class AnswerOutcome(CloudEvent, frozen=True, kw_only=True):
    """Somebody's command was decided."""

    type: Literal["command_answered"] = COMMAND_ANSWERED
    data: CommandAnswered


class ReplayOutcome(CloudEvent, frozen=True, kw_only=True):
    """A replay has ended in a partition. Its subject is the replay, not a user."""

    type: Literal["replay_completed"] = REPLAY_COMPLETED
    data: ReplayCompleted


AnyOutcome = Outcome | RevokedOutcome | LevelOutcome | ChallengeOutcome | AnswerOutcome | ReplayOutcome
OUTCOMES: dict[str, type[AnyOutcome]] = {
    UNLOCKED: Outcome,
    REVOKED: RevokedOutcome,
    LEVEL_REACHED: LevelOutcome,
    CHALLENGE_COMPLETED: ChallengeOutcome,
    COMMAND_ANSWERED: AnswerOutcome,
    REPLAY_COMPLETED: ReplayOutcome,
}


class Kind(msgspec.Struct):
    """The type of an outcome, whatever else is in it."""

    type: str


encode_outcome = _encode
decode_outcome = msgspec.json.Decoder(Outcome).decode
decode_kind = msgspec.json.Decoder(Kind).decode
DECODERS = {kind: msgspec.json.Decoder(struct) for kind, struct in OUTCOMES.items()}


def decode_any_outcome(value: bytes) -> AnyOutcome:
    """An outcome of any type. Raises: msgspec.MsgspecError, KeyError for a type that this version does not know."""
    return DECODERS[decode_kind(value).type].decode(value)


def unlocked_id(catalog: str, key: str, user: str, *, tier: str | None = None, scope: str = "", n: int = 0) -> str:
    """The id of an award: the UUID form of a sha1 over the JSON array of what it names."""
    return outcome_id(UNLOCKED, catalog, key, user, tier=tier, scope=scope, n=n)


def outcome_id(
    kind: str, catalog: str, key: str, user: str, *, tier: str | None = None, scope: str = "", n: int = 0
) -> str:
    """The id of any outcome.

    Shapes: of a revocation, n is that of the award it ends; of a level, key is `level` and scope its number; of a
    challenge, scope is the day; of an answer, catalog is the command's source, key its type and scope its id; of a
    replay, key is its id and scope the partition, catalog and user are empty.
    """
    return finished_id(id_start(catalog, key, tier, kind), user, scope, n)


def replay_completed(
    replay: str, partition: int, notify: Notify, catalogs: dict[str, int], at: datetime
) -> ReplayOutcome:
    """Units: at, when the order that ends it was appended, so that a second fold tells the same."""
    told = ReplayCompleted(replay_id=replay, partition=partition, notify=notify, catalogs=catalogs)
    identity = outcome_id(REPLAY_COMPLETED, "", replay, "", scope=str(partition))
    return ReplayOutcome(id=identity, source=REPLAYS_SOURCE, subject=replay, time=at, data=told)


def id_start(catalog: str, key: str, tier: str | None = None, kind: str = UNLOCKED) -> hashlib._Hash:
    """The hash as far as it is the same for every user: they finish it with `<user>,<scope>,<n>]` in JSON."""
    start = _encode([kind, catalog, key, tier])[:-1]
    return hashlib.sha1(ID_PREFIX + start + b",", usedforsecurity=False)


def finished_id(start: hashlib._Hash, user: str, scope: str, n: int) -> str:
    """The id of an outcome, by `id_start` and what follows it."""
    digest = start.copy()
    digest.update(_encode([user, scope, n])[1:])
    return uuid_of(digest.digest()).decode()


def uuid_of(digest: bytes) -> bytes:
    """The first 128 bits of a sha1 as a version 5 UUID. Source: RFC 9562, section 5.5."""
    low, middle, high, variant, sequence, node = UUID_PARTS.unpack_from(hexlify(digest))
    return b"".join((low, b"-", middle, b"-5", high, b"-", VARIANT_OF[variant], sequence, b"-", node))
