"""The evaluator against the reference: random catalogs, random logs, cut and restored anywhere, one answer.

The log goes to the evaluator as records of its topics, in chunks, with states going through their wire form in
between; the reference reads the same events in one go. What they share is the text of the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random
from typing import Any

from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from bench.reference import Award, Result, fold
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from schemas.catalog import RefusedCatalog, read_catalog
from schemas.outcomes import decode_outcome
from schemas.program import Ledger, Program
from schemas.records import PlainRecord
from schemas.state import DISTINCT_MAX, STREAK_RUNS_MAX, decode_state, fresh_state, metric_values
from tests.unit.sample import TRACKFLOW, result, sample

Said = dict[str, Any]

ONE, TWO, DERIVED = "t.one", "t.two", "x.derived"
APPENDED_MS = 1_780_000_000_000
START = datetime(2025, 10, 20, tzinfo=UTC)  # clocks change within the days that follow
DAYS = 16

FIELDS: dict[str, dict[str, str]] = {
    "alpha": {"text": "string?", "number": "integer?", "flag": "boolean?", "price": "decimal(2)?"},
    "beta": {"text": "string?", "number": "integer?", "flag": "boolean?", "price": "decimal(2)?"},
    "gamma": {"text": "string?", "number": "integer?"},
    "invite": {"text": "string?", "friend": "string?", "price": "decimal(2)?"},
    "invited": {"text": "string?", "by": "string", "price": "decimal(2)?"},
}
TOPICS = {"alpha": ONE, "beta": ONE, "gamma": TWO, "invite": ONE}
DERIVE = {
    "type": "invited",
    "subject": "data.friend",
    "data": {"text": "data.text", "by": "subject", "price": "data.price"},
}

VALUES: dict[str, list[Any]] = {
    "string": ["A", " a ", "Ä", "A\u0308", "ä", "a\u0308", "ß", "SS", "", "  ", "1", None],
    "integer": [-11, -10, -1, 0, 1, 2, 9, 10, 11, 2**53, None],
    "boolean": [True, False, None],
    "decimal": [0.5, 1, 1.25, "2.50", -1.5, None],
}
WITH_INTEGERS = ["alpha", "beta", "gamma"]
WITH_DECIMALS = ["alpha", "beta", "invite", "invited"]
USERS = ["ann", "bob", "zoë"]
ZONES = [None, "UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Europe/London", "Africa/Cairo"]


# --- catalogs ---


def kind_of(declared: str) -> str:
    return declared.removesuffix("?").partition("(")[0]


def common_fields(types: Sequence[str], *kinds: str) -> list[str]:
    """The fields that all these types declare, of these kinds."""
    shared = set.intersection(*(set(FIELDS[each]) for each in types))
    return sorted(name for name in shared if kind_of(FIELDS[types[0]][name]) in kinds)


@st.composite
def where_of(draw: st.DrawFn, fields: list[str], types: Sequence[str]) -> Said:
    """A `where` on one of these fields."""
    name = draw(st.sampled_from(fields))
    kind = kind_of(FIELDS[types[0]][name])
    values = st.sampled_from([value for value in VALUES[kind] if value is not None])
    if kind == "decimal":
        values = st.sampled_from([0.5, 1, 1.25, 2.5])
    plain = st.one_of(values, st.lists(values, min_size=1, max_size=3))
    ordered = st.dictionaries(st.sampled_from(["gte", "lt"]), st.sampled_from([0, 1]), min_size=1, max_size=1)
    return {f"data.{name}": draw(st.one_of(plain, ordered) if kind in ("integer", "decimal") else plain)}


@st.composite
def feeds(draw: st.DrawFn, types: Sequence[str]) -> Any:
    """A type, or several, some with a `where` of their own."""
    written: list[Any] = []
    for each in types:
        own = draw(where_of(common_fields([each], *VALUES), [each])) if not draw(st.integers(0, 3)) else None
        written.append({each: {"where": own}} if own else each)
    return written[0] if len(written) == 1 and draw(st.booleans()) else written


@st.composite
def metrics(draw: st.DrawFn, only_grows: bool) -> Said:
    """A metric of any kind; one that only grows is not undone and no gauge."""
    kind = draw(st.sampled_from(["count", "max", "distinct", "streak"] + ["sum", "latest"] * (not only_grows)))
    pools = [WITH_INTEGERS, WITH_DECIMALS, *([] if kind in ("sum", "max", "latest") else [sorted(FIELDS)])]
    types = draw(st.permutations(draw(st.sampled_from(pools))))
    plus = types[: draw(st.integers(1, 3))]
    can_undo = kind in ("count", "sum", "distinct") and not only_grows
    minus = types[len(plus) :][: draw(st.integers(0, 3))] if can_undo else []
    said: Said = {kind: draw(feeds(plus))} | ({"minus": draw(feeds(minus))} if minus else {})
    if not draw(st.integers(0, 2)):
        said["where"] = draw(where_of(common_fields(plus, *VALUES), plus))
    return said | draw(details(kind, [*plus, *minus]))


@st.composite
def details(draw: st.DrawFn, kind: str, types: Sequence[str]) -> Said:
    if kind == "streak":
        return {"every": "day"}
    if kind == "distinct":
        return draw(values_counted(types))
    if kind == "count":
        return {}
    numbers = common_fields(types, "integer", "decimal")
    return {"of": f"data.{draw(st.sampled_from(numbers))}"}


@st.composite
def values_counted(draw: st.DrawFn, types: Sequence[str]) -> Said:
    names = common_fields(types, *VALUES)
    likely = [[name] for name in ("text", "number") if name in names]  # what normalize and bucket work on
    by = draw(
        st.one_of(st.sampled_from(likely), st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
    )
    said: Said = {"by": [f"data.{name}" for name in by] if len(by) > 1 else f"data.{by[0]}"}
    if "text" in by and draw(st.booleans()):
        said["normalize"] = True
    if by == ["number"] and draw(st.booleans()):
        said["bucket"] = 10
    return said


@st.composite
def conditions(draw: st.DrawFn, metrics: Said, depth: int = 2) -> Any:
    """`metric >= n`, or a tree of them; a metric in decimals is asked for decimals, too."""
    if depth and draw(st.booleans()):
        parts = [draw(conditions(metrics, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
        return {draw(st.sampled_from(["all", "any"])): parts}
    key = draw(st.sampled_from(sorted(metrics)))
    decimals = [0.5, 1.25, 2.75] if metrics[key].get("of") == "data.price" else []
    return f"{key} >= {draw(st.sampled_from([1, 2, 3, 4, 6, *decimals]))}"


@st.composite
def achievements(draw: st.DrawFn, metrics: Said) -> list[Said]:
    entries: list[Said] = []
    for number in range(draw(st.integers(1, 6))):
        entry: Said = {
            "key": f"a{number}",
            "name": "A",
            "description": "What for",
            "when": draw(conditions(metrics)),
        }
        if entries and draw(st.booleans()):
            keys = [each["key"] for each in entries]
            entry["requires"] = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=2, unique=True))
        if draw(st.booleans()):
            entry["rarity"] = draw(st.sampled_from(["common", "rare", "legendary"]))
        entries.append(entry)
    return draw(st.permutations(entries))


def ladder(metric: str) -> Said:
    """Every metric has one, so that each crossing of each kind is held against the reference."""
    steps = [{"key": f"{metric}_{at}", "name": "L", "at": at} for at in (1, 2, 3, 5, 7)]
    return {"metric": metric, "description": "Reach {at}", "rarity": "uncommon", "steps": steps}


@st.composite
def catalogs(draw: st.DrawFn, name: str = "one", only_grows: bool = False) -> str:
    """The text of a catalog; JSON is YAML too."""
    events: Said = {each: {"topic": topic, "data": FIELDS[each]} for each, topic in TOPICS.items()}
    events["invite"] = events["invite"] | {"derive": [DERIVE | {"unless_self": draw(st.booleans())}]}
    count = draw(st.integers(1, 4))
    found = {f"m{number}": draw(metrics(only_grows)) for number in range(count)}
    said = {
        "catalog": name,
        "version": 1,
        "timezone": draw(st.sampled_from(ZONES[1:])),
        "events": events,
        "metrics": found,
    }
    said["achievements"] = draw(achievements(found))
    said["ladders"] = [ladder(key) for key in found]
    return json.dumps(said, ensure_ascii=False)


# --- logs ---


def random_log(seed: int, unique: bool = False) -> list[Said]:
    """A log more or less in the order of its times.

    Ids come again now and then, soon (within the window) or later, unless they are to be unique.
    """
    chance = Random(seed)
    length = chance.randint(1, LENGTH_MAX)
    step = chance.choice([600, 7_200, 40_000])
    late = chance.choice([1, 300_000, length * step])
    log: list[Said] = []
    for number in range(length):
        if number and not unique and chance.random() < 0.08:
            log.append(log[-chance.randint(1, min(number, 12))])
        else:
            at = START + timedelta(seconds=number * step - chance.choice([0, 0, chance.randrange(late)]))
            log.append(random_event(chance, at, str(number) if unique else str(chance.randrange(2 * length))))
    return log


def random_event(chance: Random, at: datetime, identity: str) -> Said:
    kind = chance.choice([*TOPICS, "alpha", "invite", "stranger"])
    fields = {name: kind_of(declared) for name, declared in FIELDS.get(kind, {}).items()}
    data = {
        name: chance.choice([*USERS, " "] if name == "friend" else VALUES[each]) for name, each in fields.items()
    }
    zone = chance.choice(ZONES)
    return {
        "specversion": "1.0",
        "id": identity,
        "source": chance.choice(["/web", "/web", "/app"]),
        "type": kind,
        "subject": chance.choice([USERS[0], *USERS]),
        "time": at.replace(microsecond=chance.choice([0, 1, 999_999])).isoformat(),
        **({"timezone": zone} if zone else {}),
        "data": {name: value for name, value in data.items() if value is not None or chance.random() < 0.5},
    }


LENGTH_MAX = 200
SEEDS = st.integers(0, 2**32)  # drawn first: what is drawn late varies little


# --- the evaluator as the processor drives it ---


@dataclass
class Changelog:
    """What a partition has written: its states, its outcomes, its derived events still to come."""

    states: dict[bytes, bytes | None] = field(default_factory=dict)
    awards: dict[Award, datetime] = field(default_factory=dict)
    derived: list[tuple[bytes, bytes]] = field(default_factory=list)


class Driver:
    """Feeds a log to an evaluator in chunks, and replaces it by another that reads its changelog."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.program = compiled(texts)
        self.evaluator = PartitionEvaluator(ReadyProgram(self.program), 0, 1)
        self.changelog = Changelog()
        self.counts = [0, 0, 0]
        self._offsets: dict[str, int] = {}

    def feed(self, topic: str, rows: Sequence[tuple[bytes, bytes]]) -> None:
        records = [self._record(topic, key, value) for key, value in rows]
        folded = self.evaluator.fold(topic, records)
        assert folded.refused == []
        assert folded.applied + folded.duplicate + folded.skipped == len(records)
        if topic != DERIVED:
            counts = folded.applied, folded.duplicate, folded.skipped
            self.counts = [before + more for before, more in zip(self.counts, counts, strict=True)]

    def cut(self) -> None:
        states, outcomes, derived = self.evaluator.cut()[:3]
        self.changelog.states.update(states)
        self.changelog.derived += derived
        for _, value in outcomes:
            said = decode_outcome(value)
            award = (said.subject, said.data.catalog, said.data.achievement, said.data.scope)
            assert award not in self.changelog.awards, "awarded twice"
            self.changelog.awards[award] = said.data.earned_at

    def derive(self) -> None:
        """Give the derived events that were committed to their users."""
        self.cut()
        rows, self.changelog.derived = self.changelog.derived, []
        if rows:
            self.feed(DERIVED, rows)

    def restart(self) -> None:
        self.cut()
        self.evaluator = PartitionEvaluator(ReadyProgram(self.program), 0, 1)
        self.evaluator.load(self.changelog.states.items())

    def metrics(self) -> dict[str, dict[str, dict[str, int | None]]]:
        fresh = fresh_state(self.program.ledger)
        rows = {user.decode(): row for user, row in self.changelog.states.items() if row is not None}
        return {user: metric_values(decode_state(row, fresh), self.program) for user, row in rows.items()}

    def _record(self, topic: str, key: bytes, value: bytes) -> PlainRecord:
        self._offsets[topic] = offset = self._offsets.get(topic, -1) + 1
        return PlainRecord(offset, APPENDED_MS, key, value)


def compiled(texts: Sequence[str]) -> Program:
    programs, ledger = [], Ledger()
    for text in texts:
        program, ledger = compile_catalog(read_catalog(text, "catalog"), ledger)
        programs.append(program)
    return Program(catalogs=programs, ledger=ledger, derived=DERIVED)


def topic_of(said: Said) -> str:
    return TOPICS.get(said["type"], ONE)


def row_of(said: Said) -> tuple[bytes, bytes]:
    return said["subject"].encode(), json.dumps(said, ensure_ascii=False).encode()


def driven(texts: Sequence[str], log: Sequence[Said], breaks: set[int], at_once: bool) -> Driver:
    """The log folded in chunks: one ends at every break, where states also go through their wire form.

    With `at_once` derived events follow right after their parent, as in the reference; else at the breaks.
    """
    driver = Driver(texts)
    for chunk in chunks(log, breaks, at_once):
        driver.feed(topic_of(log[chunk[0]]), [row_of(log[place]) for place in chunk])
        ends = chunk[-1] + 1 in breaks
        if at_once or ends:
            driver.derive()
        if ends:
            driver.restart()
    driver.derive()
    driver.cut()
    return driver


def chunks(log: Sequence[Said], breaks: set[int], at_once: bool) -> Iterator[list[int]]:
    """Stretches of one topic; those that derive stand alone where the others are to follow at once."""
    number = 0

    def stretch(place: int) -> tuple[int, str]:
        nonlocal number
        alone = at_once and "invite" in (log[place]["type"], log[place - 1]["type"])
        number += place in breaks or alone
        return number, topic_of(log[place])

    for _, places in groupby(range(len(log)), key=stretch):
        yield list(places)


def reference(texts: Sequence[str], log: Sequence[Said]) -> Result:
    return fold(json.loads(json.dumps(log)), texts)


def usable(texts: Sequence[str]) -> None:
    """Leave out what the catalog check refuses, such as tests that exclude each other."""
    try:
        compiled(texts)
    except RefusedCatalog as refused:
        event(f"refused: {refused.findings[0].what[:40]}")
        assume(False)


EXAMPLES = settings().max_examples  # of the profile: --hypothesis-profile says how long this may take
BREAKS = st.sets(st.integers(1, LENGTH_MAX), max_size=8)


def assert_equal(driver: Driver, expected: Result) -> None:
    assert driver.changelog.awards == expected.awards
    assert driver.metrics() == expected.metrics
    assert driver.counts == [expected.applied, expected.duplicates, expected.skipped]


@settings(max_examples=EXAMPLES // 2)
@given(SEEDS, catalogs(), BREAKS)
def test_awards_dates_metrics_and_counts_are_those_of_the_reference(seed: int, text: str, breaks: set[int]):
    usable([text])
    for log in (random_log(seed), random_log(seed + 1), random_log(seed + 2)):
        assert_equal(driven([text], log, breaks, at_once=True), reference([text], log))


@settings(max_examples=EXAMPLES // 4)
@given(SEEDS, catalogs("one"), catalogs("two"), BREAKS)
def test_two_catalogs_on_the_same_topics_do_not_meet(seed: int, one: str, two: str, breaks: set[int]):
    usable([one, two])
    log = random_log(seed)
    together = driven([one, two], log, breaks, at_once=True)
    assert_equal(together, reference([one, two], log))
    alone = {award: at for text in (one, two) for award, at in reference([text], log).awards.items()}
    assert together.changelog.awards == alone


@settings(max_examples=EXAMPLES // 4)
@given(SEEDS, catalogs(only_grows=True), BREAKS)
def test_what_only_grows_ends_alike_in_any_order(seed: int, text: str, breaks: set[int]):
    """Derived events arrive when they do: that alone moves no date of an award that does not hang on them."""
    usable([text])
    log = random_log(seed, unique=True)
    expected = reference([text], log)
    later = driven([text], log, breaks, at_once=False)
    dated = {award: at for award, at in expected.awards.items() if award not in expected.undated}
    assert dated.items() <= later.changelog.awards.items()
    shuffled = driven([text], Random(seed).sample(log, len(log)), breaks, at_once=False)
    for driver in (later, shuffled):
        assert driver.changelog.awards.keys() == expected.awards.keys()
        assert driver.metrics() == expected.metrics


BOUNDED = """
catalog: bounded
version: 1
events:
  alpha: {topic: t.one, data: {number: integer}}
  beta: {topic: t.one, data: {number: integer}}
metrics:
  values: {distinct: alpha, by: data.number}
  present: {distinct: alpha, by: data.number, minus: beta}
  days: {streak: [alpha, beta], every: day}
achievements:
  - {key: many, name: Many, description: Many, when: values >= %d}
  - {key: three, name: Three, description: Three, when: {all: [days >= 3, present >= 2]}}
"""


def test_both_stop_at_the_same_bounds():
    """More values than a distinct takes in, more isolated days than a streak has runs; then some go, some join."""
    distinct = [("alpha", number, 2 * number) for number in range(DISTINCT_MAX + 20)]
    gone = [("beta", number, 1) for number in range(5, 15)]
    again = [("alpha", number, 3) for number in range(DISTINCT_MAX, DISTINCT_MAX + 30)]
    beyond = [("beta", 99, 2 * STREAK_RUNS_MAX + 4), ("beta", 99, 2 * STREAK_RUNS_MAX - 1)]
    log = [
        {
            "specversion": "1.0",
            "id": str(place),
            "source": "/web",
            "type": kind,
            "subject": "ann",
            "time": (datetime(1990, 1, 1, tzinfo=UTC) + timedelta(days=days)).isoformat(),
            "data": {"number": number},
        }
        for place, (kind, number, days) in enumerate([*distinct, *gone, *again, *beyond])
    ]
    text = BOUNDED % DISTINCT_MAX
    driver, expected = driven([text], log, {100, 4200}, at_once=False), reference([text], log)
    assert_equal(driver, expected)
    assert expected.metrics["ann"]["bounded"]["values"] == DISTINCT_MAX
    assert expected.metrics["ann"]["bounded"]["present"] == DISTINCT_MAX - 1
    assert len(expected.awards) == 2


def test_the_bundled_sample_ends_alike():
    """A year of TrackFlow, with undo, derived events that come later, and states restored on the way."""
    log, expected = sample(), result()
    driver = Driver([TRACKFLOW])
    for start in range(0, len(log), 500):
        driver.feed("trackflow.activity", [row_of(each) for each in log[start : start + 500]])
        driver.derive()
        if start % 5000 == 0:
            driver.restart()
    driver.cut()
    dated = {award: at for award, at in expected.awards.items() if award not in expected.undated}
    assert dated.items() <= driver.changelog.awards.items()
    assert driver.changelog.awards.keys() == expected.awards.keys()
    assert driver.metrics() == expected.metrics
    assert driver.counts == [expected.applied, expected.duplicates, expected.skipped]
