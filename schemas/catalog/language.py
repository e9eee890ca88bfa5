"""What an author may write: the shapes of a catalog file, which its JSON Schema is made from.

What the names mean is judged later.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, StringConstraints
from pydantic import Field as Bounds

from schemas.catalog.model import LANGUAGE, LEVEL_MAX, TIERS, MetricKind, Rarity
from schemas.catalog.spelling import (
    EXAMPLE_TIMES_MAX,
    GRACE_MAX,
    MOMENT_PATTERN,
    NUMBER_MAX,
    PATH_PATTERN,
    SPAN_PATTERN,
    Amount,
    Color,
    Date,
    EventName,
    FieldName,
    FieldPath,
    Fields,
    FieldType,
    Icon,
    Key,
    Language,
    Name,
    Number,
    Paths,
    Points,
    Reference,
    References,
    Revoked,
    Text,
    Topic,
    Where,
    as_written,
    plain_amount,
    plain_curve,
    plain_set,
    spread_feeds,
)

Answer = Literal["accepted", "repeated", "unknown", "not_offered", "expired", "not_open", "incomplete"]
WAYS = ("when", "tiers", "on", "all_of")


class Written(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


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
    grace: Annotated[int, Bounds(ge=1, le=GRACE_MAX)] = 1
    freezes: Feeds = []


class WrittenAll(Written):
    all: list[WrittenCondition]


class WrittenAny(Written):
    any: list[WrittenCondition]


WrittenCondition = str | WrittenAll | WrittenAny


class WrittenTexts(Written):
    name: Name = ""
    description: Text = ""
    message: Text = ""


class WrittenWindow(Written):
    """Days, the last one excluded; or one award in every period."""

    first: Annotated[Date, Bounds(alias="from")] = ""
    until: Date = ""
    every: Literal["", "day", "week", "month"] = ""


class WrittenFace(Written):
    """What is seen and given of an award. A default here says only that nothing was written."""

    description: Text = ""
    message: Text = ""
    icon: Icon = ""
    color_from: Color = ""
    color_to: Color = ""
    rarity: Rarity = "common"
    points: Points = 0
    xp: Points = 0
    translations: dict[Language, WrittenTexts] = {}


class WrittenLook(WrittenFace):
    """What entries and ladders may say about themselves."""

    category: Key = ""
    type: Key = ""
    is_active: bool = True
    secret: bool = False
    is_public: bool = True
    revocable: Revoked = "no"
    window: WrittenWindow | None = None
    context: Fields = {}


class WrittenEntry(WrittenLook):
    """What an achievement has, whether it stands alone or on a ladder."""

    key: Key
    name: Name
    order: Annotated[int, Bounds(ge=0, le=1_000_000)] = 0
    requires: References = []


class WrittenTier(WrittenFace):
    tier: Key
    name: Name = ""
    at: Annotated[dict[FieldName, Number], Bounds(min_length=1)]


class WrittenSet(Written):
    category: Key


class WrittenAchievement(WrittenEntry):
    """Exactly one of `when`, `tiers`, `on` and `all_of`, then what that way of earning takes."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [way]} for way in WAYS]})

    when: Annotated[Any, PlainValidator(as_written, json_schema_input_type=WrittenCondition)] = None
    conditions: Annotated[dict[FieldName, Key], Bounds(min_length=1)] = {}
    tiers: Annotated[list[WrittenTier], Bounds(min_length=1)] = []
    on: Feeds = []
    where: Where = {}
    scope: FieldPath = ""
    metadata: Fields = {}
    all_of: Annotated[str, PlainValidator(plain_set, json_schema_input_type=WrittenSet | Literal["catalog"])] = ""


class WrittenStep(WrittenEntry):
    at: Number


class WrittenLadder(WrittenLook):
    metric: Key
    steps: Annotated[list[WrittenStep], Bounds(min_length=1)]


class WrittenTriangular(Written):
    triangular: Amount


class WrittenXp(Written):
    """What gives XP: events, or `awards`."""

    on: Feeds
    where: Where = {}
    amount: Annotated[Any, PlainValidator(plain_amount, json_schema_input_type=Amount | FieldPath)] = None


class WrittenLevels(WrittenTexts):
    of: Key
    curve: Annotated[Any, PlainValidator(plain_curve, json_schema_input_type=WrittenTriangular | list[Number])]
    translations: dict[Language, WrittenTexts] = {}


class WrittenChallenge(Written):
    key: Key
    name: Name = ""
    type: Key = ""
    description: Text
    message: Text = ""
    icon: Icon = ""
    when: Annotated[Any, PlainValidator(as_written, json_schema_input_type=str)]
    every: Literal["day"]
    xp: Amount
    translations: dict[Language, WrittenTexts] = {}


class WrittenChallenges(Written):
    per_day: Annotated[int, Bounds(ge=1, le=100)]
    list: Annotated[list[WrittenChallenge], Bounds(min_length=1)]


class WrittenTopic(Written):
    """What is to be known about a topic's publishers."""

    repartition: bool = False


class WrittenGiven(Written):
    """Events of an example, or the claim of a challenge; the type is a word of its own beside these."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"additionalProperties": {"type": ["object", "null"]}}
    )

    user: Annotated[str, StringConstraints(min_length=1, max_length=256)] = ""
    at: Annotated[str, StringConstraints(pattern=MOMENT_PATTERN)] = ""
    timezone: str = ""
    times: Annotated[int, Bounds(ge=1, le=EXAMPLE_TIMES_MAX)] = 1
    every: Annotated[str, StringConstraints(pattern=SPAN_PATTERN)] = ""
    id: str = ""
    claim: Key = ""
    day: Date = ""


class WrittenAward(Written):
    key: Key
    tier: Key = ""
    scope: str | int = ""


class WrittenExpected(Written):
    """What an example comes to for a user: all of this, and of awards at least these, or `only` these."""

    user: str = ""
    awards: list[Reference | WrittenAward] = []
    absent: Annotated[list[Reference | WrittenAward], Bounds(alias="not")] = []
    only: list[Reference | WrittenAward] = []
    revoked: list[Reference | WrittenAward] = []
    metrics: dict[Key, Number] = {}
    xp: Number = 0
    progress: dict[Reference, Annotated[int, Bounds(ge=0, le=100)]] = {}
    level: Annotated[int, Bounds(ge=1, le=LEVEL_MAX)] = 1
    claims: list[Answer] = []


class WrittenExample(Written):
    """A story beside the catalog; `laurel catalog test` judges and runs it."""

    name: Text = ""
    given: list[WrittenGiven]
    expect: WrittenExpected | list[WrittenExpected]


class WrittenTitle(Written):
    title: Text


class WrittenCategory(Written):
    key: Key
    title: Text
    translations: dict[Language, WrittenTitle] = {}


class WrittenHeader(Written):
    catalog: Key
    version: Annotated[int, Bounds(ge=1, le=2**31)]
    timezone: str = "UTC"
    headline_streak: Key = ""
    points_by_rarity: dict[Rarity, Points] = {}
    categories: list[WrittenCategory] = []
    default_language: Language = LANGUAGE
    tiers: Annotated[list[Key], Bounds(min_length=1)] = list(TIERS)
    topics: dict[Topic, WrittenTopic] = {}


class WrittenCatalog(WrittenHeader):
    """A Laurel catalog: the events, metrics and achievements of one product."""

    events: dict[EventName, WrittenEvent] = {}
    metrics: dict[Key, WrittenMetric] = {}
    achievements: list[WrittenAchievement] = []
    ladders: list[WrittenLadder] = []
    xp: list[WrittenXp] = []
    levels: WrittenLevels | None = None
    challenges: WrittenChallenges | None = None
    examples: list[WrittenExample] = []
