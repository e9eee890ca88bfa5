"""One catalog's YAML, interpreted as far as a fold needs it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

from bench.reference.bounds import LEVEL_MAX
from bench.reference.event import Test, bare, plain

KINDS = ("count", "sum", "max", "latest", "distinct", "streak")
POINTS_BY_RARITY = {"common": 10, "uncommon": 25, "rare": 50, "epic": 100, "legendary": 250}
TIERS = ["bronze", "silver", "gold", "platinum"]
XP = "xp"
OPTIONAL_TYPE = re.compile(
    r"(:\s*)((?:\[string\]|string|integer|boolean|decimal\(\d+\))\?)(?=\s*(?:[,}#]|$))", re.MULTILINE
)
AT_LEAST = re.compile(r"\s*(\w+)\s*>=\s*\+?([\d.]+)\s*")


@dataclass
class Feed:
    """An event type that moves a metric up (1) or back (-1), or freezes a streak (0)."""

    type: str
    sign: int
    tests: list[Test]


@dataclass
class Metric:
    """Shapes: `since` and `until` are the days of a season; `every` makes it one value a period."""

    key: str
    kind: str
    feeds: list[Feed] = field(default_factory=list)
    of: str = ""
    by: list[str] = field(default_factory=list)
    normalize: bool = False
    bucket: int = 1
    grace: int = 0
    since: date = date.min
    until: date = date.max
    every: str = ""


class AtLeast(NamedTuple):
    metric: str
    at: int


class Compound(NamedTuple):
    word: str
    parts: tuple[Condition, ...]


Condition = AtLeast | Compound
ALWAYS = Compound("all", ())


@dataclass
class Achievement:
    """`name` is what `requires` calls it: its key, or key/tier. One with `on` is given by these events."""

    name: str
    when: Condition
    requires: list[str]
    points: int
    xp: int
    revocable: bool
    every: str
    on: list[Feed]
    scope: str
    metadata: dict[str, str]
    context: dict[str, str]


@dataclass
class Gift:
    """XP for an event: an amount, or what a field of it holds."""

    feed: Feed
    amount: int
    of: str


@dataclass
class Challenge:
    key: str
    when: AtLeast
    xp: int


class Catalog:
    """Scalars are read as text; what they are held against says what they mean."""

    def __init__(self, source: str | Mapping[str, Any]) -> None:
        said: Mapping[str, Any] = read_yaml(source) if isinstance(source, str) else source
        self.name: str = said["catalog"]
        self.zone: str = said.get("timezone") or "UTC"
        self.events: dict[str, Any] = said.get("events") or {}
        self.fields = dict(self._fields())
        self.metrics = {key: self._metric(key, each) for key, each in (said.get("metrics") or {}).items()}
        self.points_by_rarity = POINTS_BY_RARITY | (said.get("points_by_rarity") or {})
        self._read_experience(said)
        self.entries = [each for each in listed(said) if truth(each.get("is_active", True))]
        self.achievements = {each.name: each for each in self._achievements()}
        self.at_once = [each for each in self.achievements.values() if each.on]
        self._read_challenges(said.get("challenges") or {})
        thresholds = {part for each in self.achievements.values() for part in thresholds_of(each.when)}
        self.thresholds_on = {key: [part for part in thresholds if part.metric == key] for key in self.metrics}

    def topic_of(self, event_type: str) -> str | None:
        return self.events[event_type]["topic"] if event_type in self.events else None

    def derivations(self, event_type: str) -> list[dict[str, Any]]:
        return self.events.get(event_type, {}).get("derive") or []

    def level_of(self, value: int | None) -> int:
        """The highest level that starts at or below a value; the first starts at 0."""
        return max(1, sum((value or 0) >= start for start in self.starts))

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
            feeds=[
                *self._feeds(said[kind], 1, shared),
                *self._feeds(said.get("minus") or [], -1, shared),
                *self._feeds(said.get("freezes") or [], 0, {}),
            ],
            of=bare(said.get("of") or ""),
            by=[bare(path) for path in one_or_many(said.get("by") or [])],
            normalize=truth(said.get("normalize", False)),
            bucket=int(said.get("bucket") or 1),
            grace=int(said.get("grace") or 0),
        )

    def _feeds(self, said: Any, sign: int, shared: Mapping[str, Any]) -> Iterator[Feed]:
        for entry in one_or_many(said):
            named = {entry: {}} if isinstance(entry, str) else entry
            for event_type, own in named.items():
                fields = self.fields.get(event_type, {})
                inherited = {path: test for path, test in shared.items() if sign > 0 or bare(path) in fields}
                tests = [*read_tests(inherited, fields), *read_tests((own or {}).get("where") or {}, fields)]
                yield Feed(event_type, sign, tests)

    # --- XP and levels ---

    def _read_experience(self, said: Mapping[str, Any]) -> None:
        rules = said.get("xp") or []
        self.awards_give_xp = any(rule["on"] == "awards" for rule in rules)
        self.gifts = [gift for rule in rules if rule["on"] != "awards" for gift in self._gifts(rule)]
        if rules or said.get("challenges"):
            self.metrics[XP] = Metric(XP, "xp")
        levels = said.get("levels") or {}
        self.levels_of: str = levels.get("of", "")
        self.starts = [self._threshold(self.levels_of, start) for start in starts_of(levels.get("curve"))]

    def _gifts(self, rule: Mapping[str, Any]) -> Iterator[Gift]:
        for feed in self._feeds(rule["on"], 1, rule.get("where") or {}):
            amount = str(rule["amount"])
            is_field = amount.startswith("data.")
            yield Gift(feed, 0 if is_field else int(amount), bare(amount) if is_field else "")

    # --- achievements ---

    def _achievements(self) -> Iterator[Achievement]:
        for entry in self.entries:
            points = int(entry["points"] if "points" in entry else self._points_of(entry))
            yield Achievement(
                name=name_of(entry),
                when=self._condition(entry["when"], self._window(entry)) if "when" in entry else ALWAYS,
                requires=self._required(entry),
                points=points,
                xp=int(entry.get("xp", points)) if self.awards_give_xp else 0,
                revocable=entry.get("revocable", "false") == "announced" or truth(entry.get("revocable", False)),
                every=self._window(entry).every,
                on=[*self._feeds(entry.get("on") or [], 1, entry.get("where") or {})],
                scope=bare(entry.get("scope") or ""),
                metadata={name: bare(path) for name, path in (entry.get("metadata") or {}).items()},
                context={name: bare(path) for name, path in (entry.get("context") or {}).items()},
            )

    def _points_of(self, entry: Mapping[str, Any]) -> int:
        return int(self.points_by_rarity[entry.get("rarity", "common")])

    def _required(self, entry: Mapping[str, Any]) -> list[str]:
        if "all_of" in entry:
            return [name_of(each) for each in self.entries if is_member(each, entry["all_of"])]
        lowest = {each["key"]: name_of(each) for each in reversed(self.entries)}
        return [lowest.get(name, name) for name in one_or_many(entry.get("requires") or [])]

    def _condition(self, said: Any, window: Window) -> Condition:
        if isinstance(said, dict):
            ((word, parts),) = said.items()
            return Compound(word, tuple(self._condition(part, window) for part in parts))
        matched = AT_LEAST.fullmatch(said)
        if matched is None:
            raise ValueError(f"condition '{said}' is not of the form 'metric >= number'")
        if matched[1] == "level":
            return AtLeast(self.levels_of, self.starts[int(matched[2]) - 1])
        return AtLeast(self._within(matched[1], window), self._threshold(matched[1], matched[2]))

    def _threshold(self, metric: str, written: str) -> int:
        folded = self.metrics[metric]
        declared = self.fields.get(folded.feeds[0].type, {}).get(folded.of, "") if folded.feeds else ""
        return int(plain(Decimal(written), declared))

    def _window(self, entry: Mapping[str, Any]) -> Window:
        said = entry.get("window") or {}
        return Window(str(said.get("from") or ""), str(said.get("until") or ""), said.get("every") or "")

    def _within(self, metric: str, window: Window) -> str:
        """The metric that counts only what lies in this window, which no author wrote."""
        if not any(window):
            return metric
        key = f"{metric}@{window.every}" if window.every else f"{metric}@{window.since}..{window.until}"
        self.metrics[key] = replace(
            self.metrics[metric],
            key=key,
            since=date.fromisoformat(window.since) if window.since else date.min,
            until=date.fromisoformat(window.until) if window.until else date.max,
            every=window.every,
        )
        return key

    def _read_challenges(self, said: Mapping[str, Any]) -> None:
        self.per_day = int(said.get("per_day") or 0)
        self.challenges = {
            each["key"]: Challenge(each["key"], self._comparison(each), int(each.get("xp") or 0))
            for each in said.get("list") or []
        }

    def _comparison(self, challenge: Mapping[str, Any]) -> AtLeast:
        condition = self._condition(challenge["when"], Window("", "", challenge.get("every") or "day"))
        assert isinstance(condition, AtLeast)
        return condition


class Window(NamedTuple):
    since: str
    until: str
    every: str


def listed(said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The achievements, each tier as one of its own, then the steps of the ladders written out."""
    names = said.get("tiers") or TIERS
    for entry in said.get("achievements") or []:
        tiers = sorted(entry.get("tiers") or [], key=lambda tier: names.index(tier["tier"]))
        yield from (tier_of(entry, tier) for tier in tiers)
        if not tiers:
            yield entry
    for ladder in said.get("ladders") or []:
        for step in ladder["steps"]:
            yield {**ladder, **step, "when": f"{ladder['metric']} >= {step['at']}"}


def tier_of(entry: Mapping[str, Any], tier: Mapping[str, Any]) -> dict[str, Any]:
    needs = [f"{entry['conditions'][name]} >= {at}" for name, at in tier["at"].items()]
    return {**entry, **tier, "when": needs[0] if len(needs) == 1 else {"all": needs}, "lowest": entry["tiers"][0]}


def name_of(entry: Mapping[str, Any]) -> str:
    return f"{entry['key']}/{entry['tier']}" if "tier" in entry else str(entry["key"])


def is_member(entry: Mapping[str, Any], of: Any) -> bool:
    """Whether an entry counts for a set: `catalog`, or `{category: c}`. Of tiers the lowest does."""
    inside = of == "catalog" or entry.get("category") == of["category"]
    lowest = "tier" not in entry or entry["lowest"]["tier"] == entry["tier"]
    return inside and lowest and not ({"all_of", "window"} & entry.keys() or truth(entry.get("secret", False)))


def thresholds_of(condition: Condition) -> set[AtLeast]:
    if isinstance(condition, AtLeast):
        return {condition}
    return {threshold for part in condition.parts for threshold in thresholds_of(part)}


def starts_of(curve: Any) -> list[str]:
    """Where level 1, 2, 3, … start: as listed, or k·n·(n-1)."""
    if isinstance(curve, list):
        return curve[:LEVEL_MAX]
    step = int(curve["triangular"]) if curve else 0
    return [str(step * n * (n - 1)) for n in range(1, LEVEL_MAX + 1)] if step else []


def read_yaml(text: str) -> Any:
    """YAML, in which an optional type needs no quotes: PyYAML ends a word at a `?` within braces."""
    return yaml.load(OPTIONAL_TYPE.sub(r'\1"\2"', text), Loader=yaml.BaseLoader)


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
