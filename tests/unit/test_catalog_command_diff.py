"""`laurel catalog diff`: what an author is told about a new version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.catalogs import app
from schemas.catalog import RefusedCatalog
from schemas.errors import LaurelError

OLD = """
catalog: shop
version: 1
events:
  paid: {topic: t, data: {amount: decimal(2), country: string?, kind: string?}}
  visit: {topic: t}
metrics:
  orders: {count: paid}
  gifts: {count: paid, where: {data.kind: gift}}
  spent: {sum: paid, of: data.amount}
  days: {streak: visit, every: day}
  countries: {distinct: paid, by: data.country}
achievements:
  - {key: regular, name: Regular, when: orders >= 5}
  - {key: both, name: Both, when: {all: [orders >= 6, days >= 2]}}
  - {key: patron, name: Patron, when: spent >= 9.5}
  - {key: either, name: Either, when: {any: [spent >= 9.5, countries >= 3]}}
  - {key: giver, name: Giver, when: gifts >= 2}
  - {key: after, name: After, when: days >= 1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "old.yaml").write_text(OLD, encoding="utf-8")
    return tmp_path


def diff(folder: Path, *replaced: tuple[str, str], options: tuple[str, ...] = ()) -> Result:
    """The command on the catalog above and on its next version, in which this is replaced."""
    text = OLD.replace("version: 1", "version: 2")
    for before, after in replaced:
        assert before in text
        text = text.replace(before, after)
    (folder / "new.yaml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["diff", str(folder / "old.yaml"), str(folder / "new.yaml"), *options])


def changes(folder: Path, *replaced: tuple[str, str]) -> list[tuple[str, str, str]]:
    rows: list[dict[str, Any]] = json.loads(diff(folder, *replaced, options=("--json",)).stdout)["changes"]
    return [(row["kind"], row["subject"], row["told"]) for row in rows]


def test_a_catalog_that_means_the_same_changes_nothing(folder: Path):
    ran = diff(folder, ("version: 2", "version: 1  # the same"), options=("--exit-code",))
    assert (ran.exit_code, ran.stdout) == (0, "catalog 'shop', version 1 → 1\nnothing changes for users\n")


def test_differences_end_with_5_only_when_asked_to(folder: Path):
    assert diff(folder, ("orders >= 5", "orders >= 7")).exit_code == 0
    assert diff(folder, ("orders >= 5", "orders >= 7"), options=("--exit-code",)).exit_code == 5


def test_differences_stand_under_what_they_mean(folder: Path):
    ran = diff(folder, ("orders >= 5", "orders >= 7"), ("name: Patron", "name: Big Patron"))
    assert ran.stdout == (
        "catalog 'shop', version 1 → 2\n"
        "\nIs called something else:\n  patron: Patron is called Big Patron now\n"
        "\nIs harder:\n  regular: before: paid 5 times; now: paid 7 times\n"
    )


@pytest.mark.parametrize(
    ("before", "after", "kind", "subject"),
    [
        ("orders >= 5", "orders >= 7", "harder", "regular"),
        ("orders >= 5", "orders >= 4", "easier", "regular"),
        ("days >= 2", "days >= 3", "harder", "both"),
        ("[orders >= 6, days >= 2]", "[orders >= 7, days >= 1]", "changed", "both"),
        ("[orders >= 6, days >= 2]", "[orders >= 6, days >= 2, spent >= 1]", "harder", "both"),
        ("{all: [orders >= 6, days >= 2]}", "orders >= 6", "easier", "both"),
        ("countries >= 3", "countries >= 2", "easier", "either"),
        ("{all: [orders >= 6, days >= 2]}", "{any: [orders >= 6, days >= 2]}", "easier", "both"),
        ("when: days >= 1", "when: {any: [days >= 1, orders >= 9]}", "easier", "after"),
        ("orders >= 5", "{all: [orders >= 3, {any: [orders >= 5, orders >= 9]}, days >= 2]}", "harder", "regular"),
        ("when: days >= 1", "when: days >= 1, requires: regular", "harder", "after"),
        ("when: days >= 1", "when: orders >= 1", "changed", "after"),
    ],
)
def test_a_condition_is_harder_when_it_asks_for_more_of_the_same(
    folder: Path, before: str, after: str, kind: str, subject: str
):
    assert [(each[0], each[1]) for each in changes(folder, (before, after))] == [(kind, subject)]


def test_the_order_of_conditions_is_nothing_to_speak_of(folder: Path):
    assert changes(folder, ("[orders >= 6, days >= 2]", "[days >= 2, orders >= 6]")) == []


def test_a_condition_that_another_contained_changes_no_direction(folder: Path):
    """10 of both are what it asks for, whichever is written last."""
    old = OLD.replace("orders >= 5", "{all: [orders >= 10, orders >= 5]}")
    (folder / "old.yaml").write_text(old, encoding="utf-8")

    (change,) = changes(folder, ("orders >= 5", "orders >= 7"))

    assert (change[0], change[1]) == ("easier", "regular")


def test_what_is_new_on_a_known_metric_needs_no_replay(folder: Path):
    entry = "  - {key: many, name: Many, when: orders >= 100}\n"
    ran = diff(folder, ("achievements:\n", "achievements:\n" + entry), options=("--json",))
    (row,) = json.loads(ran.stdout)["changes"]
    assert row == {"kind": "gained", "subject": "many", "told": "Many: paid 100 times", "needs_replay": False}


def test_what_is_new_on_a_new_metric_needs_a_replay(folder: Path):
    metric = ("metrics:\n", "metrics:\n  visits: {count: visit}\n")
    entry = ("achievements:\n", "achievements:\n  - {key: seen, name: Seen, when: visits >= 1}\n")
    (row,) = json.loads(diff(folder, metric, entry, options=("--json",)).stdout)["changes"]
    assert (row["kind"], row["needs_replay"]) == ("gained", True)
    assert row["told"] == "Seen: visit once; what users did before counts only after a replay"


def test_what_is_gone_or_not_active_any_more_is_removed(folder: Path):
    gone = changes(folder, ("  - {key: giver, name: Giver, when: gifts >= 2}\n", ""))
    asleep = changes(folder, ("name: Giver", "name: Giver, is_active: false"))
    assert gone == asleep == [("removed", "giver", "Giver: who has it keeps it")]


def test_another_key_for_the_same_condition_is_a_new_award(folder: Path):
    assert changes(folder, ("key: patron", "key: big_patron")) == [
        ("renamed", "big_patron", "patron has the key big_patron now: who holds it earns it once more")
    ]


def test_points_visibility_and_look_are_told_apart(folder: Path):
    found = changes(folder, ("name: Giver", "name: Giver, rarity: rare, secret: true, icon: 🎁"))
    assert found == [
        ("points", "giver", "points 10 → 50; rarity common → rare"),
        ("visibility", "giver", "secret no → yes"),
        ("look", "giver", "icon nothing → 🎁"),
    ]


def test_a_metric_that_means_something_else_starts_anew(folder: Path):
    """Its award asks for the same number, so the metric alone is told of."""
    ran = diff(folder, ("data.kind: gift", "data.kind: present"), options=("--json",))
    (row,) = json.loads(ran.stdout)["changes"]
    assert (row["kind"], row["subject"], row["needs_replay"]) == ("metric", "gifts", True)
    assert "before: how often paid (kind is gift); now: how often paid (kind is present)" in row["told"]


def test_a_version_that_did_not_rise_is_pointed_out(folder: Path):
    ran = diff(folder, ("version: 2", "version: 1"), ("orders >= 5", "orders >= 7"))
    assert "raise `version`" in ran.stdout


def test_another_catalog_is_no_version_of_this_one(folder: Path):
    ran = diff(folder, ("catalog: shop", "catalog: store"))
    assert isinstance(ran.exception, LaurelError)
    assert "'store' is another catalog than 'shop'" in str(ran.exception)


def test_a_catalog_with_findings_is_refused(folder: Path):
    assert isinstance(diff(folder, ("orders >= 5", "order >= 5")).exception, RefusedCatalog)


RICH = """
catalog: shop
version: 1
categories: [{key: basics, title: Basics}, {key: rest, title: Rest}]
events:
  paid: {topic: t, data: {amount: integer, shop_id: string}}
  visit: {topic: t}
metrics:
  orders: {count: paid}
  days: {streak: visit, every: day}
achievements:
  - {key: easy, name: Easy, category: basics, when: orders >= 1}
  - {key: summer, name: Summer, category: rest, when: orders >= 3, window: {from: 2026-06-01, until: 2026-09-01}}
  - {key: shops, name: Shops, category: rest, on: paid, where: {data.amount: {gte: 5}}, scope: data.shop_id}
  - {key: whole, name: Whole, category: rest, all_of: {category: basics}}
  - {key: third, name: Third, category: rest, when: level >= 3}
  - key: buyer
    name: Buyer
    category: rest
    conditions: {orders: orders}
    tiers: [{tier: bronze, at: {orders: 2}}, {tier: silver, at: {orders: 5}}]
xp: [{on: visit, amount: 5}, {on: awards}]
levels: {of: xp, curve: {triangular: 50}}
challenges:
  per_day: 1
  list: [{key: two, description: Buy two, when: orders >= 2, every: day, xp: 30}]
"""


def rich_changes(folder: Path, before: str, after: str, both: tuple[str, str] = ("", "")) -> list[dict[str, Any]]:
    """What a replacement changes in the catalog above, in which something is replaced before."""
    old = RICH.replace(*both) if both[0] else RICH
    assert before in old
    (folder / "old.yaml").write_text(old, encoding="utf-8")
    new = old.replace(before, after).replace("version: 1", "version: 2")
    (folder / "new.yaml").write_text(new, encoding="utf-8")
    ran = CliRunner().invoke(app, ["diff", str(folder / "old.yaml"), str(folder / "new.yaml"), "--json"])
    found: list[dict[str, Any]] = json.loads(ran.stdout)["changes"]
    return found


@pytest.mark.parametrize(
    ("before", "after", "kind", "subject", "told"),
    [
        (
            "silver, at: {orders: 5}",
            "silver, at: {orders: 4}",
            "easier",
            "buyer/silver",
            "paid 5 times; now: paid 4",
        ),
        (
            "until: 2026-09-01",
            "until: 2026-08-01",
            "changed",
            "summer",
            "now: paid 3 times, between 2026-06-01 and 2",
        ),
        ("{gte: 5}", "{gte: 6}", "changed", "shops", "paid (amount is at least 6), once for each shop"),
        ("all_of: {category: basics}", "all_of: catalog", "harder", "whole", "now: every achievement"),
        ("level >= 3", "level >= 4", "harder", "third", "before: level 3; now: level 4"),
        ("visit, amount: 5", "visit, amount: 6", "xp", "xp", "now 6 XP for visit"),
        ("triangular: 50", "triangular: 60", "levels", "levels", "level 2 starts at 120, before at 100"),
        ("curve: {triangular: 50}", "curve: [0, 100, 300]", "levels", "levels", "level 4 is not there any more"),
        ("xp: 30", "xp: 40", "challenges", "two", "now: paid 2 times on one day, for 40 XP"),
        ("name: Easy", "name: Easy, revocable: true", "visibility", "easy", "revocable no → silent"),
        ("name: Easy", "name: Easy, xp: 3", "points", "easy", "xp 10 → 3"),
        (
            "scope: data.shop_id",
            "scope: data.shop_id, metadata: {paid: data.amount}",
            "told",
            "shops",
            "metadata nothing → paid: amount",
        ),
        (
            "when: orders >= 1}",
            "when: orders >= 1, context: {shop: data.shop_id}}",
            "told",
            "easy",
            "context nothing → shop: shop_id",
        ),
        ("version: 1", "version: 2\nheadline_streak: days", "look", "headline_streak", "nothing → days"),
    ],
)
def test_every_construct_is_compared(folder: Path, before: str, after: str, kind: str, subject: str, told: str):
    first = rich_changes(folder, before, after)[0]
    assert (first["kind"], first["subject"]) == (kind, subject)
    assert told in first["told"]


def test_more_challenges_a_day_are_told(folder: Path):
    more = "xp: 30}, {key: three, description: Buy three, when: orders >= 3, every: day, xp: 40}]"
    (found,) = rich_changes(folder, "per_day: 1", "per_day: 2", ("xp: 30}]", more))
    assert (found["kind"], found["told"]) == ("challenges", "1 → 2 a day")


def test_a_set_is_harder_when_its_category_grows(folder: Path):
    entry = "achievements:\n  - {key: more, name: More, category: basics, when: orders >= 2}\n"
    told = {
        each["subject"]: (each["kind"], each["told"]) for each in rich_changes(folder, "achievements:\n", entry)
    }
    assert told == {"more": ("gained", "More: paid 2 times"), "whole": ("harder", "it takes more too")}
