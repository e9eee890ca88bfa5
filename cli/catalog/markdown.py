"""A page as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cli.catalog.page import Badge, Entry, Fact, Page

MARKS = re.compile(r"([\\`*_\[\]<>|#])")


def markdown(page: Page) -> str:
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield from (f"# {plain(page.title)}", "", plain(page.about))
    for section in page.sections:
        yield from ("", f"## {plain(section.title)}", "")
        yield from ("| | Achievement | How | Worth |", "|---|---|---|---|")
        for entry in section.entries:
            yield from (_row(entry, badge) for badge in entry.badges)
    for title, facts in page.tables.items():
        yield from ("", f"## {title}", "", "| | |", "|---|---|")
        yield from map(_fact, facts)


def _row(entry: Entry, badge: Badge) -> str:
    name = f"**{plain(badge.name)}**" + (f" ({plain(badge.tier)})" if badge.tier else "")
    how = [plain(each) for each in (badge.description, badge.how, badge.notes) if each]
    worth = ", ".join(each for each in (badge.rarity, badge.reward) if each)
    return f"| {plain(entry.icon)} | {name} | {'<br>'.join(how)} | {plain(worth)} |"


def _fact(fact: Fact) -> str:
    return f"| {plain(fact.name)} | {plain(fact.told)} |"


def plain(text: str) -> str:
    """Text that means nothing to Markdown."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))
