"""The rest of the language: what tiers, windows, sets, XP and challenges come to, and every mistake in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from processor.evaluator.compile import compile_catalog
from schemas.catalog import (
    Achievement,
    All,
    AtLeast,
    Catalog,
    Feed,
    Finding,
    RefusedCatalog,
    Test,
    all_achievements,
    catalog_hash,
    read_catalog,
)
from schemas.catalog.model import Texts, Window, XpFeed
from schemas.catalog.source import Source
from schemas.program import Ledger

SCHEMA = Path(__file__).parents[2] / "schemas" / "published" / "catalog.json"

SHOP = """\
catalog: shop
version: 1
default_language: en
tiers: [wood, bronze, silver, gold]
topics: {shop.activity: {repartition: true}}
categories: [{key: buying, title: Buying, translations: {fr: {title: Achats}}}, {key: more, title: More}]
events:
  paid:
    topic: shop.activity
    data: {id: string, amount: decimal(2), country: string?, items: integer, gift: boolean, tags: [string]?}
  refunded:
    topic: shop.activity
    data: {id: string, amount: decimal(2)}
  visit: {topic: shop.activity}
  freeze: {topic: shop.activity}
metrics:
  orders: {count: paid, minus: refunded}
  spent: {sum: paid, of: data.amount}
  countries: {distinct: paid, by: data.country}
  kept: {distinct: paid, by: data.id, minus: refunded}
  largest: {max: paid, of: data.items}
  visits: {streak: visit, every: day, grace: 1, freezes: freeze}
achievements:
  - {key: first, name: First, category: buying, when: orders >= 1, xp: 7, revocable: true, is_public: false,
     context: {country: data.country}, translations: {fr: {name: Premier}, fr-CA: {message: Bravo}}}
  - {key: big, name: Big, category: buying, on: paid, where: {data.items: {gte: 10}}, scope: data.id,
     metadata: {things: data.items}, message: "{things} things!"}
  - key: buyer
    name: Buyer
    category: buying
    conditions: {orders: orders, money: spent}
    description: "{orders} orders, {money} euros: {tier}"
    translations: {fr: {description: "{orders} commandes"}}
    tiers:
      - {tier: bronze, at: {orders: 3, money: 9.5}, xp: 50}
      - {tier: gold, name: Great Buyer, at: {orders: 10, money: 100}, rarity: epic, description: All of it}
  - {key: summer, name: Summer, category: more, when: {all: [orders >= 3, visits >= 5]},
     window: {from: 2026-06-01, until: 2026-09-01}}
  - {key: monthly, name: Monthly, category: more, when: orders >= 2, window: {every: month}}
  - {key: buys, name: All of Buying, category: more, all_of: {category: buying}, xp: 100, revocable: announced}
  - {key: everything, name: Everything, category: more, all_of: catalog}
  - {key: climber, name: Climber, category: more, when: level >= 3, requires: buyer/gold}
  - {key: rich, name: Rich, category: more, when: xp >= 500, requires: [buyer, first]}
ladders:
  - {metric: spent, category: more, window: {until: 2027-01-01}, description: "Spend {at}",
     translations: {fr: {description: "Depense {at}"}, de: {message: Reich}},
     steps: [{key: spender, name: Spender, at: 99.5, translations: {fr: {name: Gros}}},
             {key: patron, name: Patron, at: 1000, description: Spend a lot, message: Rich}]}
xp:
  - {on: [paid, {visit: {}}], amount: 5}
  - {on: paid, amount: data.items, where: {data.gift: true}}
  - {on: awards}
levels: {of: xp, curve: {triangular: 50}, name: "Level {level}", translations: {fr: {name: "Niveau {level}"}}}
challenges:
  per_day: 1
  list:
    - {key: two_orders, type: buy, description: Two orders, when: orders >= 2, every: day, xp: 30}
    - {key: far, name: Far, description: Two countries, when: countries >= 2, every: day, xp: 10}
examples:
  - {name: anything, given: [{visit: }], expect: {}}
"""


def shop(text: str = SHOP) -> Catalog:
    return read_catalog(text, "shop.yaml")


def changed(old: str, new: str) -> str:
    assert old in SHOP
    return SHOP.replace(old, new, 1)


def findings_of(text: str) -> tuple[Finding, ...]:
    with pytest.raises(RefusedCatalog) as refused:
        shop(text)
    return refused.value.findings


def entries(text: str = SHOP) -> dict[str, Achievement]:
    return {each.reference: each for each in all_achievements(shop(text))}


# --- what a good catalog comes to ---


def test_every_tier_is_an_achievement_with_what_it_asks_for_in_its_texts():
    bronze, gold = entries()["buyer/bronze"], entries()["buyer/gold"]

    orders, money = AtLeast(metric="orders", at=3), AtLeast(metric="spent", at=950)
    assert (bronze.tier, bronze.rank, bronze.xp, bronze.points) == ("bronze", 1, 50, 10)
    assert (bronze.when, bronze.conditions) == (All(of=(orders, money)), {"orders": orders, "money": money})
    assert (bronze.name, bronze.description) == ("Buyer", "3 orders, 9.5 euros: bronze")
    assert bronze.translations == {"fr": Texts(description="3 commandes")}
    assert (gold.rank, gold.name, gold.description, gold.points) == (3, "Great Buyer", "All of it", 100)
    assert bronze.order == gold.order == 3


def test_a_tier_with_one_condition_is_a_plain_comparison():
    text = (
        changed("{orders: orders, money: spent}", "{orders: orders}")
        .replace("money: 9.5", "")
        .replace("money: 100", "")
    )
    text = text.replace(", {money} euros", "")

    assert entries(text)["buyer/bronze"].when == AtLeast(metric="orders", at=3)


def test_an_award_from_an_event_has_its_tests_its_scope_and_what_is_told():
    big = entries()["big"]

    assert big.on == (Feed(type="paid", where=(Test(field="items", op="gte", value=10),)),)
    assert (big.scope, big.metadata, big.when) == ("id", {"things": "items"}, All(of=()))


def test_windows_are_days_since_1970_and_reach_every_step_of_a_ladder():
    found = entries()

    assert found["summer"].window == Window(first_day=20605, end_day=20697)
    assert found["monthly"].window == Window(every="month")
    assert found["spender"].window == found["patron"].window == Window(end_day=20819)


def test_a_step_inherits_the_translations_of_what_it_does_not_say_itself():
    """A translation of the ladder's text would be wrong for a text of the step's own."""
    found = entries()

    assert found["spender"].translations == {
        "fr": Texts(name="Gros", description="Depense 99.5"),
        "de": Texts(message="Reich"),
    }
    assert found["patron"].translations == {}
    own = changed("description: All of it", "description: All of it, translations: {de: {name: Gut}}")
    assert entries(own)["buyer/gold"].translations == {"de": Texts(name="Gut")}
    assert entries(own)["buyer/bronze"].translations == {"fr": Texts(description="3 commandes")}


def test_sets_name_a_category_or_the_whole_catalog():
    assert (entries()["buys"].all_of, entries()["everything"].all_of) == ("buying", "*")


def test_an_award_is_taken_back_silently_unless_it_says_otherwise():
    found = entries()

    assert [found[key].revocable for key in ("first", "buys", "big")] == ["silent", "announced", "no"]
    assert [entries(changed("revocable: true", "revocable: false"))["first"].revocable] == ["no"]


def test_a_level_is_reached_where_it_starts():
    assert entries()["climber"].when == AtLeast(metric="xp", at=300, level=3)
    listed = changed("{triangular: 50}", "[0, 100, 250]")
    assert entries(listed)["climber"].when == AtLeast(metric="xp", at=250, level=3)


def test_levels_of_another_metric_are_in_its_unit():
    text = changed("of: xp, curve: {triangular: 50}", "of: spent, curve: [0, 9.5, 100]")

    assert entries(text)["climber"].when == AtLeast(metric="spent", at=10000, level=3)
    assert entries(text.replace("[0, 9.5, 100]", "{triangular: 5}"))["climber"].when == AtLeast(
        metric="spent", at=3000, level=3
    )


def test_what_gives_xp_is_listed_and_awards_are_a_word():
    catalog = shop()

    gift = Test(field="gift", op="eq", value=True)
    assert catalog.xp == (
        XpFeed(type="paid", amount=5),
        XpFeed(type="visit", amount=5),
        XpFeed(type="paid", of="items", where=(gift,)),
    )
    assert catalog.xp_from_awards


def test_a_challenge_is_called_what_it_asks_unless_it_has_a_name():
    challenges = shop().challenges

    assert challenges is not None
    assert [(each.name, each.type) for each in challenges.offered] == [("Two orders", "buy"), ("Far", "far")]
    assert challenges.offered[0].when == AtLeast(metric="orders", at=2)


def test_a_streak_has_grace_and_freezes():
    visits = shop().metrics["visits"]

    assert (visits.grace, visits.freezes) == (1, (Feed(type="freeze"),))


def test_other_languages_hold_what_differs():
    assert entries()["first"].translations == {"fr": Texts(name="Premier"), "fr-CA": Texts(message="Bravo")}
    assert (shop().categories or [])[0].translations == {"fr": "Achats"}


# --- the hash ---

MEANS_SOMETHING_ELSE = [
    changed("xp: 7", "xp: 8"),
    changed("is_public: false", "is_public: true"),
    changed("revocable: true", "revocable: announced"),
    changed("at: {orders: 3", "at: {orders: 4"),
    changed("tiers: [wood, bronze", "tiers: [bronze, wood"),
    changed("until: 2026-09-01", "until: 2026-09-02"),
    changed("every: month", "every: week"),
    changed("all_of: {category: buying}", "all_of: catalog"),
    changed("scope: data.id,", ""),
    changed("triangular: 50", "triangular: 51"),
    changed("per_day: 1", "per_day: 2"),
    changed("amount: 5}", "amount: 6}"),
    changed("  - {on: awards}\n", "").replace("xp: 7, ", "").replace(", xp: 50", "").replace("xp: 100, ", ""),
    changed("grace: 1, ", ""),
    changed("Premier", "Premiere"),
    changed("title: Achats", "title: Acheter"),
    changed("repartition: true", "repartition: false"),
    changed("default_language: en", "default_language: nl"),
]


def test_the_hash_is_of_every_construct():
    hashes = {catalog_hash(shop(text)) for text in [SHOP, *MEANS_SOMETHING_ELSE]}

    assert len(hashes) == len(MEANS_SOMETHING_ELSE) + 1


def test_examples_and_layout_mean_nothing_to_the_hash():
    text = SHOP[: SHOP.index("examples:")].replace("revocable: true", "revocable:   true")

    assert catalog_hash(shop(text)) == catalog_hash(shop())


# --- what is refused ---

REFUSED = [
    # ways of being earned
    ("when: orders >= 1, ", "", "`when` is missing", "another way: `tiers`"),
    ("when: level >= 3", "when: level >= 3, all_of: catalog", "`when` and `all_of` stand in one", "make it two"),
    ("scope: data.id,", "scope: data.id, window: {every: day},", "`window` means nothing beside `on`", "remove it"),
    (
        "when: xp >= 500",
        "when: xp >= 500, scope: data.id",
        "`scope` means nothing beside `when`",
        "belongs to `on`",
    ),
    ("scope: data.id,", "scope: data.id, revocable: true,", "`revocable` means nothing beside `on`", "remove it"),
    ("scope: data.id,", "scope: data.id, context: {a: data.id},", "`context` means nothing beside `on`", "remove"),
    ("all_of: catalog}", "all_of: catalog, requires: first}", "`requires` means nothing beside `all_of`", "remove"),
    # on
    ("on: paid", "on: payd", "no event `payd` is declared", "did you mean `paid`?"),
    ("on: paid", "on: [paid, paid]", "`paid` is named twice", "name it once"),
    ("on: paid", "on: [paid, visit]", "`visit` declares no field `items`", "declare it first"),
    ("scope: data.id", "scope: data.amount", "`amount` is a decimal(2), and a scope", "string or integer"),
    ("scope: data.id", "scope: data.tags", "`tags` is a list of strings, and a scope", "string or integer"),
    ("scope: data.id", "scope: data.ids", "`paid` declares no field `ids`", "did you mean `id`?"),
    ("scope: data.id", "scope: id", "'id' is no field of the event's data", "write `data.`"),
    ("things: data.items", "things: data.item", "`paid` declares no field `item`", "did you mean `items`?"),
    ("{things} things!", "{thing} things!", "nothing fills `{thing}` here", "filled here: `{things}`"),
    ("{gte: 10}", "{gte: 10, lt: 5}", "no `paid` can pass all its tests", "loosen"),
    # tiers
    ("tiers: [wood,", "tiers: [bronze,", "`bronze` is listed twice", "once"),
    ("tiers: [wood,", "tiers: [progress,", "`progress` is a word of the API's addresses", "something else"),
    ("tier: gold", "tier: golden", "no tier `golden` is known", "did you mean `gold`?"),
    ("tier: gold", "tier: wood", "`wood` does not stand above `bronze`", "wood < bronze < silver < gold"),
    (
        "at: {orders: 10, money: 100}",
        "at: {orders: 2, money: 100}",
        "less `orders` than `bronze`",
        "at least as much",
    ),
    ("at: {orders: 10, money: 100}", "at: {orders: 10}", "`gold` asks for less `money` than `bronze`", "at least"),
    ("at: {orders: 10, money: 100}", "at: {orders: 3, money: 9.5}", "asks for no more than `bronze`", "raise"),
    ("at: {orders: 10,", "at: {order: 10,", "no condition `order` is named", "did you mean `orders`?"),
    ("at: {orders: 10,", "at: {orders: many,", "a threshold is a number", "see docs"),
    ("at: {orders: 10,", "at: {orders: 0,", "0 is reached before anything happened", "above 0"),
    ("money: spent}", "money: spend}", "no metric `spend`", "did you mean `spent`?"),
    ("money: spent}", "money: spent, lv: level}", "not for levels", "name a metric"),
    ("money: spent}", "money: spent, tier: visits}", "`tier` is a word of the language", "rename it"),
    ("money: spent}", "money: spent, often: visits}", "no tier asks for `often`", "remove it"),
    ("    conditions: {orders: orders, money: spent}\n", "", "`tiers` needs `conditions`", "name what"),
    ('"{orders} orders,', '"{order} orders,', "nothing fills `{order}` here", "`{money}`, `{orders}`, `{tier}`"),
    ("{orders} commandes", "{ordres} commandes", "nothing fills `{ordres}` here", "filled here"),
    ("tier: gold,", "teir: gold,", "`teir` means nothing here", "did you mean `tier`?"),
    # requires and sets
    (
        "requires: buyer/gold",
        "requires: buyer/silver",
        "`buyer` has no tier `silver`",
        "known are `bronze`, `gold`",
    ),
    ("requires: buyer/gold", "requires: first/gold", "`first` has no tier `gold`", "write `first`"),
    ("requires: buyer/gold", "requires: byer/gold", "no achievement `byer`", "did you mean `buyer`?"),
    ("requires: buyer/gold", "requires: a/b/c", "'a/b/c' is no key", "`key/tier`"),
    ("{category: buying}", "{category: byuing}", "no category `byuing` is listed", "did you mean `buying`?"),
    ("{category: buying}", "everything", "'everything' cannot stand here: a set is all of a category", "see docs"),
    ("key: first, name: First,", "key: first, name: First, requires: buys,", "first → buys → first", "break"),
    ("requires: buyer/gold", "requires: everything", "climber → everything → climber", "break the circle"),
    # windows
    ("from: 2026-06-01", "from: 2026-06-31", "2026-06-31 is no day", "in the calendar"),
    ("from: 2026-06-01", "from: 1066-06-01", "1066-06-01 is no day", "from 1970-01-01 on"),
    ("from: 2026-06-01", "from: June", "'June' is no date", "year-month-day"),
    (
        "from: 2026-06-01, until: 2026-09-01",
        "until: 1970-01-01",
        "no day lies before 1970-01-01",
        "first day behind",
    ),
    ("until: 2026-09-01", "until: 2026-06-01", "no day lies from 2026-06-01 until 2026-06-01", "first day behind"),
    ("until: 2026-09-01", "until: 2026-06-04", "nobody can reach 5: `visits` cannot be longer", "at or below 3"),
    ("until: 2026-09-01", "every: week", "`every` stands beside days", "either days or a period"),
    ("{from: 2026-06-01, until: 2026-09-01}", "{}", "open on all sides", "leave it out"),
    ("{every: month}", "{every: moth}", "'moth' is not known here", "did you mean `month`?"),
    ("{every: month}", "{evry: month}", "`evry` means nothing here", "did you mean `every`?"),
    ("orders >= 2, window", "visits >= 2, window", "`visits` is a streak, which is not kept by month", "compare a"),
    ("orders >= 2, window", "kept >= 2, window", "`kept` is a distinct with minus", "compare a"),
    ("orders >= 2, window", "{all: [orders >= 2]}, window", "and this is a compound", "`when: metric >= number`"),
    ("orders >= 2, window", "countries >= 513, window", "`countries` is counted up to 512", "at or below 512"),
    ("orders >= 2, window", "xp >= 2, window", "`xp` is not counted by days", "leave the window out"),
    ("orders >= 2, window", "level >= 2, window", "`level` is not counted by days", "leave the window out"),
    (
        "orders >= 2, window",
        "orders >= 2, requires: first, window",
        "`requires` means nothing to an award",
        "remove",
    ),
    ("orders >= 2, window", "orders >= 2, revocable: true, window", "`revocable` means nothing to an", "remove it"),
    # context, XP and levels
    (
        "{country: data.country}",
        "{country: data.land}",
        "no event that moves this declares a field `land`",
        "known",
    ),
    ("{on: awards}", "{on: awards, amount: 5}", "`amount` means nothing beside `on: awards`", "remove it"),
    ("{on: awards}", "{on: awards}\n  - {on: awards}", "`on: awards` stands here twice", "write it once"),
    ("amount: 5}", "amount: 0}", "an amount is a whole number", "see docs"),
    (", amount: 5}", "}", "does not say how much it gives", "add `amount: 50`"),
    ("amount: data.items", "amount: data.amount", "and XP is given in whole numbers", "integer field"),
    ("amount: data.items", "amount: data.thing", "`paid` declares no field `thing`", "known are"),
    ("  spent: {sum", "  xp: {count: paid}\n  spent: {sum", "`xp` is a word of the language", "another name"),
    ("xp >= 500", "xp >= 0.5", "`xp` is a whole number", "round the threshold up"),
    ("level >= 3", "level >= 1", "level 1 is nothing to reach", "2 or more"),
    ("level >= 3", "level >= 2.5", "level 2.5 is nothing to reach", "2 or more"),
    ("level >= 3", "level >= 1001", "the curve ends at level 1000", "lengthen"),
    ("{triangular: 50}", "[5, 100, 200]", "level 1 starts at 5", "write 0 first"),
    ("{triangular: 50}", "[0, 100, 100]", "level 3 starts at 100, and level 2 at 100", "above the one before"),
    ("{triangular: 50}", "[0, 1.5, 100]", "1.5 is never reached exactly", "whole number"),
    ("{triangular: 50}", "{square: 50}", "a curve is `{triangular: 50}`", "see docs"),
    ("of: xp,", "of: xpp,", "no metric `xpp` is declared", "did you mean `xp`?"),
    ('"Level {level}"', '"Level"\n  , message: "{lvl}"', "nothing fills `{lvl}` here", "`{level}`"),
    # challenges
    ("key: far,", "key: two_orders,", "the key `two_orders` is taken by another challenge", "choose another"),
    ("per_day: 1", "per_day: 3", "3 a day are more than the 2 that are listed", "offer fewer"),
    ("when: countries >= 2", "when: countries > 2", "`>` is no comparison", "write `countries >= 2`"),
    ("when: countries >= 2", "when: {all: [countries >= 2]}", "a mapping is no condition", "`metric >= number`"),
    ("when: countries >= 2", "when: largest >= 2", "`largest` is a max, which is not kept by day", "compare"),
    ("when: countries >= 2", "when: level >= 2", "`level` is not counted by days", "compare a metric"),
    ("xp: 10}", "xp: 0}", "0 cannot stand here", "write 1 or more"),
    ("when: countries >= 2, every: day", "when: countries >= 2, every: week", "'week' is not known here", "`day`"),
    ("key: far, name", "key: far, nam", "`nam` means nothing here", "did you mean `name`?"),
    # streaks
    ("grace: 1", "grace: 0", "0 cannot stand here", "write 1 or more"),
    ("freezes: freeze", "freezes: freez", "no event `freez`", "did you mean `freeze`?"),
    ("freezes: freeze", "freezes: [freeze, freeze]", "`freeze` is named twice", "name it once"),
    ("{max: paid, of", "{max: paid, grace: 1, of", "`grace` means nothing to `max`", "belongs to `streak`"),
    # words that mean nothing where they stand
    ("window: {every: month}", "window: {every: year}", "'year' is not known here", "known are `day`, `month`"),
    ("{data.items: {gte: 10}}", "{data.id: subject}", "`subject` would be a text here", "only `not: subject`"),
    # languages and topics
    ("de: {message: Reich}", "de: {name: Reich}", "a ladder has no name to translate", "of each step"),
    ("fr: {name: Premier}", "en: {name: Premier}", "`en` is the catalog's own language", "where the others stand"),
    ("fr: {name: Premier}", "french: {name: Premier}", "'french' is no language", "`pt-BR`"),
    ("fr: {name: Premier}", "fr: {nam: Premier}", "`nam` means nothing here", "did you mean `name`?"),
    ("fr: {title: Achats}", "en: {title: Achats}", "`en` is the catalog's own language", "write"),
    ("fr: {title: Achats}", "fr: {name: Achats}", "`name` means nothing here", "known are `title`"),
    ("{shop.activity: {", "{shop.activty: {", "no event is published on `shop.activty`", "did you mean `shop.act"),
    ("{repartition: true}", "{repartion: true}", "`repartion` means nothing here", "did you mean `repartition`?"),
    # examples
    ("examples:\n  - {", "examples: {a: {", "`examples` is a mapping, not a list", "lines"),
]


@pytest.mark.parametrize(
    ("old", "new", "what", "remedy"), REFUSED, ids=[f"{case[1]}: {case[2]}" for case in REFUSED]
)
def test_a_mistake_is_told_with_its_line_and_its_remedy(old: str, new: str, what: str, remedy: str):
    text = changed(old, new)
    text = text + "}" if old.startswith("examples") else text

    found = [each for each in findings_of(text) if what in each.what and remedy in each.remedy]

    assert found, findings_of(text)
    assert found[0].file == "shop.yaml"
    assert found[0].line in changed_lines(text)


def changed_lines(text: str) -> set[int]:
    """The lines that differ, and the first line of the entry around them."""
    pairs = list(zip(text.splitlines(), SHOP.splitlines(), strict=False))
    different = [number for number, (now, before) in enumerate(pairs, start=1) if now != before]
    first = different[0]
    entry = next((n for n in range(first, 0, -1) if text.splitlines()[n - 1].startswith("  - ")), first)
    return {*range(entry, first + 2), *different}


# --- what nobody can reach, and what no event can move ---

BOUNDS = [
    ("{distinct: paid, by: data.country, where: {data.country: [fr, de]}}", 3, "no more different values than 2"),
    ("{distinct: paid, by: data.country, where: {data.country: fr}}", 2, "no more different values than 1"),
    ("{distinct: paid, by: data.country, where: {data.country: ['', ' ', fr]}}", 2, "values than 1"),
    ("{distinct: paid, by: data.country, normalize: true, where: {data.country: [fr, ' FR']}}", 2, "than 1"),
    ("{distinct: paid, by: data.gift}", 3, "no more different values than 2"),
    ("{distinct: paid, by: [data.gift, data.country], where: {data.country: [fr, de]}}", 5, "than 4"),
    ("{distinct: paid, by: data.items, where: {data.items: {gte: 1, lt: 8}}}", 8, "than 7"),
    ("{distinct: paid, by: data.items, bucket: 10, where: {data.items: {gte: 1960, lte: 1999}}}", 5, "than 4"),
    ("{distinct: paid, by: data.items, bucket: 10, where: {data.items: [3, 7, 12]}}", 3, "than 2"),
    ("{distinct: [paid, refunded], by: data.id, where: {data.id: a}}", 3, "than 2"),
    ("{max: paid, of: data.items, where: {data.items: {lt: 10}}}", 10, "comes to at most 9"),
    ("{max: paid, of: data.amount, where: {data.amount: {lte: 9.5}}}", 10, "comes to at most 9.5"),
    ("{latest: paid, of: data.items, where: {data.items: [1, 5]}}", 6, "comes to at most 5"),
    ("{sum: paid, of: data.items, where: {data.items: {lte: 0}}}", 1, "comes to at most 0"),
]


@pytest.mark.parametrize(("metric", "at", "why"), BOUNDS, ids=[f"{case[0]} >= {case[1]}" for case in BOUNDS])
def test_a_threshold_beyond_what_the_tests_leave_is_told(metric: str, at: int, why: str):
    text = changed("  visits:", f"  extra: {metric}\n  visits:")

    (finding,) = findings_of(text.replace("when: orders >= 1,", f"when: extra >= {at},"))

    assert finding.what.startswith(f"nobody can reach {at}: `extra` ")
    assert why in finding.what


@pytest.mark.parametrize(("metric", "at", "why"), BOUNDS[:-1], ids=[case[0] for case in BOUNDS[:-1]])
def test_a_threshold_at_that_bound_is_good(metric: str, at: int, why: str):
    text = changed("  visits:", f"  extra: {metric}\n  visits:")

    assert shop(
        text.replace(
            "when: orders >= 1, xp: 7, revocable: true, is_public: false,\n     context: {country: data.country},",
            f"when: extra >= {at - 1},",
        )
    )


def test_a_level_of_a_metric_that_cannot_come_so_far_is_told():
    text = changed("of: xp, curve: {triangular: 50}", "of: countries, curve: [0, 100, 5000]")

    (finding,) = findings_of(text)

    assert finding.what == "nobody can reach 5000: `countries` is counted up to 4096"
    assert finding.path == "achievements[7].when"


AWARDS_ONLY = """\
catalog: c
version: 1
events: {e: {topic: t, data: {id: string}}}
metrics: {events: {count: e}}
xp: [{on: awards}]
achievements:
  - {key: one, name: One, when: events >= 1, xp: 30}
  - {key: two, name: Two, when: events >= 2, points: 20}
  - {key: gone, name: Gone, when: events >= 3, xp: 100, is_active: false}
  - {key: rich, name: Rich, when: xp >= 150, xp: 7}
"""


def test_awards_given_once_give_no_more_xp_than_they_have():
    assert shop(AWARDS_ONLY)
    for at in (151, 157, 900):
        (finding,) = findings_of(AWARDS_ONLY.replace("xp >= 150", f"xp >= {at}"))
        assert finding.what == f"nobody can reach {at}: all awards that can come before give 150 `xp` together"
        assert finding.line == 10


CIRCLES = {
    "it is required by what would give it": """\
  - {key: a, name: A, xp: 5, when: events >= 1, requires: b}
  - {key: b, name: B, xp: 0, when: xp >= 5}
""",
    "each of two waits for the other": """\
  - {key: a, name: A, xp: 5, when: xp >= 5}
  - {key: b, name: B, xp: 5, when: {any: [xp >= 5, xp >= 6]}}
""",
    "a set gives what its member waits for": """\
  - {key: b, name: B, xp: 5, category: d, all_of: {category: c}}
  - {key: a, name: A, xp: 5, category: c, when: xp >= 5}
""",
    "a tier gives what its prerequisite waits for": """\
  - {key: a, name: A, conditions: {n: events}, requires: b, tiers: [{tier: bronze, at: {n: 1}, xp: 5}]}
  - {key: b, name: B, xp: 0, when: {all: [events >= 1, xp >= 5]}}
""",
    "what comes again and again cannot come at first": """\
  - {key: a, name: A, xp: 0, when: xp >= 5}
  - {key: b, name: B, xp: 0, on: e, scope: data.id}
""",
}


@pytest.mark.parametrize("entries", CIRCLES.values(), ids=CIRCLES.keys())
def test_awards_that_wait_for_each_others_xp_can_never_come(entries: str):
    head, _, _ = AWARDS_ONLY.partition("  - {key: one")

    found = findings_of(head + entries)

    assert found
    assert {each.what.partition(": ")[2] for each in found} == {
        "all awards that can come before give 0 `xp` together"
    }


def test_awards_that_lift_each_other_in_turn_are_good():
    """From the last in the file to the first, through a level, a tier and a set."""
    head, _, _ = AWARDS_ONLY.partition("  - {key: one")

    assert shop(
        head.replace("achievements:", "levels: {of: xp, curve: [0, 40]}\nachievements:")
        + """\
  - {key: e, name: E, when: xp >= 75, requires: d}
  - {key: d, name: D, xp: 30, all_of: {category: c}}
  - {key: c, name: C, category: c, xp: 5, when: level >= 2, requires: b/silver}
  - key: b
    name: B
    conditions: {x: xp}
    tiers: [{tier: bronze, at: {x: 10}, xp: 10}, {tier: silver, at: {x: 20}, xp: 20}]
  - {key: a, name: A, category: c, xp: 10, when: events >= 1}
"""
    )


def test_events_that_give_no_xp_lift_nobody():
    rule = "xp: [{on: e, amount: data.n, where: {data.n: {lte: 0}}}]"
    text = AWARDS_ONLY.replace("{id: string}", "{id: string, n: integer}").replace("xp: [{on: awards}]", rule)
    text = text.replace("xp: 30", "points: 1").replace("xp: 100, ", "").replace(", xp: 7", "")

    (finding,) = findings_of(text)

    assert finding.what.startswith("nobody can reach 150: ")
    assert shop(text.replace("lte: 0", "lte: 1"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("xp: [{on: awards}]", "xp: [{on: awards}, {on: e, amount: 1}]"),
        ("{key: two, name: Two, when: events >= 2,", "{key: two, name: Two, on: e, scope: data.id,"),
        (
            "{key: two, name: Two, when: events >= 2,",
            "{key: two, name: Two, when: events >= 2, window: {every: day},",
        ),
    ],
)
def test_what_is_given_again_and_again_has_no_such_bound(old: str, new: str):
    assert shop(AWARDS_ONLY.replace("xp >= 150", "xp >= 900").replace(old, new))


def test_a_blank_text_is_no_value_to_tell_apart():
    text = changed(
        "{distinct: paid, by: data.country}", "{distinct: paid, by: data.country, where: {data.country: ''}}"
    )

    found = findings_of(text)

    assert "nobody can reach 2: `countries` has no more different values than 0" in {each.what for each in found}
    assert {each.remedy for each in found} == {"loosen what its events are tested for"}


def test_the_text_that_means_the_user_may_stand_in_a_list():
    assert shop(changed("{data.items: {gte: 10}}", "{data.id: [subject]}"))


def test_a_set_without_members_is_told():
    (finding,) = findings_of(
        changed("all_of: {category: buying}", "all_of: {category: more}")
        .replace("key: climber, name: Climber", "key: climber, secret: true, name: Climber")
        .replace("key: rich, name: Rich", "key: rich, is_active: false, name: Rich")
    )

    assert finding.what == "category `more` has nothing for the set to take"


@pytest.mark.parametrize("asked", ["xp >= 5", "level >= 2"])
def test_what_no_catalog_gives_cannot_be_asked_for(asked: str):
    text = f"catalog: c\nversion: 1\nachievements:\n  - {{key: a, name: A, when: {asked}}}\n"

    (finding,) = findings_of(text)

    assert finding.what in ("nothing gives XP in this catalog", "this catalog has no levels")
    assert finding.line == 4


def test_what_hangs_on_another_place_is_told_where_it_is_asked():
    silent = findings_of(changed("  - {on: awards}\n", ""))
    (short,) = findings_of(changed("{triangular: 50}", "[0, 100]"))

    assert {each.what for each in silent} == {"awards give no XP in this catalog"}
    assert [each.path for each in silent] == [
        "achievements[0].xp",
        "achievements[2].tiers[0].xp",
        "achievements[5].xp",
    ]
    assert short.what == "nobody can reach level 3: the curve ends at level 2"
    assert short.path == "achievements[7].when"


def test_an_award_asks_for_what_a_broken_metric_counts_without_a_second_finding():
    (finding,) = findings_of(changed("{sum: paid, of: data.amount}", "{sum: paid, of: data.amuont}"))

    assert finding.path == "metrics.spent.of"


def test_the_published_schema_takes_every_construct():
    """An editor completes by it while an author types: it must not call a good catalog bad."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    errors = [error.message for error in Draft202012Validator(schema).iter_errors(in_json(Source(SHOP, "x").data))]

    assert errors == []


def in_json(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: in_json(each) for name, each in said.items()}
    if isinstance(said, list):
        return [in_json(each) for each in said]
    return float(said) if isinstance(said, Decimal) else said


LINES = SHOP.splitlines()
SCRAPS = st.sampled_from(
    [
        "",
        "- ",
        "{}",
        "[]",
        "null",
        "3",
        ": ",
        "x: y",
        "xp",
        "level",
        "{fr: ",
        "'",
        "every: ",
        "*a",
        "0.5",
        "catalog",
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 90), SCRAPS), min_size=1, max_size=4))
def test_any_damage_ends_in_a_catalog_or_in_findings(damage: list[tuple[int, int, str]]):
    lines = list(LINES)
    for number, column, scrap in damage:
        lines[number] = lines[number][:column] + scrap + lines[number][column + len(scrap) :]

    assert all(1 <= line <= len(lines) for line in told_lines("\n".join(lines)))


def told_lines(text: str) -> list[int]:
    """The lines of all findings; without any, the catalog compiles."""
    try:
        compile_catalog(shop(text), Ledger())
    except RefusedCatalog as refused:
        return [each.line for each in refused.findings]
    return []


VALUES = st.sampled_from([None, "", "x", 0, -1, 1, 2**60, Decimal("0.5"), True, [], {}, ["x"], {"x": 1}, "xp >= 1"])


def places_in(said: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    named = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for name, each in named:
        yield (*path, name)
        yield from places_in(each, (*path, name))


PLACES = list(places_in(Source(SHOP, "x").data))


@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3))
def test_any_value_in_any_place_ends_in_a_catalog_or_in_findings(changes: list[tuple[tuple[str | int, ...], Any]]):
    data = Source(SHOP, "x").data
    for path, value in changes:
        put(data, path, value)

    text = yaml.safe_dump(in_json(data))
    assert all(1 <= line <= len(text.splitlines()) for line in told_lines(text))


def put(data: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Nothing where an earlier change took the place away."""
    for step in path[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(data, dict) or (isinstance(data, list) and isinstance(path[-1], int) and path[-1] < len(data)):
        data[path[-1]] = value
