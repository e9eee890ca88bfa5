"""What a catalog asks for, in words: one place for whoever explains it to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta

from progress.rows import EPOCH
from schemas.catalog import plain_number
from schemas.program import (
    WHOLE_CATALOG,
    AchievementSpec,
    All,
    AtLeast,
    CatalogProgram,
    Condition,
    Feed,
    MetricSpec,
    Test,
    WindowSpec,
)

PREPOSITIONS = {"to", "by", "from"}
COMPARED = {
    "eq": "is",
    "gte": "is at least",
    "gt": "is above",
    "lte": "is at most",
    "lt": "is below",
    "in": "is one of",
    "not": "is not",
}


class Wording:
    """The words for one catalog. Thresholds are told in the unit in which its author writes them."""

    def __init__(self, program: CatalogProgram) -> None:
        self._program = program
        self._metrics = {metric.key: metric for metric in program.metrics}
        self._fields = {event.type: {each.name: each for each in event.fields} for event in program.events}
        self._names = {entry.reference: name_told(entry) for entry in program.achievements}

    def achievement(self, entry: AchievementSpec) -> str:
        """All that somebody must do for it: `song released 10 times, between 2026-06-01 and 2026-08-31`."""
        if entry.on:
            scope = f", once for each {thing(entry.scope)}" if entry.scope else ""
            return self._events(entry.on) + scope
        if entry.all_of is not None:
            return self._set(entry.all_of)
        required = [f"having {self._names.get(name, name)}" for name in entry.requires]
        asked = self._part(entry.when) if required else self.condition(entry.when)
        return " and ".join([asked, *required]) + window_told(entry.window)

    def _set(self, of: str) -> str:
        title = dict(self._program.categories).get(of, spoken(of))
        return "every achievement" if of == WHOLE_CATALOG else f"every achievement in {title}"

    def condition(self, condition: Condition) -> str:
        if isinstance(condition, AtLeast):
            return self._comparison(condition)
        word = " and " if isinstance(condition, All) else " or "
        return word.join(map(self._part, condition.of))

    def _part(self, condition: Condition) -> str:
        """A part of something larger: alternatives stand in brackets."""
        told = self.condition(condition)
        is_choice = not isinstance(condition, AtLeast | All) and len(condition.of) > 1
        return f"({told})" if is_choice else told

    def _comparison(self, condition: AtLeast) -> str:
        if condition.level is not None:
            return f"level {condition.level}"
        metric = self._metrics[condition.metric]
        return self._reached(metric, plain_number(condition.at, metric.places))

    def gift(self, feed: Feed) -> str:
        """What an event gives XP for, and how much."""
        amount = spoken(feed.of) if feed.of else feed.amount
        return f"{amount} XP for {self._event(feed)}"

    def metric(self, key: str) -> str:
        """What a metric is a measure of, and what takes it back."""
        metric = self._metrics[key]
        undone = self._events(feed for feed in metric.feeds if feed.sign < 0)
        told = MEASURES[metric.kind].format(
            events=self._events(feed for feed in metric.feeds if feed.sign > 0),
            of=spoken(metric.of),
            by=things(metric),
        )
        return told + (f", less {undone}" if undone else "") + self._bridges(metric)

    def _reached(self, metric: MetricSpec, at: str) -> str:
        events = self._events(feed for feed in metric.feeds if feed.sign > 0)
        return TELLERS[metric.kind](metric, events, at) + self._bridges(metric)

    def _bridges(self, metric: MetricSpec) -> str:
        days = "1 missed day" if metric.grace == 1 else f"{metric.grace} missed days"
        grace = f", {days} in a row allowed" if metric.grace else ""
        freezes = self._events(metric.freezes)
        return grace + (f", each {freezes} making up for a missed day" if freezes else "")

    def _events(self, feeds: Iterable[Feed]) -> str:
        return " / ".join(map(self._event, feeds))

    def _event(self, feed: Feed) -> str:
        tests = " and ".join(self._test(feed.type, test) for test in feed.where)
        return spoken(feed.type) + (f" ({tests})" if tests else "")

    def _test(self, event_type: str, test: Test) -> str:
        field = self._fields[event_type].get(test.field)
        places = field.places if field else 0
        values = test.value if isinstance(test.value, list) else [test.value]
        told = ", ".join(value_told(value, places) for value in values)
        return f"{spoken(test.field)} {COMPARED[test.op]} {'the user' if test.op == 'not' else told}"


def _count_told(metric: MetricSpec, events: str, at: str) -> str:
    return f"{events} once" if at == "1" else f"{events} {at} times"


def _distinct_told(metric: MetricSpec, events: str, at: str) -> str:
    return f"{events} once" if at == "1" else f"{events}, {at} different {things(metric)}"


def things(metric: MetricSpec) -> str:
    """What a metric counts different ones of."""
    told = " and ".join(plural(thing(field)) for field in metric.by)
    return told + (f" in steps of {metric.bucket}" if metric.bucket else "")


def thing(field: str) -> str:
    """What a field is the id of: `exercise_id` names an exercise, `to_id` a person."""
    name = spoken(field).removesuffix(" id")
    return "person" if name in PREPOSITIONS else name


def _streak_told(metric: MetricSpec, events: str, at: str) -> str:
    return f"{events} on 1 day" if at == "1" else f"{events} on {at} days in a row"


TELLERS: dict[str, Callable[[MetricSpec, str, str], str]] = {
    "count": _count_told,
    "sum": lambda metric, events, at: f"{spoken(metric.of)} of {events} adding up to {at}",
    "max": lambda metric, events, at: f"{spoken(metric.of)} of {at} or more in one {events}",
    "latest": lambda metric, events, at: f"{spoken(metric.of)} at {at} or more, as {events} said last",
    "distinct": _distinct_told,
    "streak": _streak_told,
    "xp": lambda metric, events, at: f"{at} XP",
}


MEASURES = {
    "count": "how often {events}",
    "sum": "{of} of {events}, added up",
    "max": "the greatest {of} of one {events}",
    "latest": "{of}, as {events} said last",
    "distinct": "how many different {by}, of {events}",
    "streak": "days in a row with {events}",
    "xp": "XP",
}


def window_told(window: WindowSpec | None) -> str:
    if window is None:
        return ""
    if window.every is not None:
        return f", within one {window.every}, again every {window.every}"
    first = None if window.first_day is None else day_told(window.first_day)
    last = None if window.end_day is None else day_told(window.end_day - 1)
    if first and last:
        return f", between {first} and {last}"
    return f", from {first} on" if first else f", until {last}"


def day_told(number: int) -> date:
    return EPOCH + timedelta(number)


def value_told(value: str | int | bool, places: int) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return plain_number(value, places) if isinstance(value, int) else value


def name_told(entry: AchievementSpec) -> str:
    return f"{entry.name} ({entry.tier})" if entry.tier else entry.name


def plural(words: str) -> str:
    if words == "person":
        return "people"
    if words.endswith("y") and words[-2:-1] not in "aeiou":
        return words[:-1] + "ies"
    return words if words.endswith("s") else words + "s"


def spoken(name: str | None) -> str:
    """A key as people read it: `song_released` is `song released`."""
    return (name or "").replace("_", " ").replace(".", " ")
