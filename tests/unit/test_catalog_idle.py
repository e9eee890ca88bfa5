"""What reads well and decides nothing: a warning for its author, never a reason to refuse a catalog."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.catalogs import app
from schemas.catalog import Finding, judge_catalog
from schemas.program import All, AtLeast, Condition, implies
from schemas.program import Any as AnyOf

SHOP = """\
catalog: shop
version: 1
events:
  paid: {topic: shop, data: {amount: integer}}
  visit: {topic: shop, data: {long: boolean}}
metrics:
  orders: {count: paid}
  visits: {count: visit}
  days: {streak: visit, every: day}
levels: {of: orders, curve: [0, 10, 20]}
achievements:
  - {key: first, name: First, when: orders >= 1}
  - {key: badge, name: Badge, conditions: {paid: orders},
     tiers: [{tier: bronze, at: {paid: 3}}, {tier: silver, at: {paid: 9}}, {tier: gold, at: {paid: 27}}]}
"""


def warnings_of(metrics: str = "", achievements: str = "") -> tuple[Finding, ...]:
    text = SHOP.replace("levels:", f"{metrics}levels:") + achievements
    return judge_catalog(text, "shop.yaml").warnings


def asking(when: str) -> list[tuple[int, str, str]]:
    """Line, place and words of what is warned of in such a condition."""
    said = warnings_of(achievements=f"  - {{key: last, name: Last, when: {when}}}\n")
    return [(each.line, each.path.removeprefix("achievements[2].when."), each.what) for each in said]


@pytest.mark.parametrize(
    ("when", "path", "what"),
    [
        (
            "{all: [orders >= 5, orders >= 10]}",
            "all[0]",
            "`orders >= 5` holds wherever `orders >= 10` does: it asks for nothing more",
        ),
        (
            "{any: [orders >= 5, orders >= 10]}",
            "any[1]",
            "wherever `orders >= 10` holds, `orders >= 5` does already: it decides nothing",
        ),
        (
            "{any: [orders >= 5, {all: [visits >= 2, orders >= 5]}]}",
            "any[1]",
            "wherever `{all: [visits >= 2, orders >= 5]}` holds, `orders >= 5` does already: it decides nothing",
        ),
        (
            "{all: [{any: [orders >= 5, visits >= 2]}, visits >= 3]}",
            "all[0]",
            "`{any: [orders >= 5, visits >= 2]}` holds wherever `visits >= 3` does: it asks for nothing more",
        ),
        (
            "{all: [{any: [orders >= 5, visits >= 2]}, {any: [visits >= 2, orders >= 5]}]}",
            "all[1]",
            "`{any: [visits >= 2, orders >= 5]}` holds wherever `{any: [orders >= 5, visits >= 2]}` does: "
            "it asks for nothing more",
        ),
        (
            "{all: [level >= 2, orders >= 10]}",
            "all[1]",
            "`orders >= 10` holds wherever `level >= 2` does: it asks for nothing more",
        ),
    ],
)
def test_a_condition_that_another_contains_is_told_in_its_line(when: str, path: str, what: str):
    assert asking(when) == [(len(SHOP.splitlines()) + 1, path, what)]


@pytest.mark.parametrize(
    "when",
    [
        "{all: [orders >= 5, visits >= 10]}",
        "{any: [orders >= 5, {all: [orders >= 3, visits >= 2]}]}",
        "{all: [orders >= 5, {any: [orders >= 9, visits >= 2]}]}",
        "{any: [{all: [orders >= 5, visits >= 1]}, {all: [orders >= 1, visits >= 5]}]}",
    ],
)
def test_where_every_part_decides_nothing_is_told(when: str):
    assert asking(when) == []


TREES: st.SearchStrategy[Condition] = st.recursive(
    st.builds(AtLeast, metric=st.sampled_from("abc"), at=st.integers(1, 3)),
    lambda parts: st.builds(
        lambda kind, of: kind(of=of), st.sampled_from([All, AnyOf]), st.lists(parts, min_size=1, max_size=3)
    ),
    max_leaves=6,
)
VALUES = [dict(zip("abc", values, strict=True)) for values in product(range(4), repeat=3)]


def holds(condition: Condition, values: dict[str, int]) -> bool:
    if isinstance(condition, AtLeast):
        return values[condition.metric] >= condition.at
    parts = [holds(part, values) for part in condition.of]
    return all(parts) if isinstance(condition, All) else any(parts)


@given(TREES, TREES)
def test_what_is_said_to_contain_another_does_for_every_value(one: Condition, other: Condition):
    if implies(one, other):
        assert all(holds(other, values) for values in VALUES if holds(one, values))


@pytest.mark.parametrize(
    "freezes", ["visit", "[paid, visit]", "[{visit: {where: {data.long: true}}}]"], ids=["type", "list", "where"]
)
def test_a_freeze_with_every_event_that_counts_is_told(freezes: str):
    counted = "{visit: {where: {data.long: true}}}" if "where" in freezes else "visit"

    (warning,) = warnings_of(f"  kept: {{streak: [{counted}], every: day, freezes: {freezes}}}\n")

    assert warning.what == "every `visit` that counts gives a freeze too: every other day may be missed"
    assert warning.path == ("metrics.kept.freezes[1]" if "paid" in freezes else "metrics.kept.freezes[0]")


@pytest.mark.parametrize("freezes", ["paid", "[{visit: {where: {data.long: true}}}]"])
def test_a_freeze_with_some_of_them_is_a_rule_like_any(freezes: str):
    assert warnings_of(f"  kept: {{streak: visit, every: day, freezes: {freezes}}}\n") == ()


@pytest.mark.parametrize(
    ("requires", "what"),
    [
        ("[badge/gold, badge/bronze]", "nobody has `badge/gold` without `badge/bronze`: it asks for nothing more"),
        ("[badge, badge/bronze]", "nobody has `badge/bronze` without `badge`: it asks for nothing more"),
    ],
)
def test_a_tier_that_a_higher_one_contains_is_told(requires: str, what: str):
    (warning,) = warnings_of(
        achievements=f"  - {{key: last, name: Last, when: visits >= 1, requires: {requires}}}\n"
    )

    assert warning.what == what


def test_different_requirements_are_nothing_to_speak_of():
    said = "  - {key: last, name: Last, when: visits >= 1, requires: [badge/silver, first]}\n"

    assert warnings_of(achievements=said) == ()


def test_two_names_for_one_metric_in_tiers_are_told():
    said = (
        "  - {key: two, name: Two, conditions: {a: orders, b: orders}, tiers: [{tier: bronze, at: {a: 1, b: 2}}]}\n"
    )

    (warning,) = warnings_of(achievements=said)

    assert (warning.path, warning.what) == (
        "achievements[2].conditions.b",
        "`b` and `a` ask for the same `orders`: only the larger number decides",
    )


def check(path: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["check", str(path), *arguments])


def test_the_check_tells_warnings_and_passes(tmp_path: Path):
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP + "  - {key: last, name: Last, when: {all: [orders >= 5, orders >= 10]}}\n", "utf-8")

    ran, for_programs = check(path), json.loads(check(path, "--json").stdout)

    assert ran.exit_code == 0
    assert f"warning: {path}:15: achievements[2].when.all[0]: `orders >= 5` holds wherever" in ran.stdout
    assert [each["line"] for each in for_programs["catalogs"][0]["warnings"]] == [15]
