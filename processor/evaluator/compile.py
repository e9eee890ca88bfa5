"""A catalog becomes a program: plain data in which every metric has its slots and every award its number.

The ledger goes in and comes out grown. What means the same keeps its number; a metric whose meaning changed
gets fresh slots, so that old counts never pass for new ones. What looks at a metric through a window, or by the
day, compiles to a hidden metric of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date

import msgspec
from msgspec.structs import replace

from schemas.catalog import model
from schemas.catalog.listing import (
    all_achievements,
    all_events,
    given_xp,
    is_given_often,
    level_starts,
    members_of,
    places_of,
)
from schemas.catalog.meaning import catalog_hash
from schemas.program import (
    CLAIMS_WINDOW,
    COMMANDS_MARK,
    DEFERRED_SLOT,
    DERIVED_MARK,
    HIDDEN_MARK,
    REPLAYS_SLOT,
    XP,
    AchievementSpec,
    All,
    Any,
    AtLeast,
    CatalogProgram,
    ChallengeSpec,
    ChallengesSpec,
    Condition,
    Default,
    DeriveSpec,
    EventSpec,
    Feed,
    FieldSpec,
    Ledger,
    LevelsSpec,
    MetricSpec,
    Test,
    Texts,
    WindowSpec,
)
from schemas.state import HEAD_SLOTS, slots_of
from schemas.zones import EPOCH_DAY

LATER_IN_FEEDS = frozenset({"amount", "of"})
LATER_IN_METRICS = frozenset({"origin", "first_day", "end_day", "every", "grace", "freezes", "edges", "used"})


def compile_catalog(catalog: model.Catalog, ledger: Ledger) -> tuple[CatalogProgram, Ledger]:
    """The program of a catalog and the ledger with its numbers in it."""
    numbering = Numbering(ledger)
    if catalog.repartition:
        numbering.mark(DERIVED_MARK)
    events = [_event(catalog, name, event, numbering) for name, event in all_events(catalog).items()]
    metrics = Metrics(catalog, numbering)
    achievements = Achievements(catalog, metrics, numbering).specs()
    challenges = _challenges(catalog, metrics, numbering)
    levels = _levels(catalog, numbering)
    numbering.extra(REPLAYS_SLOT, "bytes")
    numbering.extra(DEFERRED_SLOT, "bytes")
    program = CatalogProgram(
        catalog=catalog.catalog,
        version=catalog.version,
        sha256=catalog_hash(catalog),
        timezone=catalog.timezone,
        headline_streak=catalog.headline_streak,
        categories=[(category.key, category.title) for category in catalog.categories or ()],
        events=events,
        metrics=metrics.specs(),
        achievements=achievements,
        default_language=catalog.default_language,
        category_titles={each.key: each.translations for each in catalog.categories or () if each.translations},
        tiers=list(catalog.tiers),
        levels=levels,
        challenges=challenges,
        repartition=list(catalog.repartition),
    )
    return program, numbering.ledger()


class Numbering:
    """Gives numbers once: asks for a known identity return what was given before."""

    def __init__(self, ledger: Ledger) -> None:
        self._slots = list(ledger.slots)
        self._marks = dict(ledger.marks)
        self._windows = dict(ledger.windows)
        self._metrics = dict(ledger.metrics)
        self._awards = dict(ledger.awards)
        self._extras = dict(ledger.extras)

    def mark(self, topic: str) -> int:
        return self._given(self._marks, topic, ("mark",))

    def window(self, identity: str) -> int:
        return self._given(self._windows, identity, ("bytes",))

    def metric(self, identity: str, slots: Iterable[Default]) -> int:
        return self._given(self._metrics, identity, slots)

    def extra(self, identity: str, slot: Default) -> int:
        return self._given(self._extras, identity, (slot,))

    def may_keep(self, extra: str, metric: str) -> bool:
        """Whether all programs with this metric keep this beside it: one of before would leave it behind."""
        return extra in self._extras or metric not in self._metrics

    def award(self, identity: str) -> int:
        return self._awards.setdefault(identity, len(self._awards))

    def ledger(self) -> Ledger:
        return Ledger(
            slots=self._slots,
            marks=self._marks,
            windows=self._windows,
            metrics=self._metrics,
            awards=self._awards,
            extras=self._extras,
        )

    def _given(self, numbers: dict[str, int], identity: str, slots: Iterable[Default]) -> int:
        if identity not in numbers:
            numbers[identity] = HEAD_SLOTS + len(self._slots)
            self._slots.extend(slots)
        return numbers[identity]


COMPILED = ("when", "requires", "xp", "conditions", "on", "window", "translations")


def _event(catalog: model.Catalog, name: str, event: model.EventType, numbering: Numbering) -> EventSpec:
    numbering.mark(event.topic or DERIVED_MARK)
    home = event.topic or f"{DERIVED_MARK}/{catalog.catalog}"
    return EventSpec(
        type=name,
        topic=event.topic,
        schemaversion=event.schemaversion,
        fields=[FieldSpec(name=key, **field.model_dump()) for key, field in event.data.items()],
        derive=[DeriveSpec(**rule.model_dump()) for rule in event.derive],
        window=numbering.window(f"{home}/{name}"),
    )


class Metrics:
    """The metrics of a catalog: those an author wrote, then the hidden ones as they are asked for, then XP."""

    def __init__(self, catalog: model.Catalog, numbering: Numbering) -> None:
        self._catalog = catalog
        self._numbering = numbering
        self._topics = {name: event.topic for name, event in all_events(catalog).items()}
        self._written = {key: _metric(catalog, key, metric) for key, metric in catalog.metrics.items()}
        self._placed = {key: self._place(spec) for key, spec in self._written.items()}
        self._xp = _xp(catalog, numbering) if catalog.has_xp else None

    def specs(self) -> list[MetricSpec]:
        return [*self._placed.values(), *([self._xp] if self._xp else [])]

    def seen(self, key: str, window: model.Window | None) -> str:
        """The key of the metric that counts only what lies in the window; made when it is asked for first."""
        if window is None:
            return key
        hidden = f"{key}{HIDDEN_MARK}{_shown(window)}"
        if hidden not in self._placed:
            within = replace(self._written[key], key=hidden, origin=key, **window.model_dump())
            self._placed[hidden] = self._place(within)
        return hidden

    def _place(self, spec: MetricSpec) -> MetricSpec:
        identity = self._identity(spec)
        keeps_used = bool(spec.freezes) and self._numbering.may_keep(f"used/{identity}", identity)
        placed = replace(spec, slot=self._numbering.metric(identity, slots_of(spec)))
        if spec.kind != "streak":
            return placed
        used = self._numbering.extra(f"used/{identity}", "none") if keeps_used else None
        return replace(placed, edges=self._numbering.extra(f"edges/{identity}", "bytes"), used=used)

    def _identity(self, spec: MetricSpec) -> str:
        """Catalog, key and a hash of all that decides the value: the topics of its events and the zone among it."""
        topics = {feed.type: self._topics[feed.type] for feed in [*spec.feeds, *spec.freezes]}
        zone = self._catalog.timezone if spec.kind == "streak" or spec.origin else None
        meaning = msgspec.json.encode([_as_first_hashed(spec), topics, zone], order="deterministic")
        return f"{self._catalog.catalog}/{spec.key}#{hashlib.sha256(meaning).hexdigest()[:16]}"


def _metric(catalog: model.Catalog, key: str, metric: model.Metric) -> MetricSpec:
    return MetricSpec(
        key=key,
        kind=metric.kind,
        slot=0,
        feeds=[_feed(feed, 1) for feed in metric.plus] + [_feed(feed, -1) for feed in metric.minus],
        of=metric.of,
        by=list(metric.by),
        normalize=metric.normalize,
        bucket=metric.bucket,
        places=places_of(catalog, key),
        grace=metric.grace,
        freezes=[_feed(feed, 1) for feed in metric.freezes],
    )


def _xp(catalog: model.Catalog, numbering: Numbering) -> MetricSpec:
    """What gave XP is no part of its identity: what was given stays when the rules change."""
    feeds = [replace(_feed(feed, 1), amount=feed.amount, of=feed.of) for feed in catalog.xp]
    spec = MetricSpec(key=XP, kind="xp", slot=0, feeds=feeds)
    return replace(spec, slot=numbering.metric(f"{catalog.catalog}/{XP}", slots_of(spec)))


def _shown(window: model.Window) -> str:
    """`month`, or `2026-06-01..2026-09-01`."""
    return window.every or f"{_date(window.first_day)}..{_date(window.end_day)}"


def _date(day: int | None) -> str:
    return "" if day is None else date.fromordinal(day + EPOCH_DAY).isoformat()


def _as_first_hashed(spec: MetricSpec) -> dict[str, object]:
    """A metric as identities always told it: what the language learned later shows only where it is used."""
    said = msgspec.to_builtins(spec)
    said["feeds"] = [_unless_idle(feed, LATER_IN_FEEDS) for feed in said["feeds"]]
    return _unless_idle(said, LATER_IN_METRICS)


def _unless_idle(said: dict[str, object], later: frozenset[str]) -> dict[str, object]:
    return {name: value for name, value in said.items() if value or name not in later}


def _feed(feed: model.Feed, sign: int) -> Feed:
    return Feed(type=feed.type, sign=sign, where=[_test(test) for test in feed.where])


def _test(test: model.Test) -> Test:
    value = list(test.value) if isinstance(test.value, tuple) else test.value
    return Test(field=test.field, op=test.op, value=value)


class Achievements:
    """The achievements of a catalog, each with its number, its condition and what it requires."""

    def __init__(self, catalog: model.Catalog, metrics: Metrics, numbering: Numbering) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._numbering = numbering
        self._entries = all_achievements(catalog)
        self._lowest: dict[str, str] = {}
        for entry in self._entries:
            self._lowest.setdefault(entry.key, entry.reference)

    def specs(self) -> list[AchievementSpec]:
        return [self._spec(entry) for entry in self._entries]

    def _spec(self, entry: model.Achievement) -> AchievementSpec:
        requires = self._required(entry)
        compound = bool(requires) or not isinstance(entry.when, model.AtLeast)
        said = entry.model_dump(exclude=set(COMPILED))
        return AchievementSpec(
            **said,
            number=self._numbering.award(self._identity(entry)),
            when=self._condition(entry.when, entry.window, compound),
            requires=requires,
            xp=given_xp(self._catalog, entry),
            conditions={
                name: self._comparison(each, entry.window, compound) for name, each in entry.conditions.items()
            },
            on=[_feed(feed, 1) for feed in entry.on],
            window=WindowSpec(**entry.window.model_dump()) if entry.window else None,
            scopes=self._scopes(entry),
            translations=_translations(entry.translations),
        )

    def _identity(self, entry: model.Achievement) -> str:
        return f"{self._catalog.catalog}/{entry.reference}"

    def _required(self, entry: model.Achievement) -> list[str]:
        """References; of an achievement with tiers its lowest, of a set all that it takes now."""
        if entry.all_of is not None:
            return members_of(self._entries, entry)
        return [self._lowest.get(name, name) for name in entry.requires]

    def _scopes(self, entry: model.Achievement) -> int | None:
        if not is_given_often(entry):
            return None
        return self._numbering.extra(f"scopes/{self._identity(entry)}", "bytes")

    def _condition(self, condition: model.Condition, window: model.Window | None, compound: bool) -> Condition:
        """A condition; in a compound every comparison has a number under which its crossing is remembered."""
        if isinstance(condition, model.AtLeast):
            return self._comparison(condition, window, compound)
        parts = [self._condition(part, window, True) for part in condition.of]
        return All(of=parts) if isinstance(condition, model.All) else Any(of=parts)

    def _comparison(self, said: model.AtLeast, window: model.Window | None, remembered: bool) -> AtLeast:
        metric = self._metrics.seen(said.metric, window)
        identity = f"{self._catalog.catalog}/{metric}>={said.at}"
        number = self._numbering.award(identity) if remembered else None
        return AtLeast(metric=metric, at=said.at, number=number, level=said.level)


def _translations(said: Mapping[str, model.Texts]) -> dict[str, Texts]:
    return {language: Texts(**texts.model_dump()) for language, texts in said.items()}


def _levels(catalog: model.Catalog, numbering: Numbering) -> LevelsSpec | None:
    levels = catalog.levels
    if levels is None:
        return None
    return LevelsSpec(
        of=levels.of,
        starts=level_starts(levels, places_of(catalog, levels.of)),
        slot=numbering.extra(f"level/{catalog.catalog}", "zero"),
        name=levels.name,
        description=levels.description,
        message=levels.message,
        translations=_translations(levels.translations),
    )


def _challenges(catalog: model.Catalog, metrics: Metrics, numbering: Numbering) -> ChallengesSpec | None:
    challenges = catalog.challenges
    if challenges is None:
        return None
    numbering.mark(COMMANDS_MARK)
    numbering.window(CLAIMS_WINDOW)
    return ChallengesSpec(
        per_day=challenges.per_day,
        slot=numbering.extra(f"claims/{catalog.catalog}", "bytes"),
        offered=[_challenge(catalog, each, metrics, numbering) for each in challenges.offered],
    )


def _challenge(
    catalog: model.Catalog, challenge: model.Challenge, metrics: Metrics, numbering: Numbering
) -> ChallengeSpec:
    counted = metrics.seen(challenge.when.metric, model.Window(every=challenge.every))
    said = challenge.model_dump(exclude={"when", "translations"})
    return ChallengeSpec(
        **said,
        number=numbering.award(f"{catalog.catalog}/@challenge/{challenge.key}"),
        when=AtLeast(metric=counted, at=challenge.when.at),
        translations=_translations(challenge.translations),
    )
