"""`laurel catalog docs`: a catalog as a page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.catalogs import app
from schemas.errors import LaurelError

CATALOG = """
catalog: shop
version: 7
timezone: Europe/Paris
categories: [{key: loyalty, title: Loyalty}, {key: buying, title: Buying & more}]
events:
  paid: {topic: t, data: {amount: decimal(2)}}
  visit: {topic: t}
metrics:
  orders: {count: paid}
  spent: {sum: paid, of: data.amount}
  days: {streak: visit, every: day}
achievements:
  - key: first
    name: First <Order>
    category: buying
    icon: 🎁
    color_from: "#34d399"
    description: "Buy | something"
    when: orders >= 1
  - {key: ghost, name: Ghost, category: buying, secret: true, when: spent >= 99.5}
  - key: regular
    name: Regular
    category: loyalty
    icon: fa-star
    color_from: blue-500
    rarity: rare
    when: {all: [days >= 7, orders >= 2]}
  - {key: gone, name: Gone, category: loyalty, is_active: false, when: days >= 1}
"""
VOID = {"meta", "br"}


class Page(HTMLParser):
    """What is on it, and whether every element is closed where it belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(CATALOG, encoding="utf-8")
    return path


def written(file: Path, name: str, *options: str) -> str:
    out = file.with_name(name)
    ran = CliRunner().invoke(app, ["docs", str(file), "--out", str(out), *options])
    assert ran.exit_code == 0
    return out.read_text(encoding="utf-8")


def test_markdown_goes_to_stdout_categories_in_their_order(file: Path):
    text = CliRunner().invoke(app, ["docs", str(file)]).stdout
    assert text.startswith(
        "# Shop\n\nVersion 7: 2 achievements and 1 more that are secret. Days are counted in Europe/Paris.\n"
    )
    assert text.index("## Loyalty") < text.index("**Regular**") < text.index("## Buying & more")
    row = "| fa-star | **Regular** | visit on 7 days in a row and paid 2 times | rare, 50 points |"
    assert row in text


def test_what_means_something_to_markdown_is_escaped(file: Path):
    text = written(file, "page.md")
    assert r"| 🎁 | **First \<Order\>** | Buy \| something<br>paid once | common, 10 points |" in text


def test_secret_ones_are_listed_only_when_asked_for(file: Path):
    assert "Ghost" not in written(file, "page.md")
    assert "Ghost" not in written(file, "page.html")
    assert "amount of paid adding up to 99.5<br>secret" in written(file, "page.md", "--secret")


def test_what_cannot_be_earned_any_more_is_not_listed(file: Path):
    assert "Gone" not in written(file, "page.md", "--secret")


def test_the_html_page_is_whole_and_needs_nothing_else(file: Path):
    page = Page()
    text = written(file, "page.html")
    page.feed(text)
    assert page.open == []
    assert page.addresses == []
    assert "<script" not in text
    assert page.headings == ["Shop", "Loyalty", "Regular", "Buying & more", "First <Order>", "What is measured"]


def test_icons_and_colours_are_those_that_a_browser_knows(file: Path):
    text = written(file, "page.html")
    assert "linear-gradient(135deg, #34d399, #374151)" in text
    assert "🎁" in text
    assert "blue-500" not in text
    assert "★" in text


def test_every_bundled_achievement_has_its_place(tmp_path: Path):
    out = tmp_path / "trackflow.html"
    assert CliRunner().invoke(app, ["docs", "trackflow", "--out", str(out)]).exit_code == 0
    assert out.read_text(encoding="utf-8").count("<li id=") == 80


def test_another_format_is_refused(file: Path):
    ran = CliRunner().invoke(app, ["docs", str(file), "--out", "page.pdf"])
    assert isinstance(ran.exception, LaurelError)
    assert "F.html or F.md" in str(ran.exception)
