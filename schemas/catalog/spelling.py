"""How single values of a catalog are spelt: patterns, bounds, and shorthand spread out."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainValidator, StringConstraints
from pydantic import Field as Bounds

from schemas.catalog.model import LEVEL_MAX, Comparison
from schemas.program import WHOLE_CATALOG

KEY_PATTERN = r"^[a-z0-9][a-z0-9_]*$"
EVENT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
FIELD_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
PATH_PATTERN = r"^data\.[A-Za-z_][A-Za-z0-9_-]*$"
TOPIC_PATTERN = r"^[A-Za-z0-9._-]+$"
FIELD_TYPE_PATTERN = r"^(string|integer|boolean|decimal\([1-9]\)|\[string\])\??$"
COLOR_PATTERN = r"^#?[A-Za-z0-9-]*$"
REFERENCE_PATTERN = r"^[a-z0-9][a-z0-9_]*(/[a-z0-9][a-z0-9_]*)?$"
LANGUAGE_PATTERN = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
DATE_PATTERN = r"^\d{4}-\d{2}-\d{2}$"
SPAN_PATTERN = r"^\+?\d{1,6}[smhdw]$"
MOMENT_PATTERN = r"^(\+\d{1,6}[smhdw]|\d{4}-\d{2}-\d{2}T[0-9:.]{5,15}(Z|[+-]\d{2}:\d{2}))$"
TEXT_PATTERN = r"^[^\x00-\x09\x0b-\x1f\x7f]*$"
NUMBER_MAX = 2**53
ROUTES = frozenset(  # words of the API's addresses
    {"earned", "categories", "check", "me", "progress", "history", "types", "stats", "leaderboard", "definitions"}
)
AMOUNT_MAX = 1_000_000
GRACE_MAX = 30
EXAMPLE_TIMES_MAX = 10_000

Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN, max_length=100)]
EventName = Annotated[str, StringConstraints(pattern=EVENT_PATTERN, max_length=200)]
FieldName = Annotated[str, StringConstraints(pattern=FIELD_PATTERN, max_length=100)]
FieldPath = Annotated[str, StringConstraints(pattern=PATH_PATTERN, max_length=105)]
Topic = Annotated[str, StringConstraints(pattern=TOPIC_PATTERN, max_length=249)]
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=1000)]
Color = Annotated[str, StringConstraints(pattern=COLOR_PATTERN, max_length=20)]
Points = Annotated[int, Bounds(ge=0, le=1_000_000)]
Amount = Annotated[int, Bounds(ge=1, le=AMOUNT_MAX)]
Name = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=200)]
Icon = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, max_length=50)]
Language = Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN, max_length=35)]
Date = Annotated[str, StringConstraints(pattern=DATE_PATTERN)]
Reference = Annotated[str, StringConstraints(pattern=REFERENCE_PATTERN, max_length=201)]


def one_or_many(value: object) -> object:
    return value if isinstance(value, list) else [value]


def spread_type(value: object) -> object:
    """`[string]` without quotes is a YAML list of one word."""
    return "[string]" if value == ["string"] else value


def spread_feeds(value: object) -> object:
    return [spread_feed(feed) for feed in value] if isinstance(value, list) else [spread_feed(value)]


def spread_feed(value: object) -> object:
    """An event type, or `{type: {where: …}}`."""
    if isinstance(value, str):
        return {"type": value}
    if isinstance(value, dict) and len(value) == 1 and "type" not in value:
        ((name, more),) = value.items()
        return {"type": name, **more} if isinstance(more, dict) else {"type": name, "where": more}
    return value


def spread_tests(value: object) -> object:
    """`wip` is `{eq: wip}`, `[a, b]` is `{in: [a, b]}`."""
    if isinstance(value, dict):
        return value
    return {"in": value} if isinstance(value, list) else {"eq": value}


def plain_value(value: object) -> object:
    """Raises: ValueError when it is no text, number, true or false, nor a list of them."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, str | bool | int | Decimal):
            raise ValueError("a field is compared with a text, a number, true or false, or with a list of them")
    return value


def plain_number(value: object) -> object:
    """Raises: ValueError when it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("a threshold is a number")
    return value


def revocable(value: object) -> object:
    """`true` is to be taken back silently. Raises: ValueError when it is no word of these."""
    if value == "announced":
        return value
    if isinstance(value, bool):
        return "silent" if value else "no"
    raise ValueError("an award is revocable (true: silently, or announced) or it is not (false)")


def plain_amount(value: object) -> object:
    """Raises: ValueError when it is no amount of XP and no field."""
    if isinstance(value, str) and re.fullmatch(PATH_PATTERN, value):
        return value
    if _is_amount(value):
        return value
    raise ValueError(f"an amount is a whole number from 1 to {AMOUNT_MAX}, or `data.` and an integer field")


def _is_amount(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= AMOUNT_MAX


def plain_curve(value: object) -> object:
    """`{triangular: 50}`, or the list of where the levels start. Raises: ValueError when it is neither."""
    if isinstance(value, list) and len(value) in range(2, LEVEL_MAX + 1):
        return [plain_number(each) for each in value]
    if isinstance(value, dict) and set(value) == {"triangular"} and _is_amount(value["triangular"]):
        return value
    raise ValueError(f"a curve is `{{triangular: 50}}`, or a list of where 2 to {LEVEL_MAX} levels start")


def plain_set(value: object) -> object:
    """`catalog`, or `{category: …}`. Raises: ValueError when it is neither."""
    if value == "catalog":
        return WHOLE_CATALOG
    category = value["category"] if isinstance(value, dict) and set(value) == {"category"} else None
    if isinstance(category, str) and re.fullmatch(KEY_PATTERN, category):
        return category
    raise ValueError("a set is all of a category, `{category: …}`, or of the `catalog`")


def as_written(value: object) -> object:
    return value


Scalar = bool | int | Decimal | str
Number = Annotated[Any, PlainValidator(plain_number, json_schema_input_type=int | Decimal)]
FieldType = Annotated[
    str,
    StringConstraints(pattern=FIELD_TYPE_PATTERN),
    BeforeValidator(spread_type, json_schema_input_type=str | list[Literal["string"]]),
]
Value = Annotated[Any, PlainValidator(plain_value, json_schema_input_type=Scalar | list[Scalar])]
Tests = Annotated[
    dict[Comparison, Value],
    BeforeValidator(spread_tests, json_schema_input_type=dict[Comparison, Value] | Scalar | list[Scalar]),
]
Where = dict[FieldPath, Tests]
Paths = Annotated[list[FieldPath], BeforeValidator(one_or_many, json_schema_input_type=FieldPath | list[FieldPath])]
References = Annotated[
    list[Reference], BeforeValidator(one_or_many, json_schema_input_type=Reference | list[Reference])
]
Revoked = Annotated[
    Literal["no", "silent", "announced"],
    BeforeValidator(revocable, json_schema_input_type=bool | Literal["announced"]),
]
Fields = dict[FieldName, FieldPath]  # the name people read -> where it comes from
