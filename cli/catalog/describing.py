"""`laurel catalog docs`: a catalog as one readable page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.catalog.html_page import html
from cli.catalog.markdown import markdown
from cli.catalog.page import page_of
from cli.catalog_files import loaded
from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.errors import LaurelError
from schemas.program import Ledger

FORMATS = {".html": html, ".md": markdown}

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A path, or the name of a catalog that comes with Laurel.")
]
OutOption = Annotated[str | None, typer.Option("--out", help="F.html or F.md; without it, Markdown on stdout.")]
SecretOption = Annotated[bool, typer.Option("--secret", help="List what is secret, too.")]


def docs(file: File, out: OutOption = None, secret: SecretOption = False) -> None:
    """Write a page of all there is to earn: categories, tiers, conditions in words, points."""
    render = FORMATS.get(Path(out).suffix if out else ".md")
    if render is None:
        raise LaurelError(f"'{out}' is neither a page nor Markdown: name it F.html or F.md")
    catalog = loaded(file)
    program, _ = compile_catalog(read_catalog(catalog.text, catalog.name), Ledger())
    text = render(page_of(program, secret))
    if out is None:
        print(text, end="")
        return
    Path(out).write_text(text, encoding="utf-8")
    print(f"{out}: {len(text):,} characters")
