"""The table of docs/reliability.md names tests that exist, and every fault that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cli.faults.catalogue import FAULTS
from cli.faults.invariants import INVARIANTS
from cli.faults.report import BEGIN, END

REPOSITORY = Path(__file__).parents[2]
DOCUMENT = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
CASE = re.compile(r"`\[([^\]]+)\]`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
COLUMNS = 4


def rows() -> list[str]:
    section = DOCUMENT.partition("## The faults")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def names_in(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("row", rows(), ids=[row.split("|")[1].strip()[:40] for row in rows()])
def test_every_row_names_a_test_that_exists(row: str) -> None:
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == COLUMNS
    assert all(cells)
    cases, tests = CASE.findall(cells[-1]), TEST.findall(cells[-1])
    assert cases or tests
    assert set(cases) <= {fault.name for fault in FAULTS}
    for path, name in tests:
        assert name in names_in(path), f"{path} has no test {name}"


def test_every_fault_has_its_place_in_the_table() -> None:
    named = [case for row in rows() for case in CASE.findall(row)]

    assert sorted(named) == sorted(fault.name for fault in FAULTS)


def test_every_invariant_is_explained() -> None:
    assert re.findall(r"^\| (I\d) \|", DOCUMENT, re.MULTILINE) == [name for name, _, _ in INVARIANTS]


def test_the_report_of_a_soak_has_its_place() -> None:
    assert DOCUMENT.index(BEGIN) < DOCUMENT.index(END)
