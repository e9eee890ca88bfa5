"""Where a copy of an event was published: a header of the copies on the derived topic.

Copies carry the event as it was, its id and source too, so a publisher's retry is one event also when its two
records came by different ways. The header is what tells a copy from a derived event.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.records import Header, Headers

ORIGIN = "laurel.origin"
SEPARATOR = "/"  # no topic has one
WRITTEN = re.compile(rb"([a-zA-Z0-9._-]+)/(\d+)/(\d+)/(-?\d+)")


class Origin(NamedTuple):
    """The record that an event came in. Units: timestamp, milliseconds since 1970, when it was appended there."""

    topic: str
    partition: int
    offset: int
    timestamp: int


def origin_header(origin: Origin) -> Header:
    return ORIGIN, SEPARATOR.join(map(str, origin)).encode()


def origin_of(headers: Headers) -> Origin | None:
    """None for what was published where it stands, and for what no worker has written."""
    said = next((value for name, value in headers if name == ORIGIN), None)
    found = WRITTEN.fullmatch(said or b"")
    if found is None:
        return None
    topic, *numbers = found.groups()
    return Origin(topic.decode(), *map(int, numbers))
