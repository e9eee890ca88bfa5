"""The events that Laurel publishes. An outcome's id says what happened to whom and nothing about when it was
noticed: no offset, no time, no catalog version is in it, so nothing can mint a second award.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

import msgspec

UNLOCKED: Literal["achievement_unlocked"] = "achievement_unlocked"
ID_PREFIX = b"laurel/outcome/1:"
SOURCE_PREFIX = "laurel/"
VARIANT_OF = {digit: "89ab"[value & 3] for value, digit in enumerate("0123456789abcdef")}

_encode = msgspec.json.Encoder().encode


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The record that crossed the condition."""

    topic: str
    partition: int
    offset: int
    event_id: str


class Unlocked(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to write a message about an award without asking anyone.

    Units: earned_at is when it was really crossed; when the engine said so is the record's append time.
    Shapes: progress_at_unlock is the metric's value, null for compound conditions; n counts how often this
    award was revoked before; points of an award that is not announced count all the same.
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
    secret: bool
    scope: str
    n: int
    metadata: dict[str, Any]
    earned_at: datetime
    progress_at_unlock: int | None
    evidence: Evidence
    origin: Literal["live", "replay"]
    replay_id: str | None
    announce: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The CloudEvent around it. Its record's key is the subject, the user."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Literal["achievement_unlocked"] = UNLOCKED
    subject: str
    time: datetime
    data: Unlocked


encode_outcome = _encode
decode_outcome = msgspec.json.Decoder(Outcome).decode


def unlocked_id(catalog: str, key: str, user: str, *, tier: str | None = None, scope: str = "", n: int = 0) -> str:
    """The id of an award: the UUID form of a sha1 over the JSON array of what it names."""
    digest = id_start(catalog, key, tier)
    digest.update(_encode([user, scope, n])[1:])
    return uuid_of(digest.hexdigest()).strip('"')


def id_start(catalog: str, key: str, tier: str | None = None) -> hashlib._Hash:
    """The hash as far as it is the same for every user: they finish it with `<user>,<scope>,<n>]` in JSON."""
    start = _encode([UNLOCKED, catalog, key, tier])[:-1]
    return hashlib.sha1(ID_PREFIX + start + b",", usedforsecurity=False)


def uuid_of(digits: str) -> str:
    """The first 128 bits of a sha1 as a version 5 UUID in JSON. Source: RFC 9562, section 5.5."""
    variant = VARIANT_OF[digits[16]]
    return f'"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"'
