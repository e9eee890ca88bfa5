"""A compiled catalog as plain data: what the catalogs topic carries and every process runs.

Numbers are given once and never reused. The ledger is the namespace's whole numbering: slots of the user
state, awards and conditions. It only grows, so a state written under an older ledger is a prefix of a newer one.
"""

from __future__ import annotations

from typing import Literal

import msgspec

FieldType = Literal["string", "integer", "boolean", "decimal", "strings"]
MetricKind = Literal["count", "sum", "max", "latest", "distinct", "streak"]
Comparison = Literal["eq", "gte", "gt", "lte", "lt", "in", "not"]
Scalar = str | int | bool
Default = Literal["mark", "zero", "none", "bytes", "epoch"]


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
    """An event type that moves a metric up (sign 1) or back (sign -1)."""

    type: str
    sign: int = 1
    where: list[Test] = []


class MetricSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A metric and the first of its slots; schemas/state.py says what each kind keeps there."""

    key: str
    kind: MetricKind
    slot: int
    feeds: list[Feed]
    of: str | None = None
    by: list[str] = []
    normalize: bool = False
    bucket: int | None = None
    places: int = 0

    @property
    def undoable(self) -> bool:
        return any(feed.sign < 0 for feed in self.feeds)

    @property
    def only_grows(self) -> bool:
        """Whether no event whatever makes its value less."""
        return self.kind in ("count", "distinct", "max", "streak") and not self.undoable


class AtLeast(msgspec.Struct, frozen=True, kw_only=True, tag="at_least", tag_field="kind"):
    """`metric >= at`. The number names the condition where its crossing must be remembered (compounds)."""

    metric: str
    at: int
    number: int | None = None


class All(msgspec.Struct, frozen=True, kw_only=True, tag="all", tag_field="kind"):
    of: list[Condition]


class Any(msgspec.Struct, frozen=True, kw_only=True, tag="any", tag_field="kind"):
    of: list[Condition]


Condition = AtLeast | All | Any


class AchievementSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An achievement with everything a reader of its unlock needs to be told."""

    key: str
    number: int
    name: str
    when: Condition
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


class CatalogProgram(msgspec.Struct, frozen=True, kw_only=True):
    """One catalog, compiled. `sha256` is the hash of its content, pinned in every award."""

    catalog: str
    version: int
    sha256: str
    timezone: str = "UTC"
    headline_streak: str | None = None
    categories: list[tuple[str, str]] = []
    events: list[EventSpec]
    metrics: list[MetricSpec]
    achievements: list[AchievementSpec]


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The numbering of a namespace.

    Shapes: `slots` holds the default of every slot after the fixed head of the state, in order; `marks` maps a
    topic, `windows` topic/type, `metrics` catalog/key#hash-of-its-meaning to a (first) slot; `awards` maps
    catalog/key, and metric>=threshold of a remembered condition, to a number. Derived types stand under `@derived`.
    """

    slots: list[Default] = []
    marks: dict[str, int] = {}
    windows: dict[str, int] = {}
    metrics: dict[str, int] = {}
    awards: dict[str, int] = {}


DERIVED_MARK = "@derived"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a process runs: the active version of every catalog and the numbering they share.

    `derived` is the name of the derived topic of the namespace, the source of the derived types.
    """

    catalogs: list[CatalogProgram]
    ledger: Ledger
    derived: str

    @property
    def sources(self) -> list[str]:
        """Source topics in order of their names, the derived topic last when something derives."""
        events = [event for catalog in self.catalogs for event in catalog.events]
        topics = sorted({event.topic for event in events if event.topic is not None})
        return [*topics, self.derived] if any(event.derive for event in events) else topics

    def mark_of(self, topic: str) -> int:
        """The slot that holds the last applied offset of a source topic."""
        return self.ledger.marks[DERIVED_MARK if topic == self.derived else topic]


class CatalogRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Value of a record of the catalogs topic, key `catalog/version`: every version, for ever."""

    catalog: str
    version: int
    sha256: str
    file: str
    source: str  # the YAML text
    program: CatalogProgram
    ledger: Ledger  # the numbering after this catalog


encode_catalog_record = msgspec.json.Encoder().encode
decode_catalog_record = msgspec.json.Decoder(CatalogRecord).decode
