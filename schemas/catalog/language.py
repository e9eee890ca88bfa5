"""What an author may write: the shapes of a catalog file, which its JSON Schema is made from.

Shorthand is spread out here (one name for a list of one); what the names mean is judged later.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, StringConstraints
from pydantic import Field as Bounds

from schemas.catalog.model import Comparison, MetricKind, Rarity

KEY_PATTERN = r"^[a-z0-9][a-z0-9_]*$"
EVENT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
FIELD_PATTERN = r"^[A-Za-z_][A-Za-z0-9_-]*$"
PATH_PATTERN = r"^data\.[A-Za-z_][A-Za-z0-9_-]*$"
TOPIC_PATTERN = r"^[A-Za-z0-9._-]+$"
FIELD_TYPE_PATTERN = r"^(string|integer|boolean|decimal\([1-9]\)|\[string\])\??$"
COLOR_PATTERN = r"^#?[A-Za-z0-9-]*$"
TEXT_PATTERN = r"^[^\x00-\x09\x0b-\x1f\x7f]*$"
NUMBER_MAX = 2**53

Key = Annotated[str, StringConstraints(pattern=KEY_PATTERN, max_length=100)]
EventName = Annotated[str, StringConstraints(pattern=EVENT_PATTERN, max_length=200)]
FieldName = Annotated[str, StringConstraints(pattern=FIELD_PATTERN, max_length=100)]
FieldPath = Annotated[str, StringConstraints(pattern=PATH_PATTERN, max_length=105)]
Topic = Annotated[str, StringConstraints(pattern=TOPIC_PATTERN, max_length=249)]
Text = Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=1000)]
Color = Annotated[str, StringConstraints(pattern=COLOR_PATTERN, max_length=20)]
Points = Annotated[int, Bounds(ge=0, le=1_000_000)]


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
Keys = Annotated[list[Key], BeforeValidator(one_or_many, json_schema_input_type=Key | list[Key])]


class Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class WrittenDerivation(Written):
    type: EventName
    subject: Annotated[str, StringConstraints(pattern=PATH_PATTERN)]
    unless_self: bool = False
    data: dict[FieldName, Annotated[str, StringConstraints(pattern=r"^(subject|data\.[A-Za-z_][\w-]*)$")]] = {}


class WrittenEvent(Written):
    topic: Topic
    schemaversion: Annotated[int, Bounds(ge=1)] = 1
    data: dict[FieldName, FieldType] = {}
    derive: list[WrittenDerivation] = []


class FeedTests(Written):
    where: Where = {}


class WrittenFeed(FeedTests):
    type: EventName


OneFeed = EventName | Annotated[dict[EventName, FeedTests], Bounds(min_length=1, max_length=1)]
Feeds = Annotated[
    list[WrittenFeed],
    Bounds(min_length=1),
    BeforeValidator(spread_feeds, json_schema_input_type=OneFeed | list[OneFeed]),
]


class WrittenMetric(Written):
    """Exactly one of the kinds, then what that kind needs."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in get_args(MetricKind)]})

    count: Feeds = []
    sum: Feeds = []
    max: Feeds = []
    latest: Feeds = []
    distinct: Feeds = []
    streak: Feeds = []
    minus: Feeds = []
    where: Where = {}
    of: FieldPath = ""
    by: Paths = []
    normalize: bool = False
    bucket: Annotated[int, Bounds(ge=2, le=NUMBER_MAX)] = 1
    every: str = ""


class WrittenAll(Written):
    all: list[WrittenCondition]


class WrittenAny(Written):
    any: list[WrittenCondition]


WrittenCondition = str | WrittenAll | WrittenAny


def as_written(value: object) -> object:
    return value


class WrittenLook(Written):
    """What entries and ladders may say about themselves. A default here says only that nothing was written."""

    description: Text = ""
    message: Text = ""
    icon: Annotated[str, StringConstraints(pattern=TEXT_PATTERN, max_length=50)] = ""
    color_from: Color = ""
    color_to: Color = ""
    category: Key = ""
    rarity: Rarity = "common"
    points: Points = 0
    type: Key = ""
    is_active: bool = True
    secret: bool = False


class WrittenEntry(WrittenLook):
    """What an achievement has, whether it stands alone or on a ladder."""

    key: Key
    name: Annotated[str, StringConstraints(pattern=TEXT_PATTERN, min_length=1, max_length=200)]
    order: Annotated[int, Bounds(ge=0, le=1_000_000)] = 0
    requires: Keys = []


class WrittenAchievement(WrittenEntry):
    when: Annotated[Any, PlainValidator(as_written, json_schema_input_type=WrittenCondition)]


class WrittenStep(WrittenEntry):
    at: Number


class WrittenLadder(WrittenLook):
    metric: Key
    steps: Annotated[list[WrittenStep], Bounds(min_length=1)]


class WrittenCategory(Written):
    key: Key
    title: Text


class WrittenHeader(Written):
    catalog: Key
    version: Annotated[int, Bounds(ge=1, le=2**31)]
    timezone: str = "UTC"
    headline_streak: Key = ""
    points_by_rarity: dict[Rarity, Points] = {}
    categories: list[WrittenCategory] = []


class WrittenCatalog(WrittenHeader):
    """A Laurel catalog: the events, metrics and achievements of one product."""

    events: dict[EventName, WrittenEvent] = {}
    metrics: dict[Key, WrittenMetric] = {}
    achievements: list[WrittenAchievement] = []
    ladders: list[WrittenLadder] = []
