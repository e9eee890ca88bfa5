"""Catalogs named on the command line: a path, or the name of one that comes with Laurel."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from schemas.errors import BadCatalog, Precondition


class CatalogFile(NamedTuple):
    """A catalog's text, and the name that messages about it carry."""

    text: str
    name: str


def catalog_file(named: str) -> CatalogFile:
    """Raises: Precondition when there is neither such a file nor such a bundled catalog."""
    path = Path(named)
    if path.is_file():
        return CatalogFile(path.read_text(encoding="utf-8"), named)
    bundled = resources.files("catalogs").joinpath(f"{named}.yaml")
    if named.isidentifier() and bundled.is_file():
        return CatalogFile(bundled.read_text(encoding="utf-8"), f"catalogs/{named}.yaml")
    raise Precondition(
        f"catalog '{named}' is no file, and none of the bundled ones ({', '.join(bundled_catalogs())}): "
        "give a path, or one of these names"
    )


def loaded(named: str) -> CatalogFile:
    """Raises: Precondition when there is no such file; BadCatalog when it is not text."""
    try:
        return catalog_file(named)
    except UnicodeDecodeError as error:
        raise BadCatalog(f"{named}: byte {error.start} is not UTF-8: save the file as UTF-8") from None


def bundled_catalogs() -> list[str]:
    files = resources.files("catalogs").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))
