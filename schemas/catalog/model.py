"""What a catalog says, once it has been read: every shorthand written out, every number in the engine's unit.

Field names carry no `data.` in tests, `of` and `by`; a derivation's paths do: `subject` is a path too.

Units: whatever is compared with a decimal(n) field, thresholds included, is an integer times 10**n.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

FieldType = Literal["string", "integer", "boolean", "decimal", "strings"]
MetricKind = Literal["count", "sum", "max", "latest", "distinct", "streak"]
Comparison = Literal["eq", "gte", "gt", "lte", "lt", "in", "not"]
Rarity = Literal["common", "uncommon", "rare", "epic", "legendary"]
Period = Literal["day", "week", "month"]
Revocable = Literal["no", "silent", "announced"]
Scalar = bool | int | str

POINTS_BY_RARITY: dict[str, int] = {"common": 10, "uncommon": 25, "rare": 50, "epic": 100, "legendary": 250}
TIERS = ("bronze", "silver", "gold", "platinum")
LANGUAGE = "en"
LEVEL_MAX = 1_000


class Part(BaseModel):
    """Any part of a catalog: fixed once read, and a misspelt attribute is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Field(Part):
    """A declared field of an event's data; `strings` is a list of strings."""

    type: FieldType
    places: int = 0
    optional: bool = False


class Derivation(Part):
    """An event another user gets out of this one. Paths are `subject` or `data.<field>`."""

    type: str
    subject: str
    unless_self: bool = False
    data: dict[str, str] = {}


class EventType(Part):
    """What a publisher promises. `topic` is None for a type that the catalog itself derives."""

    topic: str | None
    schemaversion: int = 1
    data: dict[str, Field] = {}
    derive: list[Derivation] = []


class Test(Part):
    """One comparison with a field of the event; a field that is absent or null passes none."""

    __test__ = False  # not a test of ours: pytest looks at the name

    field: str
    op: Comparison
    value: Scalar | tuple[Scalar, ...]


class Feed(Part):
    """An event type that moves a metric, when all its tests pass."""

    type: str
    where: tuple[Test, ...] = ()


class Metric(Part):
    """A value per user, folded from events."""

    kind: MetricKind
    plus: tuple[Feed, ...]
    minus: tuple[Feed, ...] = ()
    of: str | None = None
    by: tuple[str, ...] = ()
    normalize: bool = False
    bucket: int | None = None
    every: Literal["day"] | None = None
    grace: int = 0
    freezes: tuple[Feed, ...] = ()


class AtLeast(Part):
    """`metric >= at`; where `level >= n` was written, `level` is n and `at` is where that level starts."""

    metric: str
    at: int
    level: int | None = None


class All(Part):
    of: tuple[Condition, ...]


class Any(Part):
    of: tuple[Condition, ...]


Condition = AtLeast | All | Any


class Window(Part):
    """The days [first_day, end_day) on which events count, or one award in every period.

    Units: days since 1970, None where it is open.
    """

    first_day: int | None = None
    end_day: int | None = None
    every: Period | None = None


class Texts(Part):
    """What is said in another language; what is empty is said in the catalog's own."""

    name: str = ""
    description: str = ""
    message: str = ""


class Face(Part):
    """What is seen and given of an award; points have a default that depends on the rarity, XP on the points."""

    description: str = ""
    message: str = ""
    icon: str = ""
    color_from: str = ""
    color_to: str = ""
    rarity: Rarity = "common"
    points: int = 0
    xp: int | None = None
    translations: dict[str, Texts] = {}


class Look(Face):
    """What every entry may say about itself; type and order have defaults that depend on the rest."""

    category: str = ""
    type: str = ""
    order: int = 0
    is_active: bool = True
    secret: bool = False
    is_public: bool = True
    revocable: Revocable = "no"
    window: Window | None = None
    context: dict[str, str] = {}


class Achievement(Look):
    """One award, and how it is earned: by `when`, by events (`on`), or as a set (`all_of` a category).

    `all_achievements` fills what was not given, and gives every tier an achievement of its own: then `tier` and
    `rank` (its place in the catalog's tiers) are set, and `conditions` has the author's names of its comparisons.
    `requires` holds keys, or `key/tier`; the bare key of an achievement with tiers means its lowest.
    """

    key: str
    name: str
    when: Condition = All(of=())
    requires: tuple[str, ...] = ()
    on: tuple[Feed, ...] = ()
    scope: str | None = None
    metadata: dict[str, str] = {}
    all_of: str | None = None
    tier: str | None = None
    rank: int = 0
    conditions: dict[str, AtLeast] = {}

    @property
    def reference(self) -> str:
        """What tells it from every other one of the catalog."""
        return self.key if self.tier is None else f"{self.key}/{self.tier}"


class Tier(Face):
    """One tier of an achievement; what it does not say, the achievement says."""

    tier: str
    name: str = ""
    at: dict[str, int]


class Tiered(Look):
    """An achievement with tiers, low before high. Shapes: conditions maps the name of a condition to its metric."""

    key: str
    name: str
    conditions: dict[str, str]
    tiers: list[Tier]
    requires: tuple[str, ...] = ()


class Step(Look):
    """One rung of a ladder; what it does not say, the ladder says."""

    key: str
    name: str
    at: int
    requires: tuple[str, ...] = ()


class Ladder(Look):
    """A family of achievements on one metric. `{at}` in its texts becomes the step's threshold."""

    metric: str
    steps: list[Step]


class XpFeed(Feed):
    """An event type that gives XP: a fixed amount, or what its field `of` holds."""

    amount: int = 0
    of: str | None = None


class Levels(Part):
    """Level n of `triangular` k starts at k·n·(n-1); otherwise `starts` has the start of each, 0 first."""

    of: str
    triangular: int | None = None
    starts: tuple[int, ...] = ()
    name: str = ""
    description: str = ""
    message: str = ""
    translations: dict[str, Texts] = {}


class Challenge(Part):
    """What a user may do on a day for XP."""

    key: str
    name: str
    type: str
    when: AtLeast
    xp: int
    description: str = ""
    message: str = ""
    icon: str = ""
    every: Literal["day"] = "day"
    translations: dict[str, Texts] = {}


class Challenges(Part):
    """Of all that are offered, `per_day` come to a user on a day."""

    per_day: int
    offered: list[Challenge]


class Category(Part):
    """Shapes: translations is language tag -> title."""

    key: str
    title: str
    translations: dict[str, str] = {}


class Catalog(Part):
    """Events, metrics and achievements of one product.

    Shapes: `tiers` are rising; `xp_from_awards` says whether an award gives XP: its own, else its points;
    `repartition` are topics whose records go through the derived topic.
    """

    catalog: str
    version: int
    timezone: str = "UTC"
    headline_streak: str | None = None
    points_by_rarity: dict[str, int] = POINTS_BY_RARITY
    categories: list[Category] | None = None
    default_language: str = LANGUAGE
    tiers: tuple[str, ...] = TIERS
    repartition: tuple[str, ...] = ()
    events: dict[str, EventType] = {}
    metrics: dict[str, Metric] = {}
    achievements: list[Achievement | Tiered] = []
    ladders: list[Ladder] = []
    xp: tuple[XpFeed, ...] = ()
    xp_from_awards: bool = False
    levels: Levels | None = None
    challenges: Challenges | None = None

    @property
    def has_xp(self) -> bool:
        return bool(self.xp) or self.xp_from_awards or self.challenges is not None
