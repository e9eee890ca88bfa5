"""`laurel catalog test`: whether a catalog does what its examples say."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cli.catalog.examples import read_examples
from cli.catalog.verdicts import Verdict, judge
from cli.catalog_files import loaded
from cli.output import print_json
from processor.evaluator.compile import compile_catalog
from schemas.catalog import RefusedCatalog, read_catalog
from schemas.program import Ledger

FAILED, UNREADABLE = 1, 2

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A path, or the name of a catalog that comes with Laurel.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def try_examples(file: File, as_json: JsonOption = False) -> None:
    """Run the examples of a catalog, without a broker.

    Exit code 1 when one of them differs, or when there are none; 2 when the catalog or an example cannot be read.
    """
    try:
        verdicts = verdicts_of(file)
    except RefusedCatalog as refused:
        print(refused, file=sys.stderr)
        raise typer.Exit(UNREADABLE) from None
    passed = bool(verdicts) and all(verdict.passed for verdict in verdicts)
    if as_json:
        print_json({"file": file, "passed": passed, "examples": [verdict.told for verdict in verdicts]})
    else:
        print("\n".join([*map(told, verdicts), summary(file, verdicts)]))
    if not passed:
        raise typer.Exit(FAILED)


def verdicts_of(named: str) -> list[Verdict]:
    """Raises: RefusedCatalog."""
    file = loaded(named)
    program, ledger = compile_catalog(read_catalog(file.text, file.name), Ledger())
    return [judge(example, program, ledger) for example in read_examples(file.text, file.name, program)]


def told(verdict: Verdict) -> str:
    if verdict.passed:
        return f"passed: {verdict.example.name}"
    lines = [f"DIFFERS: {verdict.example.name} (line {verdict.example.line})"]
    return "\n".join([*lines, *(f"    {difference}" for difference in verdict.differences)])


def summary(file: str, verdicts: list[Verdict]) -> str:
    if not verdicts:
        return f"{file} has no examples: write some under `examples:`, see docs/catalog-language.md"
    differing = sum(not verdict.passed for verdict in verdicts)
    return f"{file}: {len(verdicts)} examples, " + (f"{differing} of them differ" if differing else "all passed")
