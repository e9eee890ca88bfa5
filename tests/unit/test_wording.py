"""What a catalog asks for, in words."""

from __future__ import annotations

from functools import cache

import pytest

from processor.evaluator.compile import compile_catalog
from progress.wording import Wording, plural
from schemas.catalog import read_catalog
from schemas.program import AchievementSpec, CatalogProgram, Ledger

CATALOG = """
catalog: words
version: 1
categories: [{key: basics, title: The Basics}, {key: rest, title: Rest}]
events:
  song_released:
    topic: t
    data: {song_id: string, artist: string?, year: integer?, status: string?, price: decimal(2)?}
  song_unreleased: {topic: t, data: {song_id: string}}
  login: {topic: t}
  rated: {topic: t, data: {stars: integer, to_id: string, fair: boolean}}
  freeze_bought: {topic: t}
metrics:
  released: {count: song_released, minus: song_unreleased}
  wip: {count: song_released, where: {data.status: [wip, demo]}}
  cheap: {count: song_released, where: {data.price: {lt: 9.5}}}
  seen: {count: [login, song_released]}
  others: {count: rated, where: {data.to_id: {not: subject}, data.fair: true}}
  income: {sum: song_released, of: data.price}
  best: {max: rated, of: data.stars}
  stars: {latest: rated, of: data.stars}
  songs: {distinct: song_released, by: data.song_id}
  decades: {distinct: song_released, by: data.year, bucket: 10}
  rated_people: {distinct: rated, by: data.to_id}
  pairs: {distinct: song_released, by: [data.artist, data.year]}
  days: {streak: login, every: day}
  lenient: {streak: login, every: day, grace: 1, freezes: freeze_bought}
xp: [{on: login, amount: 5}, {on: rated, amount: data.stars}, {on: awards}]
levels: {of: xp, curve: {triangular: 50}}
achievements:
  - {key: first, name: First, category: basics, when: released >= 1}
  - {key: ten, name: Ten, category: basics, when: released >= 10}
  - {key: demo, name: Demo, category: basics, when: wip >= 2}
  - {key: cheap, name: Cheap, category: basics, when: cheap >= 2}
  - {key: seen, name: Seen, category: basics, when: seen >= 2}
  - {key: fair, name: Fair, category: basics, when: others >= 2}
  - {key: rich, name: Rich, category: basics, when: income >= 99.5}
  - {key: best, name: Best, category: basics, when: best >= 4}
  - {key: liked, name: Liked, category: basics, when: stars >= 4}
  - {key: some, name: Some, category: basics, when: songs >= 1}
  - {key: many, name: Many, category: basics, when: songs >= 5}
  - {key: decades, name: Decades, category: basics, when: decades >= 3}
  - {key: people, name: People, category: basics, when: rated_people >= 3}
  - {key: pairs, name: Pairs, category: basics, when: pairs >= 3}
  - {key: day, name: Day, category: basics, when: days >= 1}
  - {key: week, name: Week, category: basics, when: days >= 7}
  - {key: kind, name: Kind, category: basics, when: lenient >= 7}
  - {key: both, name: Both, category: basics, when: {all: [days >= 2, {any: [songs >= 2, stars >= 3]}]}}
  - {key: either, name: Either, category: basics, when: {any: [days >= 2, songs >= 2]}}
  - {key: after, name: After, category: basics, requires: [first, solver/gold], when: {any: [days >= 2, xp >= 2]}}
  - {key: xp, name: Xp, category: basics, when: xp >= 500}
  - {key: level, name: Level, category: basics, when: level >= 5}
  - {key: summer, name: Summer, category: basics, when: days >= 2, window: {from: 2026-06-01, until: 2026-09-01}}
  - {key: since, name: Since, category: basics, when: days >= 2, window: {from: 2026-06-01}}
  - {key: before, name: Before, category: basics, when: days >= 2, window: {until: 2026-09-01}}
  - {key: weekly, name: Weekly, category: basics, when: seen >= 3, window: {every: week}}
  - {key: each, name: Each, category: basics, on: rated, where: {data.stars: {gte: 4}}, scope: data.to_id}
  - {key: once, name: Once, category: basics, on: [login, rated]}
  - {key: all_basics, name: All Basics, category: rest, all_of: {category: basics}}
  - {key: everything, name: Everything, category: rest, all_of: catalog}
  - key: solver
    name: Solver
    category: basics
    conditions: {songs: songs, days: days}
    tiers: [{tier: bronze, at: {songs: 2}}, {tier: gold, at: {songs: 3, days: 4}}]
"""


@cache
def program() -> CatalogProgram:
    return compile_catalog(read_catalog(CATALOG, "words"), Ledger())[0]


def entry(reference: str) -> AchievementSpec:
    return next(each for each in program().achievements if each.reference == reference)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("first", "song released once"),
        ("ten", "song released 10 times"),
        ("demo", "song released (status is one of wip, demo) 2 times"),
        ("cheap", "song released (price is below 9.5) 2 times"),
        ("seen", "login / song released 2 times"),
        ("fair", "rated (to id is not the user and fair is true) 2 times"),
        ("rich", "price of song released adding up to 99.5"),
        ("best", "stars of 4 or more in one rated"),
        ("liked", "stars at 4 or more, as rated said last"),
        ("some", "song released once"),
        ("many", "song released, 5 different songs"),
        ("decades", "song released, 3 different years in steps of 10"),
        ("people", "rated, 3 different people"),
        ("pairs", "song released, 3 different artists and years"),
        ("day", "login on 1 day"),
        ("week", "login on 7 days in a row"),
        (
            "kind",
            "login on 7 days in a row, 1 missed day in a row allowed, "
            "each freeze bought making up for a missed day",
        ),
        (
            "both",
            "login on 2 days in a row and "
            "(song released, 2 different songs or stars at 3 or more, as rated said last)",
        ),
        ("either", "login on 2 days in a row or song released, 2 different songs"),
        (
            "after",
            "(login on 2 days in a row or 2 XP) and having First and having Solver (gold)",
        ),
        ("xp", "500 XP"),
        ("level", "level 5"),
        ("summer", "login on 2 days in a row, between 2026-06-01 and 2026-08-31"),
        ("since", "login on 2 days in a row, from 2026-06-01 on"),
        ("before", "login on 2 days in a row, until 2026-08-31"),
        ("weekly", "login / song released 3 times, within one week, again every week"),
        ("each", "rated (stars is at least 4), once for each person"),
        ("once", "login / rated"),
        ("all_basics", "every achievement in The Basics"),
        ("everything", "every achievement"),
        ("solver/bronze", "song released, 2 different songs"),
        ("solver/gold", "song released, 3 different songs and login on 4 days in a row"),
    ],
)
def test_an_achievement_says_what_it_asks_for(key: str, told: str):
    assert Wording(program()).achievement(entry(key)) == told


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("released", "how often song released, less song unreleased"),
        ("income", "price of song released, added up"),
        ("best", "the greatest stars of one rated"),
        ("stars", "stars, as rated said last"),
        ("songs", "how many different songs, of song released"),
        ("days", "days in a row with login"),
        ("xp", "XP"),
    ],
)
def test_a_metric_says_what_it_is_a_measure_of(metric: str, told: str):
    assert Wording(program()).metric(metric) == told


def test_xp_says_what_it_is_given_for():
    (xp,) = (metric for metric in program().metrics if metric.kind == "xp")
    assert [Wording(program()).gift(feed) for feed in xp.feeds] == ["5 XP for login", "stars XP for rated"]


@pytest.mark.parametrize(
    ("one", "many"), [("song", "songs"), ("country", "countries"), ("day", "days"), ("to ids", "to ids")]
)
def test_a_word_has_its_plural(one: str, many: str):
    assert plural(one) == many
