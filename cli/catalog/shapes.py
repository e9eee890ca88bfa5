"""Parts of an examples section of the shape that is wanted; what is not is reported, and read as nothing."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.shape import shown


class Shapes:
    def __init__(self, report: Report) -> None:
        self.report = report

    def listed(self, path: Path, said: object) -> list[Any]:
        if isinstance(said, list):
            return said
        self.report.add(path, f"{shown(said)} stands where a list belongs", "write `- …` lines, or […]")
        return []

    def mapping(self, path: Path, said: object, known: Collection[str] | None = None) -> dict[str, Any]:
        """A mapping of these words only; of any where `known` is None."""
        if not isinstance(said, dict):
            self.report.add(path, f"{shown(said)} stands where a mapping belongs", "write {name: value}")
            return {}
        for word in [] if known is None else sorted(said.keys() - set(known)):
            self.report.add((*path, word), f"`{word}` means nothing here", nearest(word, known or ()))
        return said

    def number(self, path: Path, said: object) -> int | Decimal:
        if isinstance(said, int | Decimal) and not isinstance(said, bool):
            return said
        self.report.add(path, f"{shown(said)} is no number", "write a number, without quotes")
        return 0
