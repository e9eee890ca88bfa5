"""A new version of a catalog beside the one before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.catalogs import app, published_before
from processor.evaluator.compile import compile_catalog
from schemas.catalog import Succession, follow, read_catalog
from schemas.program import CatalogRecord, Ledger, record_of

SHOP = """\
catalog: shop
version: 3
events:
  paid: {topic: shop, data: {amount: decimal(2)}}
metrics:
  orders: {count: paid}
  spent: {sum: paid, of: data.amount}
achievements:
  - {key: both, name: Both, when: {all: [orders >= 5, spent >= 9.5]}}
  - key: buyer
    name: Buyer
    conditions: {orders: orders}
    tiers: [{tier: bronze, at: {orders: 3}}, {tier: silver, at: {orders: 9}}]
ladders:
  - {metric: orders, steps: [{key: first, name: First, at: 1}, {key: tenth, name: Tenth, at: 10}]}
"""


def after(*changes: tuple[str, str]) -> Succession:
    text = SHOP.replace("version: 3", "version: 4")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return follow(read_catalog(SHOP, "old.yaml"), read_catalog(text, "shop.yaml"), text, "shop.yaml")


def line_of(fragment: str) -> int:
    return next(number for number, line in enumerate(SHOP.splitlines(), start=1) if fragment in line)


def test_a_higher_version_with_the_same_awards_is_nothing_to_speak_of():
    assert after() == Succession()
    assert after(("at: 10}", "at: 20}"), ("name: Both", "name: As Well")) == Succession()


def test_the_same_version_with_the_same_meaning_is_the_same_catalog():
    assert after(("version: 4", "version: 3 # still"), ("orders >= 5", "orders>=5")) == Succession()


def test_another_meaning_needs_a_higher_version():
    (finding,) = after(("version: 4", "version: 3"), ("name: Both", "name: As Well")).findings

    assert (finding.line, finding.path) == (2, "version")
    assert (finding.what, finding.remedy) == ("version 3 has other content already", "write `version: 4`")


@pytest.mark.parametrize(("name", "version"), [("Both", 3), ("As Well", 4)])
def test_a_version_does_not_sink(name: str, version: int):
    (finding,) = after(("version: 4", "version: 2"), ("name: Both", f"name: {name}")).findings

    assert finding.what == "version 2 lies behind version 3"
    assert finding.remedy == f"write `version: {version}`"


def test_another_catalog_is_no_version_of_this_one():
    found = after(("catalog: shop", "catalog: store"), ("{key: first, name: First, at: 1}, ", ""))

    assert [each.what for each in found.findings] == ["it is called `store`, and the version before it `shop`"]
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("at: 10}", "at: 7}", "`tenth` asks for 7 orders, 10 in version 3"),
        ("spent >= 9.5", "spent >= 2.5", "`both` asks for 2.5 spent, 9.5 in version 3"),
        ("at: {orders: 9}", "at: {orders: 4}", "`buyer/silver` asks for 4 orders, 9 in version 3"),
    ],
)
def test_a_lowered_threshold_is_a_warning_in_its_line(old: str, new: str, what: str):
    found = after((old, new))

    (warning,) = found.warnings
    assert (warning.what, warning.line) == (what, line_of(old))
    assert found.findings == ()


def test_a_threshold_is_compared_as_it_is_written():
    """With other decimal places it only looks smaller inside."""
    assert after(("decimal(2)", "decimal(1)")).warnings == ()


def test_an_award_that_is_gone_is_a_warning():
    found = after(("{key: first, name: First, at: 1}, ", ""), (", {tier: silver, at: {orders: 9}}", ""))

    assert [each.what for each in found.warnings] == [
        "`buyer/silver` of version 3 is not listed any more",
        "`first` of version 3 is not listed any more",
    ]


# --- as an author sees it ---


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(SHOP, encoding="utf-8")
    new.write_text(SHOP.replace("at: 10}", "at: 7}"), encoding="utf-8")
    return str(old), str(new)


def test_the_check_compares_with_a_version_that_is_named(files: tuple[str, str]):
    old, new = files

    ran = CliRunner().invoke(app, ["check", new, "--against", old])

    assert ran.exit_code == 1
    assert f"{new}:2: version: version 3 has other content already; write `version: 4`" in ran.stdout
    assert "warning: " in ran.stdout
    assert "`tenth` asks for 7 orders, 10 in version 3" in ran.stdout


def test_warnings_alone_do_not_fail_the_check(files: tuple[str, str]):
    old, new = files
    Path(new).write_text(SHOP.replace("at: 10}", "at: 7}").replace("version: 3", "version: 4"), encoding="utf-8")

    ran = CliRunner().invoke(app, ["check", new, "--against", old, "--json"])

    (summary,) = json.loads(ran.stdout)["catalogs"]
    assert (ran.exit_code, summary["findings"]) == (0, [])
    assert [each["what"] for each in summary["warnings"]] == ["`tenth` asks for 7 orders, 10 in version 3"]


def record(text: str) -> CatalogRecord:
    catalog = read_catalog(text, "shop.yaml")
    program, ledger = compile_catalog(catalog, Ledger())
    return record_of(program, ledger, text, "shop.yaml")


def test_the_version_before_is_the_newest_that_was_published_under_the_name():
    records = [record(SHOP.replace("version: 3", f"version: {version}")) for version in (2, 5, 4)]
    other = record(SHOP.replace("catalog: shop", "catalog: store"))
    new = read_catalog(SHOP, "shop.yaml")

    before = published_before([*records, other], new)

    assert before is not None
    assert (before.catalog, before.version) == ("shop", 5)
    assert published_before([other], new) is None
