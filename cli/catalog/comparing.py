"""`laurel catalog diff`: what a new version of a catalog means for users."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

import typer

from cli.catalog.changes import KINDS, Change, Compiled, changes
from cli.catalog_files import loaded
from cli.output import print_json
from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.errors import LaurelError
from schemas.program import Ledger

DIFFERENT = 5

Old = Annotated[str, typer.Argument(metavar="OLD", help="A path, or the name of a catalog that comes with Laurel.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="What comes after it, likewise.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ExitCodeOption = Annotated[bool, typer.Option("--exit-code", help="End with 5 when something changes for users.")]


def diff(old: Old, new: New, as_json: JsonOption = False, exit_code: ExitCodeOption = False) -> None:
    """Say what changes for users: gained, removed, renamed, harder, easier, points, metrics that start anew."""
    before, after = compiled(old), compiled(new)
    if before.program.catalog != after.program.catalog:
        raise LaurelError(
            f"'{after.program.catalog}' is another catalog than '{before.program.catalog}', "
            "and its awards are others: name two versions of one"
        )
    found = changes(before, after)
    if as_json:
        print_json(summary(before, after, found))
    else:
        print("\n".join(lines(before, after, found)))
    if exit_code and found:
        raise typer.Exit(DIFFERENT)


def compiled(named: str) -> Compiled:
    """Raises: RefusedCatalog."""
    file = loaded(named)
    return Compiled(*compile_catalog(read_catalog(file.text, file.name), Ledger()))


def summary(before: Compiled, after: Compiled, found: list[Change]) -> dict[str, object]:
    versions = {"old": before.program.version, "new": after.program.version}
    return {"catalog": after.program.catalog, **versions, "changes": [change._asdict() for change in found]}


def lines(before: Compiled, after: Compiled, found: list[Change]) -> list[str]:
    old, new = before.program, after.program
    told = [f"catalog '{new.catalog}', version {old.version} → {new.version}"]
    if old.sha256 != new.sha256 and new.version <= old.version:
        told.append(f"raise `version`: under {new.version} it is refused, its content being another")
    for kind, group in groupby(found, key=lambda change: change.kind):
        told += ["", KINDS[kind] + ":", *(f"  {each.subject}: {each.told}" for each in group)]
    return told if found else [*told, "nothing changes for users"]
