"""`laurel catalog`: what an author sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.catalogs import app
from schemas.errors import BadCatalog, Precondition

BAD = "catalog: shop\nversion: 1\nmetrics:\n  orders: {count: order}\n"


@pytest.fixture
def bad(tmp_path: Path) -> str:
    path = tmp_path / "shop.yaml"
    path.write_text(BAD, encoding="utf-8")
    return str(path)


def test_a_good_catalog_is_summed_up():
    ran = CliRunner().invoke(app, ["check", "trackflow"])

    assert ran.exit_code == 0
    assert "catalog 'trackflow' version 1 is good: 28 event types, 20 metrics, 80 achievements" in ran.stdout


def test_findings_are_printed_with_file_and_line_and_end_with_1(bad: str):
    ran = CliRunner().invoke(app, ["check", bad, "git"])

    assert ran.exit_code == 1
    assert f"{bad}:4: metrics.orders.count[0]: no event `order` is declared" in ran.stdout
    assert "catalog 'git' version 1 is good" in ran.stdout


def test_findings_are_one_json_object_for_programs(bad: str):
    ran = CliRunner().invoke(app, ["check", "--json", bad])

    (summary,) = json.loads(ran.stdout)["catalogs"]
    assert (ran.exit_code, summary["file"], summary["catalog"]) == (1, bad, None)
    assert summary["findings"] == [
        {
            "file": bad,
            "line": 4,
            "path": "metrics.orders.count[0]",
            "what": "no event `order` is declared",
            "remedy": "declare it first",
        }
    ]


def test_a_file_that_is_not_there_is_a_precondition():
    ran = CliRunner().invoke(app, ["check", "nowhere.yaml"])

    assert isinstance(ran.exception, Precondition)


def test_a_file_that_is_not_text_says_so(tmp_path: Path):
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"catalog: \xff")

    ran = CliRunner().invoke(app, ["check", str(path)])

    assert isinstance(ran.exception, BadCatalog)
    assert "byte 9 is not UTF-8" in str(ran.exception)


def test_one_bad_catalog_keeps_all_from_being_published(bad: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cli.catalogs.run", lambda work: pytest.fail("something was published"))

    ran = CliRunner().invoke(app, ["publish", "git", bad])

    assert isinstance(ran.exception, BadCatalog)
