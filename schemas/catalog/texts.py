"""What people read of an entry: its texts, in every language, and the holes in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.catalog.findings import Path, Report
from schemas.catalog.language import WrittenChallenge, WrittenFace, WrittenLevels, WrittenTexts
from schemas.catalog.model import Texts

HOLE = re.compile(r"\{[^{}]*\}")
FILLED = ("description", "message")

Worded = WrittenFace | WrittenLevels | WrittenChallenge


def read_translations(said: Mapping[str, WrittenTexts]) -> dict[str, Texts]:
    return {language: Texts(**texts.model_dump()) for language, texts in said.items()}


def check_texts(path: Path, said: Worded, holes: Iterable[str], language: str, report: Report) -> None:
    """Every hole is filled, in every language, and no language is the catalog's own.

    Shapes: `holes` are the names that are filled where this stands.
    """
    fills = {f"{{{name}}}" for name in holes}
    _check_holes(path, {name: getattr(said, name) for name in FILLED}, fills, report)
    for tag, texts in said.translations.items():
        place = (*path, "translations", tag)
        _check_holes(place, {name: getattr(texts, name) for name in FILLED}, fills, report)
        check_language(place, tag, language, report)


def check_language(path: Path, tag: str, language: str, report: Report) -> None:
    if tag == language:
        report.add(path, f"`{tag}` is the catalog's own language", "write these words where the others stand")


def _check_holes(path: Path, texts: Mapping[str, Any], fills: set[str], report: Report) -> None:
    known = (
        f"filled here: {', '.join(f'`{each}`' for each in sorted(fills))}" if fills else "nothing is filled here"
    )
    for name, text in texts.items():
        for hole in HOLE.findall(text):
            if hole not in fills:
                report.add((*path, name), f"nothing fills `{hole}` here", f"{known}; write the words themselves")
