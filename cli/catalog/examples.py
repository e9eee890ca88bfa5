"""The examples beside a catalog, by which its author tests it. They are no part of what the catalog means."""

from __future__ import annotations

from typing import NamedTuple

from cli.catalog.expected import Expectation, ExpectationReader
from cli.catalog.given import Given, GivenReader
from cli.catalog.shapes import Shapes
from schemas.catalog.findings import RefusedCatalog
from schemas.catalog.source import Source
from schemas.program import CatalogProgram


class Example(NamedTuple):
    """Shapes: `line` is where it stands in its file."""

    name: str
    line: int
    given: list[Given]
    expected: list[Expectation]


def read_examples(text: str, file: str, program: CatalogProgram) -> list[Example]:
    """The examples of a catalog file. Raises: RefusedCatalog with every finding."""
    source = Source(text, file)
    shapes = Shapes(source.report)
    given, expected = GivenReader(program, source.report), ExpectationReader(program, source.report)
    examples = []
    for place, said in enumerate(shapes.listed(("examples",), source.data.get("examples") or [])):
        path = ("examples", place)
        words = shapes.mapping(path, said, ("name", "given", "expect"))
        expect = words.get("expect")
        each = expect if isinstance(expect, list) else [expect]
        examples.append(
            Example(
                name=str(words.get("name") or f"example {place + 1}"),
                line=source.lines[path],
                given=list(given.read((*path, "given"), words.get("given"))),
                expected=[expected.read((*path, "expect"), one) for one in each],
            )
        )
    if source.report.findings:
        raise RefusedCatalog(source.report.findings)
    return examples
