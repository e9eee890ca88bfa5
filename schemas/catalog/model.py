"""What a catalog says, once it has been read: every shorthand written out, every number in the engine's unit.

Field names carry no `data.` in tests, `of` and `by`; a derivation's paths do: `subject` is a path too.

Units: whatever is compared with a decimal(n) field, thresholds included, is an integer times 10**n.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

FieldType = Literal["string", "integer", "boolean", "decimal", "strings"]
MetricKind = Literal["count", "sum", "max", "latest", "distinct", "streak"]
Comparison = Literal["eq", "gte", "gt", "lte", "lt", "in", "not"]
Rarity = Literal["common", "uncommon", "rare", "epic", "legendary"]
Scalar = bool | int | str

POINTS_BY_RARITY: dict[str, int] = {"common": 10, "uncommon": 25, "rare": 50, "epic": 100, "legendary": 250}


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


class AtLeast(Part):
    metric: str
    at: int


class All(Part):
    of: tuple[Condition, ...]


class Any(Part):
    of: tuple[Condition, ...]


Condition = AtLeast | All | Any


class Look(Part):
    """What every entry may say about itself; points, type and order have defaults that depend on the rest."""

    description: str = ""
    message: str = ""
    icon: str = ""
    color_from: str = ""
    color_to: str = ""
    category: str = ""
    rarity: Rarity = "common"
    points: int = 0
    type: str = ""
    order: int = 0
    is_active: bool = True
    secret: bool = False


class Achievement(Look):
    """A condition, and what a person sees of it. `all_achievements` fills what was not given."""

    key: str
    name: str
    when: Condition
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


class Category(Part):
    key: str
    title: str


class Catalog(Part):
    """Events, metrics and achievements of one product."""

    catalog: str
    version: int
    timezone: str = "UTC"
    headline_streak: str | None = None
    points_by_rarity: dict[str, int] = POINTS_BY_RARITY
    categories: list[Category] | None = None
    events: dict[str, EventType] = {}
    metrics: dict[str, Metric] = {}
    achievements: list[Achievement] = []
    ladders: list[Ladder] = []


def all_events(catalog: Catalog) -> dict[str, EventType]:
    """The declared event types, then the types they derive."""
    return {**catalog.events, **derived_events(catalog.events)}


def derived_events(events: Mapping[str, EventType]) -> dict[str, EventType]:
    """The types that no publisher sends; a field of theirs is declared where it comes from."""
    return {
        derivation.type: EventType(topic=None, data=derived_fields(parent, derivation))
        for parent in events.values()
        for derivation in parent.derive
    }


def derived_fields(parent: EventType, derivation: Derivation) -> dict[str, Field]:
    return {name: field_at(parent, path) for name, path in derivation.data.items()}


def field_at(event: EventType, path: str) -> Field:
    """What a path points at. Raises: KeyError where the event declares no such field."""
    return Field(type="string") if path == "subject" else event.data[path.removeprefix("data.")]


def all_achievements(catalog: Catalog) -> list[Achievement]:
    """Every achievement with every default filled, in listing order: the entries, then the ladders' steps."""
    steps = (climb(catalog, ladder, step) for ladder in catalog.ladders for step in ladder.steps)
    listed = [*catalog.achievements, *steps]
    return [complete(catalog, entry, order) for order, entry in enumerate(listed, start=1)]


def climb(catalog: Catalog, ladder: Ladder, step: Step) -> Achievement:
    """A step as an achievement: its own words first, else the ladder's."""
    said = {**given(ladder), **given(step)}
    at = plain_number(step.at, places_of(catalog, ladder.metric))
    for text in ("description", "message"):
        said[text] = str(said.get(text, "")).replace("{at}", at)
    look = {name: value for name, value in said.items() if name not in ("metric", "steps", "at")}
    return Achievement.model_validate({**look, "when": AtLeast(metric=ladder.metric, at=step.at)})


def given(part: Part) -> dict[str, object]:
    return {name: getattr(part, name) for name in part.model_fields_set}


def complete(catalog: Catalog, entry: Achievement, order: int) -> Achievement:
    defaults = {"points": catalog.points_by_rarity[entry.rarity], "type": entry.key, "order": order}
    missing = {name: value for name, value in defaults.items() if name not in entry.model_fields_set}
    return entry.model_copy(update=missing)


def places_of(catalog: Catalog, metric: str) -> int:
    """Decimal places of a metric's value: those of the field it sums or keeps, else none."""
    folded = catalog.metrics.get(metric)
    if folded is None or folded.of is None:
        return 0
    event = all_events(catalog).get(folded.plus[0].type)
    field = event.data.get(folded.of) if event else None
    return field.places if field else 0


def plain_number(scaled: int, places: int) -> str:
    """950 with 2 places reads 9.5."""
    if not places:
        return str(scaled)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    return f"-{text}" if scaled < 0 else text


def catalog_hash(catalog: Catalog) -> str:
    """The sha256 of what a catalog means: layout, comments and ladders against single entries change nothing.

    What has its default is left out, so that a word the language learns later leaves old hashes alone.
    """
    meaning = catalog.model_copy(update={"achievements": all_achievements(catalog), "ladders": []})
    text = json.dumps(canonical(meaning), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(value: object) -> object:
    if isinstance(value, Part):
        return {"is": type(value).__name__, **{name: canonical(said) for name, said in spoken(value)}}
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def spoken(part: Part) -> Iterable[tuple[str, object]]:
    fields = type(part).model_fields
    return ((name, value) for name, value in part if value != fields[name].default)
