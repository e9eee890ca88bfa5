"""The reference: the plainest fold of a log, to hold the evaluator against.

It reads the catalog's YAML by itself, keeps everything it ever saw in plain dictionaries, and looks at every
condition of a user after every event. It shares no code and no trick with the evaluator, so that a mistake has
to be made twice, in two ways, before nobody notices it.

It takes events that were judged before: what would be a dead letter must not be among them.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import resources
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import yaml

RECENT_IDS_MAX = 8
DISTINCT_VALUES_MAX = 4096
STREAK_RUNS_MAX = 512

KINDS = ("count", "sum", "max", "latest", "distinct", "streak")
POINTS_BY_RARITY = {"common": 10, "uncommon": 25, "rare": 50, "epic": 100, "legendary": 250}
OPTIONAL_TYPE = re.compile(
    r"(:\s*)((?:\[string\]|string|integer|boolean|decimal\(\d+\))\?)(?=\s*(?:[,}#]|$))", re.MULTILINE
)
AT_LEAST = re.compile(r"\s*(\w+)\s*>=\s*\+?([\d.]+)\s*")
RFC_3339 = re.compile(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")
ONE_DAY = timedelta(days=1)

Award = tuple[str, str, str, str]
Test = tuple[str, str, Any]


@dataclass
class Result:
    """What a log comes to.

    Shapes: awards (user, catalog, achievement, scope) -> earned_at, UTC; metrics user -> catalog -> metric ->
    value; points user -> catalog -> sum over the awards; undated the awards that hang on derived events, whose
    earned_at may differ where these arrive in another order. Every event is one of applied, duplicates and
    skipped; derived events are counted apart.
    """

    awards: dict[Award, datetime] = field(default_factory=dict)
    metrics: dict[str, dict[str, dict[str, int | None]]] = field(default_factory=dict)
    points: dict[str, dict[str, int]] = field(default_factory=dict)
    applied: int = 0
    duplicates: int = 0
    skipped: int = 0
    derived: int = 0
    undated: set[Award] = field(default_factory=set)


def fold(events: Iterable[Mapping[str, Any]], catalogs: Sequence[str | Mapping[str, Any]]) -> Result:
    """Fold CloudEvents, in the order they were published, by catalogs given as YAML text or as what it says.

    An event may name its `topic`; it must where several topics carry its type.
    """
    reference = Reference([Catalog(source) for source in catalogs])
    for event in events:
        reference.take(event)
    return reference.result()


# --- the catalog, as far as a fold needs it ---


@dataclass
class Feed:
    type: str
    sign: int
    tests: list[Test]


@dataclass
class Metric:
    key: str
    kind: str
    feeds: list[Feed]
    of: str
    by: list[str]
    normalize: bool
    bucket: int


@dataclass
class Achievement:
    key: str
    when: Condition
    requires: list[str]
    points: int


class AtLeast(NamedTuple):
    metric: str
    at: int


class Compound(NamedTuple):
    word: str
    parts: tuple[Condition, ...]


Condition = AtLeast | Compound


class Catalog:
    """One catalog's YAML, interpreted. Scalars are read as text; what they are held against says what they mean."""

    def __init__(self, source: str | Mapping[str, Any]) -> None:
        said: Mapping[str, Any] = read_yaml(source) if isinstance(source, str) else source
        self.name: str = said["catalog"]
        self.zone: str = said.get("timezone") or "UTC"
        self.events: dict[str, Any] = said.get("events") or {}
        self.fields = dict(self._fields())
        self.metrics = {key: self._metric(key, each) for key, each in (said.get("metrics") or {}).items()}
        self.points_by_rarity = POINTS_BY_RARITY | (said.get("points_by_rarity") or {})
        self.achievements = {each.key: each for each in self._achievements(said)}
        self.thresholds = {part for each in self.achievements.values() for part in thresholds_of(each.when)}

    def topic_of(self, event_type: str) -> str | None:
        return self.events[event_type]["topic"] if event_type in self.events else None

    def derivations(self, event_type: str) -> list[dict[str, Any]]:
        return self.events.get(event_type, {}).get("derive") or []

    def _fields(self) -> Iterator[tuple[str, dict[str, str]]]:
        """The types of the declared fields of each event type, and of those that are derived."""
        for event_type, declared in self.events.items():
            fields = {name: str(kind) for name, kind in (declared.get("data") or {}).items()}
            yield event_type, fields
            at_path = {f"data.{name}": kind for name, kind in fields.items()}
            for rule in declared.get("derive") or []:
                yield (
                    rule["type"],
                    {name: at_path.get(path, "string") for name, path in (rule.get("data") or {}).items()},
                )

    def _metric(self, key: str, said: Mapping[str, Any]) -> Metric:
        kind = next(kind for kind in KINDS if kind in said)
        shared = said.get("where") or {}
        return Metric(
            key=key,
            kind=kind,
            feeds=[*self._feeds(said[kind], 1, shared), *self._feeds(said.get("minus") or [], -1, shared)],
            of=bare(said.get("of") or ""),
            by=[bare(path) for path in one_or_many(said.get("by") or [])],
            normalize=truth(said.get("normalize", False)),
            bucket=int(said.get("bucket") or 1),
        )

    def _feeds(self, said: Any, sign: int, shared: Mapping[str, Any]) -> Iterator[Feed]:
        for entry in one_or_many(said):
            named = {entry: {}} if isinstance(entry, str) else entry
            for event_type, own in named.items():
                fields = self.fields.get(event_type, {})
                inherited = {path: test for path, test in shared.items() if sign > 0 or bare(path) in fields}
                tests = [*read_tests(inherited, fields), *read_tests((own or {}).get("where") or {}, fields)]
                yield Feed(event_type, sign, tests)

    def _achievements(self, said: Mapping[str, Any]) -> Iterator[Achievement]:
        for entry in listed(said):
            rarity = entry.get("rarity", "common")
            if truth(entry.get("is_active", True)):
                yield Achievement(
                    key=entry["key"],
                    when=self._condition(entry["when"]),
                    requires=one_or_many(entry.get("requires") or []),
                    points=int(entry["points"] if "points" in entry else self.points_by_rarity[rarity]),
                )

    def _condition(self, said: Any) -> Condition:
        if isinstance(said, dict):
            ((word, parts),) = said.items()
            return Compound(word, tuple(self._condition(part) for part in parts))
        matched = AT_LEAST.fullmatch(said)
        if matched is None:
            raise ValueError(f"condition '{said}' is not of the form 'metric >= number'")
        return AtLeast(matched[1], self._threshold(matched[1], matched[2]))

    def _threshold(self, metric: str, written: str) -> int:
        folded = self.metrics[metric]
        declared = self.fields.get(folded.feeds[0].type, {}).get(folded.of, "")
        return int(plain(Decimal(written), declared))


def thresholds_of(condition: Condition) -> set[AtLeast]:
    if isinstance(condition, AtLeast):
        return {condition}
    return {threshold for part in condition.parts for threshold in thresholds_of(part)}


def read_yaml(text: str) -> Any:
    """YAML, in which an optional type needs no quotes: PyYAML ends a word at a `?` within braces."""
    return yaml.load(OPTIONAL_TYPE.sub(r'\1"\2"', text), Loader=yaml.BaseLoader)


def listed(said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The achievements, then the steps of the ladders written out."""
    yield from said.get("achievements") or []
    for ladder in said.get("ladders") or []:
        for step in ladder["steps"]:
            yield {**ladder, **step, "when": f"{ladder['metric']} >= {step['at']}"}


def read_tests(where: Mapping[str, Any], fields: Mapping[str, str]) -> Iterator[Test]:
    for path, said in where.items():
        short = {"in": said} if isinstance(said, list) else {"eq": said}
        for word, operand in (said if isinstance(said, dict) else short).items():
            yield bare(path), word, operand_of(operand, fields.get(bare(path), ""))


def operand_of(said: Any, declared: str) -> Any:
    """What a field of this type is compared with."""
    if isinstance(said, list):
        return [operand_of(each, declared) for each in said]
    if declared.startswith("boolean"):
        return truth(said)
    return plain(Decimal(str(said)), declared) if declared.startswith(("integer", "decimal")) else said


def one_or_many(said: Any) -> list[Any]:
    return said if isinstance(said, list) else [said]


def truth(said: Any) -> bool:
    return str(said).lower() == "true"


def bare(path: str) -> str:
    """`data.title` names the field `title`."""
    return path.removeprefix("data.")


def plain(value: Any, declared: str) -> Any:
    """A value in the unit it is kept in: decimal(2) 9.5 is 950."""
    if value is None or not declared.startswith("decimal"):
        return value
    places = declared.removeprefix("decimal(").removesuffix("?").removesuffix(")")
    return int(Decimal(str(value)).scaleb(int(places)))


# --- one event ---

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
    """An event with its attributes at hand. Its type belongs to `origin`: a topic, or a catalog that derives."""

    origin: str
    type: str
    source: str
    id: str
    user: str
    at: datetime
    zone: str | None
    data: Mapping[str, Any]

    def look(self, path: str) -> Any:
        return self.user if path == "subject" else self.data.get(bare(path))

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
    )


def read_time(written: str) -> datetime:
    """A moment to the microsecond; what is finer is rounded."""
    whole, digits, offset = RFC_3339.fullmatch(written.upper()).groups()  # type: ignore[union-attr]
    tenths = int((digits or "").ljust(7, "0")[:7])
    return datetime.fromisoformat(whole + offset).astimezone(UTC) + timedelta(microseconds=(tenths + 5) // 10)


# --- one metric of one user ---


class Kept:
    """The value of a metric, and the latest event time among all that moved it."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.latest_at: datetime | None = None

    def take(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        moved = self.moves(event, sign, fields, zone)
        if moved:
            self.latest_at = event.at if self.latest_at is None else max(self.latest_at, event.at)
        return moved

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        raise NotImplementedError

    def value(self) -> int | None:
        raise NotImplementedError

    def crossed_at(self, at: int, zone: str) -> datetime:
        """When it reached this threshold, which an event of this zone has just made it reach."""
        assert self.latest_at is not None
        return self.latest_at

    def amount(self, event: Happening, fields: Mapping[str, str]) -> int | None:
        amount: int | None = plain(event.data.get(self.metric.of), fields.get(self.metric.of, ""))
        return amount


class Count(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.sums = {+1: 0, -1: 0}

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        self.sums[sign] += 1
        return True

    def value(self) -> int:
        return max(0, self.sums[+1] - self.sums[-1])


class Sum(Count):
    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        amount = self.amount(event, fields)
        if amount is None:
            return False
        self.sums[sign] += amount
        return True


class Max(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.greatest: int | None = None

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        amount = self.amount(event, fields)
        if amount is None:
            return False
        self.greatest = amount if self.greatest is None else max(self.greatest, amount)
        return True

    def value(self) -> int | None:
        return self.greatest


class Latest(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.amounts: dict[tuple[datetime, str], int] = {}

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        amount = self.amount(event, fields)
        if amount is None:
            return False
        self.amounts[event.at, event.id] = amount
        return True

    def value(self) -> int | None:
        return self.amounts[max(self.amounts)] if self.amounts else None


class Distinct(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.occurrences: Counter[tuple[Any, ...]] = Counter()
        self.present: set[tuple[Any, ...]] = set()

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        parts = tuple(self.part(plain(event.data.get(name), fields.get(name, ""))) for name in self.metric.by)
        if any(part is None for part in parts):
            return False
        if parts in self.occurrences or len(self.occurrences) < DISTINCT_VALUES_MAX:
            self.occurrences[parts] += sign
        if self.occurrences[parts] > 0:
            self.present.add(parts)
        else:
            self.present.discard(parts)
        if not self.occurrences[parts]:
            del self.occurrences[parts]
        return True

    def part(self, value: Any) -> tuple[str, Any] | None:
        """A value as it counts, with its type, since 1 is not true; None where it counts for nothing."""
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, str) and self.metric.normalize:
            value = unicodedata.normalize("NFC", value.strip()).casefold()
        if type(value) is int:
            value = value // self.metric.bucket
        return type(value).__name__, value

    def value(self) -> int:
        return len(self.present)


class Streak(Kept):
    def __init__(self, metric: Metric) -> None:
        super().__init__(metric)
        self.days: set[date] = set()
        self.runs: list[list[date]] = []
        self.longest: list[date] = []

    def moves(self, event: Happening, sign: int, fields: Mapping[str, str], zone: str) -> bool:
        day = event.at.astimezone(zone_of(zone)).date()
        alone = not {day - ONE_DAY, day, day + ONE_DAY} & self.days
        if alone and len(self.runs) >= STREAK_RUNS_MAX:
            return False
        if day not in self.days:
            self.days.add(day)
            self.runs = runs_of(self.days)
            self.longest = max(self.runs, key=len)
        return True

    def value(self) -> int:
        return len(self.longest)

    def crossed_at(self, at: int, zone: str) -> datetime:
        return datetime.combine(self.longest[at - 1], time(), tzinfo=zone_of(zone)).astimezone(UTC)


KEPT: dict[str, type[Kept]] = {
    "count": Count,
    "sum": Sum,
    "max": Max,
    "latest": Latest,
    "distinct": Distinct,
    "streak": Streak,
}


def runs_of(days: set[date]) -> list[list[date]]:
    """Days in a row, oldest run first."""
    runs: list[list[date]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] + ONE_DAY == day:
            runs[-1].append(day)
        else:
            runs.append([day])
    return runs


ZONES: dict[str, ZoneInfo] = {}


def zone_of(name: str) -> ZoneInfo:
    """The zone in the tzdata package, whatever the system has."""
    if name not in ZONES:
        with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
            ZONES[name] = ZoneInfo.from_file(file, key=name)
    return ZONES[name]


# --- the fold ---


class Standing:
    """One user in one catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.kept = {key: KEPT[metric.kind](metric) for key, metric in catalog.metrics.items()}
        self.reached_at: dict[AtLeast, datetime] = {}
        self.earned: dict[str, datetime] = {}

    def values(self) -> dict[str, int | None]:
        return {key: kept.value() for key, kept in self.kept.items()}

    def take(self, event: Happening) -> None:
        zone = event.zone or self.catalog.zone
        if self.move(event, zone):
            self.watch(zone)
            while any(self.award(each) for each in self.unearned()):
                pass  # until nothing more follows from what was awarded

    def move(self, event: Happening, zone: str) -> bool:
        fields = self.catalog.fields[event.type]
        moved = [
            self.kept[key].take(event, feed.sign, fields, zone)
            for key, metric in self.catalog.metrics.items()
            for feed in metric.feeds
            if feed.type == event.type and all(event.passes(test, fields) for test in feed.tests)
        ]
        return any(moved)

    def watch(self, zone: str) -> None:
        """Remember of each threshold when it was last reached from below, as long as it is."""
        values = self.values()
        for threshold in self.catalog.thresholds:
            value = values[threshold.metric]
            if value is None or value < threshold.at:
                self.reached_at.pop(threshold, None)
            elif threshold not in self.reached_at:
                self.reached_at[threshold] = self.kept[threshold.metric].crossed_at(threshold.at, zone)

    def unearned(self) -> list[Achievement]:
        return [each for each in self.catalog.achievements.values() if each.key not in self.earned]

    def award(self, achievement: Achievement) -> bool:
        since = self.true_since(achievement.when)
        if since is None or not all(key in self.earned for key in achievement.requires):
            return False
        self.earned[achievement.key] = max([since, *(self.earned[key] for key in achievement.requires)])
        return True

    def true_since(self, condition: Condition) -> datetime | None:
        """When a condition that holds now began to hold; None when it does not hold."""
        if isinstance(condition, AtLeast):
            return self.reached_at.get(condition)
        since = [self.true_since(part) for part in condition.parts]
        known = [moment for moment in since if moment is not None]
        if condition.word == "any":
            return min(known, default=None)
        return max(known) if len(known) == len(since) else None


class User:
    """Everything about one user."""

    def __init__(self, catalogs: Sequence[Catalog]) -> None:
        self.applied_ids: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.standings = {each.name: Standing(each) for each in catalogs}

    def has_seen(self, event: Happening) -> bool:
        """Whether this id is among the last of its type; if not, it is from now on."""
        ids = self.applied_ids.setdefault((event.origin, event.type), [])
        if (event.source, event.id) in ids[-RECENT_IDS_MAX:]:
            return True
        ids.append((event.source, event.id))
        return False


class Reference:
    def __init__(self, catalogs: list[Catalog]) -> None:
        self.catalogs = catalogs
        self.users: dict[str, User] = {}
        self.applied = self.duplicates = self.skipped = self.derived = 0

    def take(self, event: Mapping[str, Any]) -> None:
        topic = self.topic_of(event)
        if topic is None:
            self.skipped += 1
            return
        concerned = [each for each in self.catalogs if each.topic_of(event["type"]) == topic]
        if self.apply(happening(event, topic), concerned):
            self.applied += 1
        else:
            self.duplicates += 1

    def topic_of(self, event: Mapping[str, Any]) -> str | None:
        """The topic of an event, or None where no catalog declares its type there."""
        topics = {topic for each in self.catalogs if (topic := each.topic_of(event["type"])) is not None}
        if "topic" in event:
            topics &= {event["topic"]}
        if len(topics) > 1:
            raise ValueError(
                f"event {event['id']} of type '{event['type']}' may belong to {' or '.join(sorted(topics))}: "
                "name one in its attribute `topic`"
            )
        return next(iter(topics), None)

    def apply(self, event: Happening, concerned: list[Catalog]) -> bool:
        """Apply an event, and what it means for others; False for a duplicate."""
        if event.user not in self.users:
            self.users[event.user] = User(self.catalogs)
        user = self.users[event.user]
        if user.has_seen(event):
            return False
        for catalog in concerned:
            user.standings[catalog.name].take(event)
        for catalog in concerned:
            self.derive(catalog, event)
        return True

    def derive(self, catalog: Catalog, parent: Happening) -> None:
        for rule in catalog.derivations(parent.type):
            subject = parent.look(rule["subject"])
            if not isinstance(subject, str) or not subject.strip():
                continue
            if truth(rule.get("unless_self", False)) and subject == parent.user:
                continue
            self.derived += self.apply(derived(catalog, parent, rule, subject), [catalog])

    def result(self) -> Result:
        result = Result(
            applied=self.applied, duplicates=self.duplicates, skipped=self.skipped, derived=self.derived
        )
        for name, user in self.users.items():
            result.metrics[name] = {each: standing.values() for each, standing in user.standings.items()}
            result.points[name] = {each: points(standing) for each, standing in user.standings.items()}
            for catalog, standing in user.standings.items():
                result.awards |= {(name, catalog, key, ""): at for key, at in standing.earned.items()}
        hanging = {(each.name, key) for each in self.catalogs for key in undated(each)}
        result.undated = {award for award in result.awards if award[1:3] in hanging}
        return result


def points(standing: Standing) -> int:
    return sum(standing.catalog.achievements[key].points for key in standing.earned)


def derived(catalog: Catalog, parent: Happening, rule: Mapping[str, Any], subject: str) -> Happening:
    """The event that another user gets out of this one. The same parent always gives the same id."""
    paths = rule.get("data") or {}
    return Happening(
        origin=f"derived by {catalog.name}",
        type=rule["type"],
        source=f"laurel/{catalog.name}",
        id=f"{rule['type']} {subject} {parent.source} {parent.id}",
        user=subject,
        at=parent.at,
        zone=parent.zone,
        data={name: parent.look(path) for name, path in paths.items()},
    )


def undated(catalog: Catalog) -> set[str]:
    """The achievements that hang on a derived event, through a metric or through what they require."""
    types = {rule["type"] for event_type in catalog.events for rule in catalog.derivations(event_type)}
    fed = {key for key, metric in catalog.metrics.items() if types & {feed.type for feed in metric.feeds}}
    found: set[str] = set()
    for _ in catalog.achievements:
        found |= {
            each.key
            for each in catalog.achievements.values()
            if fed & {part.metric for part in thresholds_of(each.when)} or found & set(each.requires)
        }
    return found
