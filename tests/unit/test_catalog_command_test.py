"""`laurel catalog test`: the examples of a catalog, run without a broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.catalogs import app

CATALOG = """
catalog: shop
version: 1
events:
  paid:
    topic: t
    data: {amount: decimal(2), country: string?, friend: string?}
    derive: [{type: friend_paid, subject: data.friend, unless_self: true}]
  refunded: {topic: t, data: {amount: decimal(2)}}
  visit: {topic: t}
metrics:
  orders: {count: paid, minus: refunded}
  spent: {sum: paid, of: data.amount}
  days: {streak: visit, every: day}
  countries: {distinct: paid, by: data.country}
  friends: {count: friend_paid}
achievements:
  - {key: patron, name: Patron, when: spent >= 9.5}
  - {key: three, name: Three, when: days >= 3}
  - {key: both, name: Both, when: {all: [orders >= 2, days >= 4]}}
  - {key: liked, name: Liked, when: friends >= 1}
  - {key: well_travelled, name: Well Travelled, when: countries >= 3}
  - key: buyer
    name: Buyer
    conditions: {orders: orders}
    tiers: [{tier: bronze, at: {orders: 1}}, {tier: silver, at: {orders: 4}}]
"""


def run(folder: Path, examples: str, *options: str) -> Result:
    (folder / "shop.yaml").write_text(CATALOG + examples, encoding="utf-8")
    return CliRunner().invoke(app, ["test", str(folder / "shop.yaml"), *options])


def example(folder: Path, given: str, expect: str) -> Result:
    text = f"examples:\n  - name: the example\n    given: {given}\n    expect: {expect}\n"
    return run(folder, text, "--json")


def differences(folder: Path, given: str, expect: str) -> list[dict[str, Any]]:
    (verdict,) = json.loads(example(folder, given, expect).stdout)["examples"]
    found: list[dict[str, Any]] = verdict["differences"]
    return found


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("[{visit: , times: 3, every: 1d}]", "{awards: [three], not: [both], metrics: {days: 3}}"),
        ("[{visit: , times: 3}]", "{not: [three], metrics: {days: 1}}"),
        ("[{paid: {amount: 9.49}}]", "{not: [patron], progress: {patron: 99}, metrics: {spent: 9.49}}"),
        ("[{paid: {amount: 5}, times: 2}]", "{awards: [patron, buyer/bronze], progress: {both: 50, buyer: 50}}"),
        ("[{paid: {amount: 1}}]", "{only: [{key: buyer, tier: bronze}]}"),
        ("[{paid: {amount: 1}}, {refunded: {amount: 1}, at: +2h}]", "{awards: [buyer], metrics: {orders: 0}}"),
        ('[{paid: {amount: 1, country: "c{n}"}, times: 3}]', "{awards: [well_travelled]}"),
        ("[{visit: , id: v}, {visit: , id: v, at: +1d}]", "{metrics: {days: 1}}"),
        ("[{visit: , at: 2026-01-02T12:00:00Z}, {visit: , at: 2026-01-01T12:00:00Z}]", "{metrics: {days: 2}}"),
        (
            "[{visit: , at: 2026-01-01T23:30:00Z, timezone: Asia/Tokyo}, {visit: , at: +1m}]",
            "{metrics: {days: 2}}",
        ),
        (
            "[{paid: {amount: 1, friend: ben}}]",
            "[{not: [liked]}, {user: ben, only: [liked], metrics: {friends: 1}}]",
        ),
        ("[{visit: , user: ben}]", "[{user: ben, metrics: {days: 1}}, {metrics: {days: 0}}]"),
    ],
)
def test_what_is_as_expected_passes(tmp_path: Path, given: str, expect: str):
    assert differences(tmp_path, given, expect) == []


def test_an_award_that_is_missing_is_told_with_how_far_it_is(tmp_path: Path):
    ran = example(tmp_path, "[{visit: , times: 2, every: 1d}]", "{awards: [three]}")
    (verdict,) = json.loads(ran.stdout)["examples"]
    assert ran.exit_code == 1
    assert verdict == {
        "name": "the example",
        "line": CATALOG.count("\n") + 2,
        "passed": False,
        "differences": [
            {
                "user": "ada",
                "what": "award three",
                "expected": "earned",
                "got": "not earned (66 %)",
                "after": None,
            }
        ],
    }


@pytest.mark.parametrize("expect", ["{not: [three]}", "{only: []}"])
def test_an_award_too_many_is_told_with_the_step_that_earned_it(tmp_path: Path, expect: str):
    given = "[{paid: {amount: 1}, user: ben}, {visit: , times: 4, every: 1d, at: 2026-02-01T12:00:00Z}]"
    (found,) = differences(tmp_path, given, expect)
    assert (found["what"], found["got"]) == ("award three", "earned")
    assert found["after"] == "step 2 (visit, 2026-02-03T12:00:00Z)"


@pytest.mark.parametrize(
    ("expect", "what", "got"),
    [
        ("{metrics: {spent: 2}}", "metric spent", "1.00"),
        ("{metrics: {countries: 1}}", "metric countries", "0"),
        ("{progress: {patron: 11}}", "progress of patron", "10 %"),
        ("{level: 2}", "level", "no levels in this catalog"),
        ("{claims: [accepted]}", "claims", "none"),
        ("{revoked: [patron]}", "award patron", "not revoked"),
    ],
)
def test_each_difference_says_what_came_instead(tmp_path: Path, expect: str, what: str, got: str):
    (found,) = differences(tmp_path, "[{paid: {amount: 1}}]", expect)
    assert (found["what"], found["got"]) == (what, got)


def test_an_event_that_would_be_a_dead_letter_is_a_difference(tmp_path: Path):
    (found,) = differences(tmp_path, "[{paid: {amount: lots}}]", "{not: [patron]}")
    assert found["what"] == "the event"
    assert "amount" in found["got"]
    assert found["after"] == "step 1 (paid, 2026-01-05T12:00:00Z)"


def test_passing_and_differing_examples_are_told_one_after_the_other(tmp_path: Path):
    ran = run(
        tmp_path,
        "examples:\n"
        "  - {name: one visit, given: [{visit: }], expect: {metrics: {days: 1}}}\n"
        "  - {name: two visits, given: [{visit: }], expect: {metrics: {days: 2}}}\n",
    )
    assert ran.exit_code == 1
    line = CATALOG.count("\n") + 3
    assert ran.stdout == (
        "passed: one visit\n"
        f"DIFFERS: two visits (line {line})\n"
        "    ada: metric days: expected 2, got 1\n"
        f"{tmp_path / 'shop.yaml'}: 2 examples, 1 of them differ\n"
    )


def test_users_of_one_example_are_unknown_to_the_next(tmp_path: Path):
    ran = run(
        tmp_path,
        "examples:\n"
        "  - {name: a, given: [{visit: }], expect: {metrics: {days: 1}}}\n"
        "  - {name: b, given: [{visit: , at: 2026-01-06T12:00:00Z}], expect: {metrics: {days: 1}}}\n",
    )
    assert ran.exit_code == 0
    assert ran.stdout.endswith("2 examples, all passed\n")


def test_without_examples_it_says_so_and_ends_with_1(tmp_path: Path):
    ran = run(tmp_path, "")
    assert ran.exit_code == 1
    assert "has no examples" in ran.stdout


@pytest.mark.parametrize(
    ("given", "expect", "told"),
    [
        ("[{paied: {amount: 1}}]", "{}", "no event `paied` is declared; did you mean `paid`?"),
        ("[{friend_paid: }]", "{}", "no event `friend_paid` is declared"),
        ("[{visit: , paid: {amount: 1}}]", "{}", "`visit` and `paid` are two events"),
        ("[{user: ben}]", "{}", "the step names no event"),
        ("[{visit: , at: tomorrow}]", "{}", "'tomorrow' is no time with an offset"),
        ("[{visit: , at: 2026-01-01}]", "{}", "'2026-01-01' is no time with an offset"),
        ("[{visit: , every: 1y}]", "{}", "'1y' is no span of time"),
        ("[{visit: , times: 0}]", "{}", "0 cannot stand here; write 1 to 10000"),
        ("[{visit: , timezone: Mars}]", "{}", "'Mars' is no time zone"),
        ("[{claim: two}]", "{}", "no challenge `two` is listed"),
        ("{visit: }", "{}", "a mapping stands where a list belongs"),
        ("[]", "{award: [patron]}", "`award` means nothing here; did you mean `awards`?"),
        ("[]", "{awards: [patrons]}", "no achievement `patrons` is listed; did you mean `patron`?"),
        ("[]", "{awards: [{key: patron, of: x}]}", "`of` means nothing here"),
        ("[]", "{metrics: {order: 1}}", "no metric `order` is declared; did you mean `orders`?"),
        ("[]", "{metrics: {orders: many}}", "'many' is no number"),
        ("[]", "{claims: [yes]}", "`yes` is no answer to a claim"),
    ],
)
def test_what_an_example_cannot_say_is_a_finding_with_its_line(tmp_path: Path, given: str, expect: str, told: str):
    ran = example(tmp_path, given, expect)
    assert ran.exit_code == 2
    line = CATALOG.count("\n") + (3 if expect == "{}" else 4)
    assert f"shop.yaml:{line}: examples[0]." in ran.stderr
    assert told in ran.stderr


def test_a_catalog_with_findings_ends_with_2(tmp_path: Path):
    ran = run(tmp_path, "categories: buying\n")
    assert ran.exit_code == 2
    assert "categories" in ran.stderr
