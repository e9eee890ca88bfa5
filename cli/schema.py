"""`laurel schema`: the contract as files for programs in any language, and whether they are up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.catalog_files import bundled_catalogs, catalog_file
from schemas.asyncapi import asyncapi
from schemas.catalog import read_catalog
from schemas.errors import Precondition
from schemas.json_schema import json_schemas

PUBLISHED = Path(__file__).parent.parent / "schemas" / "published"
DIFFERENCES = 5

app = typer.Typer(no_args_is_help=True, help="Export the contract as JSON Schema and AsyncAPI.")


@app.callback()
def group() -> None:
    """Keeps `export` a word of its own while it is the only verb."""


@app.command()
def export(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 5 on a difference.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the files are.")] = PUBLISHED,
) -> None:
    """Write every schema and the AsyncAPI document."""
    texts = published_texts()
    differing = differences(texts, folder)
    if check:
        for name in differing:
            print(f"{folder / name} is not what `laurel schema export` writes: run it and commit what it changed")
        raise typer.Exit(DIFFERENCES if differing else 0)
    write(texts, differing, folder)
    print(f"{len(texts)} files in {folder}, {len(differing)} of them new, changed or gone")


def published_texts() -> dict[str, str]:
    """The text of every file by its path within the folder."""
    catalogs = [read_catalog(*catalog_file(name)) for name in bundled_catalogs()]
    documents = {**json_schemas(catalogs), "asyncapi.json": asyncapi(catalogs)}
    return {name: text_of(document) for name, document in documents.items()}


def text_of(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def differences(texts: dict[str, str], folder: Path) -> list[str]:
    """Files that are missing, that differ, or that nobody writes any more."""
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.json")}
    changed = [
        name for name, text in texts.items() if name not in there or there[name].read_text(encoding="utf-8") != text
    ]
    return sorted([*changed, *(name for name in there if name not in texts)])


def write(texts: dict[str, str], differing: list[str], folder: Path) -> None:
    """Raises: Precondition where the folder cannot be written."""
    try:
        for name in differing:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in texts:
                path.write_text(texts[name], encoding="utf-8")
            else:
                path.unlink()
    except OSError as error:
        raise Precondition(f"{folder} cannot be written: {error.strerror}; name another with --folder") from None
