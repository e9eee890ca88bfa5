"""Values as COPY wants them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from schemas.records import Record

_encode = msgspec.json.Encoder().encode


def json_text(value: Any) -> str:
    return _encode(value).decode()


def appended_at(record: Record) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)
