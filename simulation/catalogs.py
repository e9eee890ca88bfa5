"""The versions of the simulated catalog: what runs at first, and what operators add to it while it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache, lru_cache
from typing import Any, ClassVar, NamedTuple

from bench.reference import read_yaml
from processor.evaluator.compile import compile_catalog
from processor.evaluator.filling import NOTHING as NO_REPLAY
from processor.evaluator.filling import Withheld
from processor.evaluator.programs import Programs, Versions
from processor.evaluator.ready import ReadyProgram
from schemas.catalog import read_catalog
from schemas.program import CatalogProgram, CatalogRecord, Ledger, Program, record_of
from schemas.replays import Named
from schemas.topics import Names
from simulation.activity import NAMES, PLAYS, RATINGS

CATALOG = "toy"
SHARED_MAX = 200  # programs that are kept ready
LATER_METRICS, LATER_ACHIEVEMENTS = "  # later metrics\n", "  # later achievements\n"
STRICT = ", room: string?"  # what says it otherwise is a dead letter, until a version does not look at it
DERIVED, XP, HALF_HOUR = "derive: [", "xp: [", "name: Half an hour, at: 30}"

FIRST = f"""
catalog: {CATALOG}
version: 1
events:
  played:
    topic: {PLAYS}
    data: {{piece: string, partner: string?}}
    derive: [{{type: heard, subject: data.partner, unless_self: true, data: {{piece: data.piece}}}}]
  practised: {{topic: {PLAYS}, data: {{minutes: integer{STRICT}}}}}
  rated: {{topic: {RATINGS}, data: {{stars: integer}}}}
metrics:
  plays: {{count: played}}
  pieces: {{distinct: played, by: data.piece}}
  days: {{streak: played, every: day}}
  minutes: {{sum: practised, of: data.minutes}}
  ratings: {{count: rated}}
  best: {{max: rated, of: data.stars}}
  stars: {{latest: rated, of: data.stars}}
  listened: {{count: heard}}
  ahead: {{count: played, minus: [{{practised: {{where: {{data.minutes: {{lt: 12}}}}}}}}]}}
{LATER_METRICS}xp: [{{on: practised, amount: data.minutes}}]
levels: {{of: xp, curve: [0, 50, 150, 300]}}
achievements:
  - key: all_rounder
    name: All-rounder
    when: {{all: [plays >= 3, ratings >= 2, minutes >= 20]}}
    requires: [plays_1]
  - {{key: five_stars, name: Five stars, when: best >= 5}}
  - {{key: ahead, name: Ahead, when: ahead >= 2, revocable: announced}}
  - {{key: starred, name: Starred, on: rated, scope: data.stars, metadata: {{stars: data.stars}}}}
  - key: patient
    name: Patient
    conditions: {{minutes: minutes}}
    tiers: [{{tier: bronze, at: {{minutes: 40}}}}, {{tier: silver, at: {{minutes: 120}}}}]
{LATER_ACHIEVEMENTS}ladders:
  - metric: plays
    steps: [{{key: plays_1, name: One, at: 1}}, {{key: plays_2, name: Two, at: 2}},
            {{key: plays_3, name: Three, at: 3}}, {{key: plays_5, name: Five, at: 5}},
            {{key: plays_10, name: Ten, at: 10}}]
  - {{metric: pieces, steps: [{{key: pieces_2, name: Two pieces, at: 2}}, {{key: pieces_4, name: Four, at: 4}}]}}
  - {{metric: days, steps: [{{key: days_2, name: Two days, at: 2}}, {{key: days_3, name: Three days, at: 3}}]}}
  - {{metric: minutes, steps: [{{key: half_hour, name: Half an hour, at: 30}}, {{key: long, name: Long, at: 90}}]}}
  - {{metric: listened, steps: [{{key: heard_1, name: Heard, at: 1}}, {{key: heard_3, name: Heard often, at: 3}}]}}
"""


class Addition(NamedTuple):
    """What a later version has that the first one has not; lines of YAML."""

    metrics: str
    achievements: str


NOTHING, MILDER, ANEW = "nothing", "milder", "anew"
MORE = {  # what only folding everything anew makes up for
    DERIVED: "derive: [{type: echoed, subject: data.partner, unless_self: true, data: {piece: data.piece}}, ",
    XP: "xp: [{on: played, amount: 7}, ",
    HALF_HOUR: "name: Half an hour, at: 75}",  # a harder rule
}
ADDITIONS = {
    "sweep": Addition(
        "",
        """
  - {key: plays_4, name: Four plays, when: plays >= 4}
  - {key: critic, name: Critic, when: {all: [ratings >= 2, pieces >= 2]}}
  - {key: four_pieces, name: Four pieces and days, requires: [pieces_2], when: days >= 2}
  - {key: marathon, name: Marathon, on: [{practised: {where: {data.minutes: {gte: 30}}}}], scope: data.minutes}
""",
    ),
    "counts": Addition(
        """
  long_ones: {count: practised, where: {data.minutes: {gte: 20}}}
  net: {count: played, minus: [{practised: {where: {data.minutes: {gte: 30}}}}]}
  total: {sum: rated, of: data.stars}
  guests: {distinct: heard, by: data.piece}
""",
        """
  - {key: long_1, name: A long one, when: long_ones >= 1}
  - {key: long_3, name: Long ones, when: long_ones >= 3}
  - {key: many_stars, name: Many stars, when: total >= 9}
  - {key: host, name: Host, when: guests >= 2}
  - {key: steady, name: Steady, when: {all: [long_ones >= 2, plays >= 2]}}
""",
    ),
    "kinds": Addition(
        """
  tastes: {distinct: rated, by: data.stars}
  habit: {streak: practised, every: day}
  longest: {max: practised, of: data.minutes}
  mood: {latest: practised, of: data.minutes}
""",
        """
  - {key: tastes_3, name: Three tastes, when: tastes >= 3}
  - {key: habit_2, name: Two days of practice, when: habit >= 2}
  - {key: longest_40, name: Forty minutes, when: longest >= 40}
  - {key: weekly, name: Weekly, when: plays >= 2, window: {every: week}}
  - {key: either, name: Either, when: {any: [longest >= 42, habit >= 3]}}
""",
    ),
}
AFRESH = Addition(
    """
  echoes: {count: echoed}
""",
    """
  - {key: echo_1, name: An echo, when: echoes >= 1}
  - {key: plays_6, name: Six plays, when: plays >= 6}
""",
)


def text_of(additions: Collection[str]) -> str:
    """The catalog with these additions, in the order in which they were made."""
    made = [(ADDITIONS | {ANEW: AFRESH}).get(each, Addition("", "")) for each in additions]
    return (
        first(additions)
        .replace("version: 1", f"version: {1 + len(made)}")
        .replace(LATER_METRICS, lines(each.metrics for each in made))
        .replace(LATER_ACHIEVEMENTS, lines(each.achievements for each in made))
        .replace(STRICT, "" if MILDER in additions else STRICT)
    )


def first(additions: Collection[str]) -> str:
    said = FIRST
    for known, more in MORE.items() if ANEW in additions else ():
        said = said.replace(known, more)
    return said


def lines(parts: Iterable[str]) -> str:
    return "".join(part.removeprefix("\n") for part in parts)


@cache
def records(additions: tuple[str, ...]) -> tuple[CatalogRecord, ...]:
    """Every version up to the one that has all of these, as the catalogs topic has them."""
    before = records(additions[:-1]) if additions else ()
    text, ledger = text_of(additions), before[-1].ledger if before else Ledger()
    program, ledger = compile_catalog(read_catalog(text, "toy.yaml"), ledger)
    return *before, record_of(program, ledger, text, "toy.yaml")


def program_of(record: CatalogRecord, names: Names = NAMES) -> Program:
    return Program(catalogs=[record.program], ledger=record.ledger, derived=names.derived, commands=names.commands)


def program() -> Program:
    """What runs at first."""
    return program_of(records(())[0])


@lru_cache(maxsize=1)
def ready() -> ReadyProgram:
    return ReadyProgram(program())


class ReadyOnce(Programs):
    """Made ready once for all simulated processes: it takes longer than what most of them do."""

    _shared: ClassVar[dict[Any, ReadyProgram]] = {}

    def ready(self, wanted: Versions, withheld: Withheld = NO_REPLAY, *, settled: bool = False) -> ReadyProgram:
        program = self.program(wanted)
        catalogs = tuple(each.sha256 for each in program.catalogs)
        key = catalogs, program.derived, len(program.ledger.slots), withheld, settled
        if key not in self._shared:
            if len(self._shared) == SHARED_MAX:
                self._shared.clear()
            self._shared[key] = super().ready(wanted, withheld, settled=settled)
        return self._shared[key]


@cache
def said(additions: tuple[str, ...]) -> Any:
    """The same for the reference."""
    return read_yaml(text_of(additions))


@cache
def names_of(addition: str) -> frozenset[Named]:
    """The metrics and achievements that come with it."""
    before, after = (keys_of(record.program) for record in records((addition,)))
    return frozenset((CATALOG, key) for key in after - before)


def keys_of(program: CatalogProgram) -> set[str]:
    return {each.key for each in program.metrics} | {each.reference for each in program.achievements}
