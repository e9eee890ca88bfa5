"""What folding the log anew cannot tell of what is shown, and why.

What is shown came of every version that ran, one after the other; the log folded anew comes of the present one
alone. The two are the same for what never changed, and for what a replay has filled. All else is named here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from schemas.program import (
    XP,
    AchievementSpec,
    CatalogProgram,
    CatalogRecord,
    Condition,
    MetricSpec,
    comparisons,
    has_choice,
)
from schemas.replays import Dates, Named
from schemas.topics import Names

REPLAYED = "a replay gave it while events came, and one of these may stand for an earlier one"
APPROXIMATE = "a replay with --dates approximate gave it"
SEVERAL_TOPICS = "its events come from several topics, which have no order among each other"


class Replayed(NamedTuple):
    """A replay that is done: what it filled and what it gave, with which dates."""

    catalog: str
    version: int
    metrics: Collection[str]
    achievements: Collection[str]
    dates: Dates = "exact"


class Past(NamedTuple):
    """What there is to know of before.

    Shapes: records, every version that has counted something, oldest first; unfinished, what a replay fills or
    mutes just now, or did when it was cancelled; truncated, the source topics that have lost their beginning ->
    what is left.
    """

    records: Sequence[CatalogRecord]
    replays: Sequence[Replayed] = ()
    unfinished: Collection[Named] = ()
    truncated: Mapping[str, str] = {}


class Exempt(NamedTuple):
    """Of one catalog what is not compared, and why.

    Shapes: metrics and achievements (by reference) -> why; undated, achievements compared without their dates;
    since, the version whose rule an achievement has (awards of an earlier one were kept); due, those left out only
    because nobody has replayed their rule.
    """

    metrics: dict[str, str]
    achievements: dict[str, str]
    undated: dict[str, str]
    since: dict[str, int]
    due: frozenset[str]


def exempt(program: CatalogProgram, past: Past, names: Names) -> Exempt:
    """For the version that runs."""
    return Exemption(program, past, names).told()


class Rule(NamedTuple):
    """All that decides whether an achievement is earned. Shapes: slots, of the metrics that it waits for."""

    own: tuple[object, ...]
    slots: dict[str, int]


class Exemption:
    """Of one catalog: what began too late, then what hangs on that, then what has no certain date."""

    def __init__(self, program: CatalogProgram, past: Past, names: Names) -> None:
        self._program, self._past = program, past
        self._versions = [
            record
            for record in past.records
            if record.catalog == program.catalog and record.version <= program.version
        ]
        self._first = self._versions[0].version
        self._topics = _Topics(program, names)
        self._before = {record.version: _earlier_topics(past.records, record, names) for record in self._versions}
        self._approximate = {
            reference
            for each in past.replays
            if (each.catalog, each.dates) == (program.catalog, "approximate")
            for reference in each.achievements
        }
        self.metrics: dict[str, str] = {}
        self.achievements: dict[str, str] = {}

    def told(self) -> Exempt:
        since = {entry.reference: self._changed_in(entry) for entry in self._program.achievements}
        self.metrics |= dict(self._metrics())
        self.achievements |= dict(self._own(since))
        due = frozenset(self._due(since))
        while fresh := self._hanging() | self._xp_hanging():
            self.achievements |= fresh
        undated = dict(self._undated(since))
        return Exempt(self.metrics, self.achievements, undated, since, due)

    def _undated(self, since: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        for entry in self._program.achievements:
            if entry.reference not in self.achievements:
                why = self._why_undated(entry, since)
                if why:
                    yield entry.reference, why

    def _why_undated(self, entry: AchievementSpec, since: Mapping[str, int]) -> str | None:
        if len(self._topics.of_entry(entry)) > 1:
            return SEVERAL_TOPICS
        if any(each.reference in self._approximate for each in self._topics.entries_of(entry)):
            return APPROXIMATE
        return REPLAYED if self._is_loosely_dated(entry, since) else None

    def _is_loosely_dated(self, entry: AchievementSpec, since: Mapping[str, int]) -> bool:
        """Between the decision of a replay and its facts live does not know what was crossed before."""
        replayed = [each for each in self._topics.entries_of(entry) if since[each.reference] > self._first]
        if not replayed:
            return False
        metrics = self._topics.metrics_of(entry)
        has_ways = any(each.on or has_choice(each.when) for each in replayed)
        return has_ways or not all(metric.only_grows for metric in metrics)

    # --- metrics ---

    def _metrics(self) -> Iterable[tuple[str, str]]:
        for metric in self._program.metrics:
            why = self._why_metric(metric)
            if why:
                yield metric.key, why

    def _why_metric(self, metric: MetricSpec) -> str | None:
        topics = self._topics.of_feeds(metric)
        if metric.kind == "xp" and (changed := self._xp_changed_in()):
            return f"its rules changed with version {changed}, and what was given before stays"
        return self._unfinished(metric.key) or self._truncated(topics) or self._began_late(metric, topics)

    def _unfinished(self, name: str) -> str | None:
        if (self._program.catalog, name) in self._past.unfinished:
            return "a replay of it has not ended, or was cancelled"
        return None

    def _truncated(self, topics: Collection[str]) -> str | None:
        return next(
            (self._past.truncated[topic] for topic in sorted(topics) if topic in self._past.truncated), None
        )

    def _began_late(self, metric: MetricSpec, topics: Collection[str]) -> str | None:
        """A metric counts from the version on that had it first, unless nobody had read its topics before."""
        began = next(each for each in self._versions if _has(each.program, metric)).version
        if not self._before[began] & set(topics):
            return None
        replayed = (each.version >= began and metric.key in each.metrics for each in self._replays())
        return None if any(replayed) else f"it counts only what came since version {began}"

    def _xp_changed_in(self) -> int | None:
        changed = [
            now.version for was, now in pairwise(self._versions) if _gives_other_xp(was.program, now.program)
        ]
        return changed[-1] if changed else None

    def _xp_hanging(self) -> dict[str, str]:
        """XP hangs on awards as well; what hangs on it then follows in the next round."""
        giving = [entry.reference for entry in self._program.achievements if entry.xp]
        left_out = next((each for each in giving if each in self.achievements), None)
        if left_out is None or XP in self.metrics:
            return {}
        self.metrics[XP] = f"'{left_out}' gives some, which is left out"
        return self._hanging()

    # --- achievements ---

    def _changed_in(self, entry: AchievementSpec) -> int:
        """The version whose rule it has now."""
        rules = [(each.version, _rule(each.program, entry.reference)) for each in self._versions]
        return _last_change(rules) or self._first

    def _own(self, since: Mapping[str, int]) -> Iterable[tuple[str, str]]:
        for entry in self._program.achievements:
            why = self._why_entry(entry, since[entry.reference])
            if why:
                yield entry.reference, why

    def _why_entry(self, entry: AchievementSpec, since: int) -> str | None:
        if not entry.is_active:
            return "it is not active"
        topics = {topic for feed in entry.on for topic in self._topics.of_type(feed.type)}
        muted = self._unfinished(entry.reference) or self._truncated(topics)
        return muted or self._not_replayed(entry, since, topics) or self._unordered(entry)

    def _not_replayed(self, entry: AchievementSpec, since: int, topics: Collection[str]) -> str | None:
        if since == self._first and not self._before[since] & set(topics):
            return None
        if any(each.version >= since and entry.reference in each.achievements for each in self._replays()):
            return None
        return f"{self._what_is_new(entry, since)} of version {since}, and nobody has replayed it"

    def _what_is_new(self, entry: AchievementSpec, since: int) -> str:
        """Its own rule, or only what a metric counts that it waits for."""
        rules = [_rule(each.program, entry.reference) for each in self._versions if each.version <= since]
        was, now = rules[-2:] if len(rules) > 1 else (None, None)
        return "a metric that it waits for is" if was and now and was.own == now.own else "its rule is"

    def _due(self, since: Mapping[str, int]) -> Iterator[str]:
        """What it waits for is there from the beginning, and only its rule came later."""
        for entry in self._program.achievements:
            topics = {topic for feed in entry.on for topic in self._topics.of_type(feed.type)}
            late = self._not_replayed(entry, since[entry.reference], topics)
            if (
                late
                and self.achievements[entry.reference] == late
                and not metrics_in(entry.when) & self.metrics.keys()
            ):
                yield entry.reference

    def _unordered(self, entry: AchievementSpec) -> str | None:
        """What can also be lost depends on an order that several topics do not have."""
        if len(self._topics.of_entry(entry)) < 2:
            return None
        metrics = self._topics.metrics_of(entry)
        sinks = entry.revocable != "no" or any(each.undoable or each.kind == "latest" for each in metrics)
        return SEVERAL_TOPICS if sinks else None

    def _hanging(self) -> dict[str, str]:
        hanging = {
            entry.reference: self._hangs_on(entry)
            for entry in self._program.achievements
            if entry.reference not in self.achievements
        }
        return {name: f"it hangs on '{on}', which is left out" for name, on in hanging.items() if on}

    def _hangs_on(self, entry: AchievementSpec) -> str | None:
        metrics = (key for key in sorted(metrics_in(entry.when)) if key in self.metrics)
        required = (each for each in entry.requires if each in self.achievements)
        return next(metrics, None) or next(required, None)

    def _replays(self) -> Iterable[Replayed]:
        catalog, version = self._program.catalog, self._program.version
        return (each for each in self._past.replays if each.catalog == catalog and each.version <= version)


class _Topics:
    """Which source topics decide what."""

    def __init__(self, program: CatalogProgram, names: Names) -> None:
        self._program, self._names = program, names
        self._metrics = {metric.key: metric for metric in program.metrics}
        self._entries = {entry.reference: entry for entry in program.achievements}

    def of_type(self, event_type: str) -> set[str]:
        return {topic_of(event.topic, self._names) for event in self._program.events if event.type == event_type}

    def of_feeds(self, metric: MetricSpec) -> set[str]:
        topics = {topic for feed in [*metric.feeds, *metric.freezes] for topic in self.of_type(feed.type)}
        return topics | self._of_challenges() if metric.kind == "xp" else topics

    def of_entry(self, entry: AchievementSpec) -> set[str]:
        feeds = (feed for each in self.entries_of(entry) for feed in each.on)
        topics = {topic for feed in feeds for topic in self.of_type(feed.type)}
        return topics.union(*map(self.of_feeds, self.metrics_of(entry)))

    def metrics_of(self, entry: AchievementSpec) -> list[MetricSpec]:
        """All that it waits for, also through what it requires and through what gives XP."""
        keys = {key for each in self.entries_of(entry) for key in metrics_in(each.when)}
        return [self._metrics[key] for key in sorted(keys)]

    def entries_of(self, entry: AchievementSpec) -> list[AchievementSpec]:
        """It, all that it requires, and what gives XP where it waits for that."""
        found = {entry.reference: entry}
        waiting = [entry]
        while waiting:
            each = waiting.pop()
            more = [self._entries[name] for name in each.requires]
            if XP in metrics_in(each.when):
                more += [giving for giving in self._entries.values() if giving.xp]
            waiting += [fresh for fresh in more if fresh.reference not in found]
            found |= {fresh.reference: fresh for fresh in more}
        return [*found.values()]

    def _of_challenges(self) -> set[str]:
        return {self._names.commands} if self._program.challenges else set()


def topic_of(topic: str | None, names: Names) -> str:
    return names.derived if topic is None else topic


def metrics_in(condition: Condition) -> set[str]:
    return {each.metric for each in comparisons(condition)}


def _earlier_topics(records: Sequence[CatalogRecord], record: CatalogRecord, names: Names) -> set[str]:
    """What was read already when this version came."""
    before = records[: records.index(record)]
    return {topic_of(event.topic, names) for each in before for event in each.program.events}


def _has(program: CatalogProgram, metric: MetricSpec) -> bool:
    """Equal slots are equal meanings."""
    return any((each.key, each.slot) == (metric.key, metric.slot) for each in program.metrics)


def _rule(program: CatalogProgram, reference: str) -> Rule | None:
    """None where it is not there."""
    entry = next((each for each in program.achievements if each.reference == reference), None)
    if entry is None:
        return None
    metrics = metrics_in(entry.when)
    return Rule(entry.rule, {metric.key: metric.slot for metric in program.metrics if metric.key in metrics})


def _gives_other_xp(was: CatalogProgram, now: CatalogProgram) -> bool:
    """Whether what gave XP gives another amount, or none; what is new can be replayed."""
    feeds = [[metric.feeds for metric in each.metrics if metric.kind == "xp"] for each in (was, now)]
    before, after = _xp_by_name(was), _xp_by_name(now)
    return feeds[0] != feeds[1] or any(after.get(name) != xp for name, xp in before.items())


def _xp_by_name(program: CatalogProgram) -> dict[tuple[str, str], int]:
    awards = {
        ("award", entry.reference): entry.xp for entry in program.achievements if entry.is_active and entry.xp
    }
    offered = program.challenges.offered if program.challenges else []
    return awards | {("challenge", each.key): each.xp for each in offered}


def _last_change(rules: Sequence[tuple[int, Rule | None]]) -> int | None:
    """The last version whose rule is another than that of the version before; None when none is."""
    changed = [version for (_, was), (version, now) in pairwise(rules) if was != now]
    return changed[-1] if changed else None
