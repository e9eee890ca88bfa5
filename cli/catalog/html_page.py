"""A page as one HTML file that needs nothing else: no script, no font, no image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

from cli.catalog.page import Badge, Entry, Fact, Page, Section

COLOR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]+")  # what CSS understands; other names are a design system's own
DEFAULT_COLORS = ("#6b7280", "#374151")
NO_SIGN = "★"

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line) }
ul.badges { list-style: none; padding: 0; display: grid; gap: 1rem; \
grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)) }
ul.badges > li { border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; display: flex; gap: 1rem }
.icon { flex: none; width: 3rem; height: 3rem; border-radius: 50%; display: grid; place-items: center; \
font-size: 1.5rem; color: white }
h3 { margin: 0; font-size: 1.05rem } h4 { margin: .75rem 0 0; font-size: .95rem } p { margin: .25rem 0 }
.how { color: color-mix(in srgb, currentColor 75%, transparent) } .worth { font-size: .85rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--soft) }
"""


def html(page: Page) -> str:
    return "\n".join(_lines(page)) + "\n"


def _lines(page: Page) -> Iterator[str]:
    title = escape(page.title)
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}: achievements</title>\n<style>{STYLE}</style>\n</head>\n<body>"
    yield f"<h1>{title}</h1>\n<p>{escape(page.about)}</p>"
    for section in page.sections:
        yield from _section(section)
    for name, facts in page.tables.items():
        yield from _table(name, facts)
    yield "</body>\n</html>"


def _section(section: Section) -> Iterator[str]:
    yield f'<h2>{escape(section.title)}</h2>\n<ul class="badges">'
    for entry in section.entries:
        yield f'<li id="{escape(entry.key)}">{_icon(entry)}<div><h3>{escape(entry.name)}</h3>'
        yield from (_badge(badge) for badge in entry.badges)
        yield "</div></li>"
    yield "</ul>"


def _icon(entry: Entry) -> str:
    """An icon's name means something to a product's own font only; a sign stands for it."""
    sign = NO_SIGN if entry.icon.isascii() else entry.icon
    start, end = (
        said if COLOR.fullmatch(said) else default
        for said, default in zip((entry.color_from, entry.color_to), DEFAULT_COLORS, strict=True)
    )
    style = f"background: linear-gradient(135deg, {start}, {end})"
    return f'<span class="icon" aria-hidden="true" style="{style}">{escape(sign)}</span>'


def _badge(badge: Badge) -> str:
    lines = [f"<h4>{escape(badge.tier.capitalize())}</h4>"] if badge.tier else []
    lines += [f"<p>{escape(badge.description)}</p>"] if badge.description else []
    worth = " · ".join(each for each in (badge.rarity, badge.reward, badge.notes) if each)
    return "".join([*lines, f'<p class="how">{escape(badge.how)}</p><p class="worth">{escape(worth)}</p>'])


def _table(title: str, facts: list[Fact]) -> Iterator[str]:
    yield f"<h2>{escape(title)}</h2>\n<table>"
    yield from (f'<tr><th scope="row">{escape(each.name)}</th><td>{escape(each.told)}</td></tr>' for each in facts)
    yield "</table>"
