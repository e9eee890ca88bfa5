"""What is said about a catalog: every finding at once, each with its place and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.errors import BadCatalog

Path = tuple[str | int, ...]

NAMES_SHOWN_MAX = 8


class Finding(NamedTuple):
    """One thing to mend. `line` counts from 1."""

    file: str
    line: int
    path: str
    what: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: {self.path}: " if self.path else f"{self.file}:{self.line}: "
        return f"{place}{self.what}; {self.remedy}"


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, in the order of their lines."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: finding.line))


class RefusedCatalog(BadCatalog):
    """A catalog with findings, in the order of their lines."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = in_order(findings)
        super().__init__("\n".join(map(str, self.findings)))


class Report:
    """Collects the findings of one file, and the warnings: what reads well, and was hardly meant.

    Shapes: `lines` maps the path of every value to its line.
    """

    def __init__(self, file: str, lines: Mapping[Path, int]) -> None:
        self._file = file
        self._lines = lines
        self.findings: list[Finding] = []
        self.warnings: list[Finding] = []

    def add(self, path: Path, what: str, remedy: str, *, line: int | None = None) -> None:
        place = self._line(path) if line is None else line
        self.findings.append(Finding(self._file, place, written_path(path), what, remedy))

    def warn(self, path: Path, what: str, remedy: str) -> None:
        self.warnings.append(Finding(self._file, self._line(path), written_path(path), what, remedy))

    def _line(self, path: Path) -> int:
        """The line of a path, or of the nearest part of it that was written."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)


def written_path(path: Path) -> str:
    """metrics.songs.minus[0]"""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A remedy for a name nobody knows: what was probably meant, else what there is, or what to do `otherwise`."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean `{close[0]}`?"
    if otherwise or not names:
        return otherwise or "declare it first"
    more = ", …" if len(names) > NAMES_SHOWN_MAX else ""
    return "known are " + ", ".join(f"`{each}`" for each in names[:NAMES_SHOWN_MAX]) + more
