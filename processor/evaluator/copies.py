"""Copies of events whose publishers partition in another way: on the derived topic a user's are in one partition.

Every event is copied, whatever its type and data: it is judged where it is folded, by the program of that time, and
the derived topic so holds the whole history of the topic, as a replay needs it. Only what has no user, or is no
event at all, is refused here. The record's own key is not looked at.
"""

from __future__ import annotations

from schemas.events import EVENT_BYTES_MAX, check_user, envelope_of, too_large
from schemas.lanes import place_of
from schemas.origins import Origin, origin_header
from schemas.records import Header, Record

Copy = tuple[bytes, bytes, int, list[Header]]
"""Key, value, timestamp, headers. The topic stamps its records itself."""


def copy_of(lane: str, number: int, record: Record) -> Copy:
    """The copy of a record of this lane of a partition of the states. Raises: BadRecord."""
    value, envelope = envelope_of(record)
    user = envelope.subject.encode()
    check_user(user)
    if len(value) > EVENT_BYTES_MAX:
        raise too_large(value)
    origin = Origin(*place_of(lane, number), record.offset, record.timestamp)
    return user, value, max(0, record.timestamp), [origin_header(origin)]
