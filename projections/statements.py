"""The SQL of a module, from the file beside it: statements under `-- name: …` lines."""

from __future__ import annotations

import re
from importlib import resources

NAME_LINE = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def statements(file: str, package: str = "projections") -> dict[str, bytes]:
    """Name -> statement of a .sql file of a package."""
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    _, *parts = NAME_LINE.split(text)
    return {name: body.strip().encode() for name, body in zip(parts[::2], parts[1::2], strict=True)}
