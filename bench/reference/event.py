"""One event, and how what stands in it is read."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

RFC_3339 = re.compile(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")

Test = tuple[str, str, Any]
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "gte": operator.le,
    "gt": operator.lt,
    "lte": operator.ge,
    "lt": operator.gt,
    "in": operator.contains,
}


@dataclass
class Happening:
    """An event with its attributes at hand. Its type belongs to `origin`: a topic, or a catalog that derives.

    `appended` is when its record was; only of commands does anybody ask.
    """

    origin: str
    type: str
    source: str
    id: str
    user: str
    at: datetime
    zone: str | None
    data: Mapping[str, Any]
    appended: datetime

    def look(self, path: str) -> Any:
        return self.user if path == "subject" else self.data.get(bare(path))

    def number(self, name: str, fields: Mapping[str, str]) -> int | None:
        number: int | None = plain(self.data.get(name), fields.get(name, ""))
        return number

    def said(self, named: Mapping[str, str], declared: Mapping[str, str]) -> dict[str, Any]:
        """What its fields hold, under other names; nothing of what its type does not declare."""
        return {name: self.data.get(field) if field in declared else None for name, field in named.items()}

    def passes(self, test: Test, fields: Mapping[str, str]) -> bool:
        name, word, operand = test
        value = plain(self.data.get(name), fields.get(name, ""))
        if word == "not":
            return value is not None and value != self.user
        return value is not None and bool(COMPARE[word](operand, value))


def happening(event: Mapping[str, Any], topic: str) -> Happening:
    return Happening(
        origin=topic,
        type=event["type"],
        source=event["source"],
        id=event["id"],
        user=event["subject"],
        at=read_time(event["time"]),
        zone=event.get("timezone"),
        data=event.get("data") or {},
        appended=read_time(event.get("appended") or event["time"]),
    )


def read_time(written: str) -> datetime:
    """A moment to the microsecond; what is finer is rounded."""
    whole, digits, offset = RFC_3339.fullmatch(written.upper()).groups()  # type: ignore[union-attr]
    tenths = int((digits or "").ljust(7, "0")[:7])
    return datetime.fromisoformat(whole + offset).astimezone(UTC) + timedelta(microseconds=(tenths + 5) // 10)


def bare(path: str) -> str:
    """`data.title` names the field `title`."""
    return path.removeprefix("data.")


def plain(value: Any, declared: str) -> Any:
    """A value in the unit it is kept in: decimal(2) 9.5 is 950."""
    if value is None or not declared.startswith("decimal"):
        return value
    places = declared.removeprefix("decimal(").removesuffix("?").removesuffix(")")
    return int(Decimal(str(value)).scaleb(int(places)))
