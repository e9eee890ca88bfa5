"""A compiled catalog as plain data: what the catalogs topic carries and every process runs.

Numbers are given once and never reused. The ledger is the namespace's whole numbering: slots of the user
state, awards and conditions. It only grows, so a state written under an older ledger is a prefix of a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

FieldType = Literal["string", "integer", "boolean", "decimal", "strings"]
MetricKind = Literal["count", "sum", "max", "latest", "distinct", "streak", "xp"]
Comparison = Literal["eq", "gte", "gt", "lte", "lt", "in", "not"]
Period = Literal["day", "week", "month"]
Revocable = Literal["no", "silent", "announced"]
Scalar = str | int | bool
Default = Literal["mark", "zero", "none", "bytes", "epoch"]

XP = "xp"  # the key of the metric that XP makes
HIDDEN_MARK = "@"  # in the key of a metric that no author wrote
WHOLE_CATALOG = "*"  # `all_of` of a set over every category


class FieldSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A declared field of an event's data. Units: a decimal is stored as an integer times 10**places."""

    name: str
    type: FieldType
    places: int = 0
    optional: bool = False


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of a `where`; `value` of a decimal field is scaled as the field is.

    `not` has one operand, `subject`: the field names somebody else than the user.
    """

    __test__ = False

    field: str
    op: Comparison
    value: Scalar | list[Scalar]


class DeriveSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An event that another user gets out of this one. Paths are `subject` or `data.<field>`."""

    type: str
    subject: str
    unless_self: bool = False
    data: dict[str, str] = {}


class EventSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An event type of a topic. A derived type has no topic of a publisher: `topic` is None."""

    type: str
    topic: str | None
    schemaversion: int = 1
    fields: list[FieldSpec] = []
    derive: list[DeriveSpec] = []
    window: int  # slot of the hashes of the last event ids


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """An event type that moves a metric up (sign 1) or back (sign -1).

    A feed of the XP metric gives `amount`, or what the integer field `of` holds: nothing where that is absent, null
    or below 0. One type may stand in several feeds of the XP metric, and each whose `where` holds gives its own.
    """

    type: str
    sign: int = 1
    where: list[Test] = []
    amount: int = 0
    of: str | None = None


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A metric and the first of its slots; schemas/state.py says what each kind keeps there.

    A hidden metric has a key no author can write (`released@2026-06-01..2026-09-01`, `released@..2026-09-01`,
    `sessions@day`) and folds like the metric `origin`, but sees only events whose local day (in the event's own
    zone, else the catalog's) lies in [first_day, end_day), either of which may be open; with `every` it keeps the
    values of each period apart. A `distinct`, `sum` or `count` only may have `every`.

    The kind `xp` is the metric `xp`: what its feeds, awards (AchievementSpec.xp) and claimed challenges give, less
    what revocations take back. It is there when the catalog has XP rules or challenges.

    Units: first_day and end_day are days since 1970. Shapes: `freezes` are event types that give a streak a
    freeze each; `grace` is how many missed days in a row it bridges by itself; `edges` is the slot (bytes) of a
    streak's edge days, those with an event near the date line, None in programs of before; `used` that
    (none) of how many freezes its chains have used, None without freezes and in programs of before.
    """

    key: str
    kind: MetricKind
    slot: int
    feeds: list[Feed]
    of: str | None = None
    by: list[str] = []
    normalize: bool = False
    bucket: int | None = None
    places: int = 0
    origin: str | None = None
    first_day: int | None = None
    end_day: int | None = None
    every: Period | None = None
    grace: int = 0
    freezes: list[Feed] = []
    edges: int | None = None
    used: int | None = None

    @property
    def undoable(self) -> bool:
        return any(feed.sign < 0 for feed in self.feeds)

    @property
    def only_grows(self) -> bool:
        """Whether no event whatever makes its value less: a late freeze may be used up by an earlier gap."""
        return self.kind in ("count", "distinct", "max", "streak") and not self.undoable and not self.freezes


class AtLeast(msgspec.Struct, frozen=True, kw_only=True, tag="at_least", tag_field="kind"):
    """`metric >= at`. The number names the condition where its crossing must be remembered (compounds).

    `level` is set where the author wrote `level >= n`: `at` is then where level n starts, `metric` what levels
    are of.
    """

    metric: str
    at: int
    number: int | None = None
    level: int | None = None


class All(msgspec.Struct, frozen=True, kw_only=True, tag="all", tag_field="kind"):
    of: list[Condition]


class Any(msgspec.Struct, frozen=True, kw_only=True, tag="any", tag_field="kind"):
    of: list[Condition]


Condition = AtLeast | All | Any


def comparisons(condition: Condition) -> Iterator[AtLeast]:
    """The comparisons of a condition, in order."""
    if isinstance(condition, AtLeast):
        yield condition
        return
    for part in condition.of:
        yield from comparisons(part)


def has_choice(condition: Condition) -> bool:
    """Whether one of several things suffices."""
    if isinstance(condition, AtLeast):
        return False
    return isinstance(condition, Any) or any(has_choice(part) for part in condition.of)


def implies(one: Condition, other: Condition) -> bool:
    """Whether the one holding means that the other holds: as far as can be seen part by part."""
    if isinstance(one, Any):
        return all(implies(part, other) for part in one.of)
    if isinstance(other, All):
        return all(implies(one, part) for part in other.of)
    if isinstance(one, All) and any(implies(part, other) for part in one.of):
        return True
    if isinstance(other, Any):
        return any(implies(one, part) for part in other.of)
    if isinstance(one, AtLeast) and isinstance(other, AtLeast):
        return one.metric == other.metric and one.at >= other.at
    return False


class Texts(msgspec.Struct, frozen=True, kw_only=True):
    """What is said in another language; what is empty is said in the catalog's own."""

    name: str = ""
    description: str = ""
    message: str = ""


class WindowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """When an achievement can be earned: on the days [first_day, end_day), or once in every period.

    Units: days since 1970, None where the window is open. With `every` the scope of an award is its period:
    `2026-11-21`, `2026-W47` (ISO 8601) or `2026-11`, of the local day of the event that counts.
    """

    first_day: int | None = None
    end_day: int | None = None
    every: Period | None = None


class AchievementSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An achievement with everything a reader of its unlock needs to be told.

    `key` with `tier` is unique. There are four ways to be earned:

    - `when` holds, and everything in `requires` is held. Of a window, `when` names hidden metrics.
    - tiers: one spec each, with the same `key`, `type` and `order` place, `tier`, `rank` and
      `conditions`: the author's name of each comparison in `when` (an AtLeast, or an All of them). The rank is
      the tier's place in the catalog's `tiers`, 0 the lowest, also where an achievement has not all of them.
    - sets: `all_of` is the category, or WHOLE_CATALOG; `requires` has the members, and `when` is All(of=[]), which
      always holds.
    - `on`: any of these events whose tests hold is an award, one for each value of the field `scope` (one at all
      where it is None). `when` is All(of=[]) and `requires` is empty; `metadata` is name -> field of the event.
      Texts may hold `{name}` of metadata, to be filled when the outcome is made.

    Shapes: `requires` holds references (`key`, or `key/tier`; never a bare key that has tiers); `context` is
    name -> field of the crossing event, null where its type does not declare the field; `scopes` is the slot
    (bytes) that remembers the scopes won, of `scope` and of `window.every`; `xp` is what an award gives, 0 where
    the catalog's awards give none; `translations` is language tag -> texts.
    """

    key: str
    number: int
    name: str
    when: Condition = All(of=[])
    requires: list[str] = []
    description: str = ""
    message: str = ""
    icon: str = ""
    color_from: str = ""
    color_to: str = ""
    category: str = ""
    rarity: str = "common"
    points: int = 0
    type: str = ""
    order: int = 0
    is_active: bool = True
    secret: bool = False
    is_public: bool = True
    revocable: Revocable = "no"
    xp: int = 0
    tier: str | None = None
    rank: int = 0
    conditions: dict[str, AtLeast] = {}
    context: dict[str, str] = {}
    on: list[Feed] = []
    scope: str | None = None
    metadata: dict[str, str] = {}
    window: WindowSpec | None = None
    scopes: int | None = None
    all_of: str | None = None
    translations: dict[str, Texts] = {}

    @property
    def reference(self) -> str:
        """What `requires` calls it."""
        return self.key if self.tier is None else f"{self.key}/{self.tier}"

    @property
    def rule(self) -> tuple[object, ...]:
        """All that decides whether it is earned, but for what its metrics count. How it looks and what it is worth
        does not; nor does what a set is of, beside its members."""
        return (
            self.is_active,
            self.when,
            self.requires,
            self.on,
            self.scope,
            self.window,
            self.revocable,
        )


class LevelsSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Level n is held from `of >= starts[n - 1]` on. `slot` holds the highest level told, 0 before any.

    `starts[0]` is 0, and level 1 is never told. Texts may hold `{level}`.

    Units: `starts` are in the unit of the metric, scaled where it has decimal places.
    """

    of: str
    starts: list[int]
    slot: int
    name: str = ""
    description: str = ""
    message: str = ""
    translations: dict[str, Texts] = {}


class ChallengeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge of a day: `when.metric` is a hidden metric `…@day`. `number` names it in what was claimed."""

    key: str
    number: int
    name: str
    type: str
    when: AtLeast
    xp: int
    description: str = ""
    message: str = ""
    icon: str = ""
    every: Period = "day"
    translations: dict[str, Texts] = {}


class ChallengesSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The challenges, of which `per_day` are offered to a user on a day. `slot` (bytes) holds what was claimed."""

    per_day: int
    slot: int
    offered: list[ChallengeSpec]


class CatalogProgram(msgspec.Struct, frozen=True, kw_only=True):
    """One catalog, compiled. `sha256` is the hash of its content, pinned in every award.

    Shapes: `metrics` has the author's in listing order, then the hidden ones and, last, `xp`; `achievements` are in
    listing order with tiers in place, low before high; `tiers` is the catalog's whole ladder of tiers, rising;
    `category_titles` is category -> language tag -> title; `repartition` are the topics whose publishers partition
    in another way, so that their events are folded from copies on the derived topic.
    """

    catalog: str
    version: int
    sha256: str
    timezone: str = "UTC"
    headline_streak: str | None = None
    categories: list[tuple[str, str]] = []
    events: list[EventSpec]
    metrics: list[MetricSpec]
    achievements: list[AchievementSpec]
    default_language: str = "en"
    category_titles: dict[str, dict[str, str]] = {}
    tiers: list[str] = []
    levels: LevelsSpec | None = None
    challenges: ChallengesSpec | None = None
    repartition: list[str] = []


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The numbering of a namespace.

    Shapes: `slots` holds the default of every slot after the fixed head of the state, in order; `marks` maps a
    topic, `windows` topic/type, `metrics` catalog/key#hash-of-its-meaning (xp: catalog/xp, which keeps what was
    given when its rules change) to a (first) slot; `extras` maps what else is kept to a slot: scopes/catalog/key,
    level/catalog, claims/catalog, edges/ and the identity of a streak, used/ and that of one with freezes,
    `@replays` and `@deferred`, which ledgers of before get with their next version; `awards` maps catalog/key and
    catalog/key/tier, catalog/@challenge/key, and metric>=threshold of a remembered condition, to a number. Derived
    types stand under `@derived`, claims of challenges under `@commands`.
    """

    slots: list[Default] = []
    marks: dict[str, int] = {}
    windows: dict[str, int] = {}
    metrics: dict[str, int] = {}
    awards: dict[str, int] = {}
    extras: dict[str, int] = {}


DERIVED_MARK = "@derived"
COMMANDS_MARK = "@commands"
CLAIMS_WINDOW = "@commands/claim_challenge"
REPLAYS_SLOT = "@replays"
DEFERRED_SLOT = "@deferred"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a process runs: the active version of every catalog and the numbering they share.

    `derived` is the name of the derived topic of the namespace, the source of the derived types; `commands` that of
    the topic of commands, a source when there are challenges to claim.
    """

    catalogs: list[CatalogProgram]
    ledger: Ledger
    derived: str
    commands: str = ""

    @property
    def sources(self) -> list[str]:
        """Source topics in order of their names, then the derived and the commands topic where they are needed."""
        events = [event for catalog in self.catalogs for event in catalog.events]
        topics = sorted({event.topic for event in events if event.topic is not None})
        derived = [self.derived] if self.repartitioned or any(event.derive for event in events) else []
        commands = [self.commands] if any(catalog.challenges for catalog in self.catalogs) else []
        return [*topics, *derived, *commands]

    @property
    def repartitioned(self) -> set[str]:
        """Source topics whose publishers partition in another way: their events are folded from copies."""
        return {topic for catalog in self.catalogs for topic in catalog.repartition}

    def home_of(self, topic: str) -> str:
        """The topic from which events published on this one are folded."""
        return self.derived if topic in self.repartitioned else topic

    def as_published(self) -> Program:
        """The program as publishers see it: every event is on the topic where they put it."""
        catalogs = [msgspec.structs.replace(catalog, repartition=[]) for catalog in self.catalogs]
        return msgspec.structs.replace(self, catalogs=catalogs)

    def mark_of(self, topic: str) -> int:
        """The slot that holds the last applied offset of a source topic."""
        return self.ledger.marks[{self.derived: DERIVED_MARK, self.commands: COMMANDS_MARK}.get(topic, topic)]


class CatalogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Value of a record of the catalogs topic, key `catalog/version`: every version, for ever.

    One that is not announced runs only where a replay brings it.
    """

    catalog: str
    version: int
    sha256: str
    file: str
    source: str  # the YAML text
    program: CatalogProgram
    ledger: Ledger  # the numbering after this catalog
    announced: bool = True


def record_of(
    program: CatalogProgram, ledger: Ledger, source: str, file: str, *, announced: bool = True
) -> CatalogRecord:
    """Of a compiled catalog."""
    return CatalogRecord(
        catalog=program.catalog,
        version=program.version,
        sha256=program.sha256,
        file=file,
        source=source,
        program=program,
        ledger=ledger,
        announced=announced,
    )


encode_catalog_record = msgspec.json.Encoder().encode
decode_catalog_record = msgspec.json.Decoder(CatalogRecord).decode
