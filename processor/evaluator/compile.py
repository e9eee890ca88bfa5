"""A catalog becomes a program: plain data in which every metric has its slots and every award its number.

The ledger goes in and comes out grown. What means the same keeps its number; a metric whose meaning changed
gets fresh slots, so that old counts never pass for new ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from schemas.catalog import model
from schemas.program import (
    DERIVED_MARK,
    AchievementSpec,
    All,
    Any,
    AtLeast,
    CatalogProgram,
    Condition,
    Default,
    DeriveSpec,
    EventSpec,
    Feed,
    FieldSpec,
    Ledger,
    MetricSpec,
    Test,
)
from schemas.state import HEAD_SLOTS, slots_of

LATER_IN_FEEDS = frozenset({"amount", "of"})
LATER_IN_METRICS = frozenset({"origin", "first_day", "end_day", "every", "grace", "freezes", "edges"})


def compile_catalog(catalog: model.Catalog, ledger: Ledger) -> tuple[CatalogProgram, Ledger]:
    """The program of a catalog and the ledger with its numbers in it."""
    numbering = Numbering(ledger)
    events = [_event(catalog, name, event, numbering) for name, event in model.all_events(catalog).items()]
    metrics = [_metric(catalog, key, metric, numbering) for key, metric in catalog.metrics.items()]
    achievements = [_achievement(catalog, entry, numbering) for entry in model.all_achievements(catalog)]
    program = CatalogProgram(
        catalog=catalog.catalog,
        version=catalog.version,
        sha256=model.catalog_hash(catalog),
        timezone=catalog.timezone,
        headline_streak=catalog.headline_streak,
        categories=[(category.key, category.title) for category in catalog.categories or ()],
        events=events,
        metrics=metrics,
        achievements=achievements,
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

    def mark(self, topic: str) -> int:
        return self._given(self._marks, topic, ("mark",))

    def window(self, identity: str) -> int:
        return self._given(self._windows, identity, ("bytes",))

    def metric(self, identity: str, slots: Iterable[Default]) -> int:
        return self._given(self._metrics, identity, slots)

    def award(self, identity: str) -> int:
        return self._awards.setdefault(identity, len(self._awards))

    def ledger(self) -> Ledger:
        return Ledger(
            slots=self._slots,
            marks=self._marks,
            windows=self._windows,
            metrics=self._metrics,
            awards=self._awards,
        )

    def _given(self, numbers: dict[str, int], identity: str, slots: Iterable[Default]) -> int:
        if identity not in numbers:
            numbers[identity] = HEAD_SLOTS + len(self._slots)
            self._slots.extend(slots)
        return numbers[identity]


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


def _metric(catalog: model.Catalog, key: str, metric: model.Metric, numbering: Numbering) -> MetricSpec:
    spec = MetricSpec(
        key=key,
        kind=metric.kind,
        slot=0,
        feeds=[_feed(feed, 1) for feed in metric.plus] + [_feed(feed, -1) for feed in metric.minus],
        of=metric.of,
        by=list(metric.by),
        normalize=metric.normalize,
        bucket=metric.bucket,
        places=model.places_of(catalog, key),
    )
    return msgspec.structs.replace(spec, slot=numbering.metric(_identity(catalog, spec), slots_of(spec)))


def _identity(catalog: model.Catalog, spec: MetricSpec) -> str:
    """Catalog, key and a hash of all that decides the value: the topics of its events and the zone among it."""
    topics = {feed.type: model.all_events(catalog)[feed.type].topic for feed in spec.feeds}
    zone = catalog.timezone if spec.kind == "streak" else None
    meaning = msgspec.json.encode([_as_first_hashed(spec), topics, zone], order="deterministic")
    return f"{catalog.catalog}/{spec.key}#{hashlib.sha256(meaning).hexdigest()[:16]}"


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


def _achievement(catalog: model.Catalog, entry: model.Achievement, numbering: Numbering) -> AchievementSpec:
    said = entry.model_dump(exclude={"when", "requires"})
    compound = bool(entry.requires) or not isinstance(entry.when, model.AtLeast)
    return AchievementSpec(
        **said,
        number=numbering.award(f"{catalog.catalog}/{entry.key}"),
        when=_condition(catalog, entry.when, compound, numbering),
        requires=list(entry.requires),
    )


def _condition(
    catalog: model.Catalog, condition: model.Condition, compound: bool, numbering: Numbering
) -> Condition:
    """A condition; in a compound every comparison has a number under which its crossing is remembered."""
    if isinstance(condition, model.AtLeast):
        number = numbering.award(_comparison(catalog, condition)) if compound else None
        return AtLeast(metric=condition.metric, at=condition.at, number=number)
    parts = [_condition(catalog, part, True, numbering) for part in condition.of]
    return All(of=parts) if isinstance(condition, model.All) else Any(of=parts)


def _comparison(catalog: model.Catalog, condition: model.AtLeast) -> str:
    return f"{catalog.catalog}/{condition.metric}>={condition.at}"
