"""What is missing for an achievement, and which events would bring it nearer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from progress.conditions import ConditionStatus
from progress.standing import Number, Standing
from schemas.catalog import plain_number
from schemas.outcomes import CHALLENGE_COMPLETED, UNLOCKED
from schemas.program import AchievementSpec, Feed, FieldSpec, MetricSpec, Test

SIGNS = {"eq": "=", "gte": ">=", "gt": ">", "lte": "<=", "lt": "<", "in": "in", "not": "is not"}


class Counting(msgspec.Struct, frozen=True, kw_only=True):
    """An event that would count. Shapes: `where` is in words; nobody publishes it where `topic` is None."""

    type: str
    topic: str | None
    where: list[str]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What is not there yet. Shapes: `missing` is target less value; `counts` the events that bring it nearer."""

    name: str
    metric: str | None
    value: Number | None
    target: Number | None
    missing: Number | None
    achievement: str | None
    tier: str | None
    counts: list[Counting]


def missing_of(
    standing: Standing, tiers: list[AchievementSpec], conditions: list[ConditionStatus], scope: str | None = None
) -> list[Missing]:
    """Every unmet leaf of the conditions of the next tier; of an award straight from an event, that event."""
    aim = next((entry for entry in tiers if not standing.holds(entry)), None)
    if aim is None:
        return []
    if aim.on:
        about = [f"data.{aim.scope} = {scope}"] if scope and aim.scope else []
        return [_missing_event(aim, [counting(standing, feed, about) for feed in aim.on])]
    return [_missing_leaf(standing, leaf) for leaf in unmet_leaves(conditions)]


def unmet_leaves(statuses: Iterable[ConditionStatus]) -> Iterator[ConditionStatus]:
    """Of an `any` that is met no branch is missing, whatever its other branches lack."""
    for status in statuses:
        if status.met:
            continue
        if status.parts:
            yield from unmet_leaves(status.parts)
        else:
            yield status


def _missing_event(aim: AchievementSpec, counts: list[Counting]) -> Missing:
    return Missing(
        name=aim.key,
        metric=None,
        value=None,
        target=None,
        missing=None,
        achievement=None,
        tier=None,
        counts=counts,
    )


def _missing_leaf(standing: Standing, leaf: ConditionStatus) -> Missing:
    metric = standing.metrics.get(leaf.metric or "")
    gap = None if leaf.value is None or leaf.target is None else leaf.target - leaf.value
    return Missing(
        name=leaf.name,
        metric=leaf.metric,
        value=leaf.value,
        target=leaf.target,
        missing=gap,
        achievement=leaf.achievement,
        tier=leaf.tier,
        counts=list(_counting_events(standing, metric)) if metric else [],
    )


def _counting_events(standing: Standing, metric: MetricSpec) -> Iterator[Counting]:
    for feed in metric.feeds:
        if feed.sign > 0:
            yield counting(standing, feed)
    if metric.kind == "xp":
        yield from _other_xp(standing)


def _other_xp(standing: Standing) -> Iterator[Counting]:
    """XP comes from awards and challenges too, which no event of a publisher stands for."""
    if any(entry.xp for entry in standing.program.achievements):
        yield Counting(type=UNLOCKED, topic=None, where=[])
    if standing.program.challenges:
        yield Counting(type=CHALLENGE_COMPLETED, topic=None, where=[])


def counting(standing: Standing, feed: Feed, about: Iterable[str] = ()) -> Counting:
    event = standing.events[feed.type]
    fields = {field.name: field for field in event.fields}
    where = [test_told(test, fields.get(test.field)) for test in feed.where]
    return Counting(type=feed.type, topic=event.topic, where=[*where, *about])


def test_told(test: Test, field: FieldSpec | None) -> str:
    """`data.percent >= 90`; a decimal in the field's own unit."""
    places = field.places if field else 0
    values = test.value if isinstance(test.value, list) else [test.value]
    told = ", ".join(_value_told(value, places) for value in values)
    return f"data.{test.field} {SIGNS[test.op]} " + (f"[{told}]" if isinstance(test.value, list) else told)


def _value_told(value: object, places: int) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return plain_number(value, places) if isinstance(value, int) else str(value)
