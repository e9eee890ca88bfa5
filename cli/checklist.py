"""`laurel checklist`: what the five products ask for, the tests that hold it, and how these ended last."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal
from xml.etree import ElementTree

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.output import print_told
from cli.stack.pipeline import CHECKOUT
from cli.standings import JsonOption
from cli.testing import RESULTS
from schemas.errors import LaurelError, Precondition

ACCEPTANCE = "tests/acceptance"
LIST = CHECKOUT / ACCEPTANCE / "checklist.txt"
COLLECT = [
    sys.executable,
    "-m",
    "pytest",
    "--collect-only",
    "-q",
    "--no-header",
    "-p",
    "no:cacheprovider",
    ACCEPTANCE,
]
NAMED = re.compile(r"^test_(S\d)_(A?\d+)(?:_|$)")
PRODUCTS = {
    "S0": "Badges and their progress",
    "S1": "The platform",
    "S2": "Learners' milestones",
    "S3": "The interview trainer",
    "S4": "TrackFlow",
}
COLOURS = {"passed": "green", "failed": "red", "not run": "yellow", "not yet": "dim"}

State = Literal["passed", "failed", "not run", "not yet"]


class Requirement(msgspec.Struct, frozen=True, kw_only=True):
    """Shapes: tests as pytest names them, without parameters; `not yet` has no test, `not run` no result."""

    id: str
    text: str
    tests: list[str]
    state: State


def command(
    as_json: JsonOption = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the table as Markdown, without results.")
    ] = None,
) -> None:
    """What the five products ask for, which test holds it, and how that ended in the last `laurel test`."""
    told = requirements(listed(), collected(), results(RESULTS))
    if write is not None:
        write.write_text(page(told), encoding="utf-8")
    elif as_json:
        print_told(told)
    else:
        print_requirements(Console(highlight=False), told)


def listed() -> dict[str, str]:
    """id -> what it asks for, in a line."""
    if not LIST.is_file():
        raise Precondition(f"there is no {LIST}: `laurel checklist` needs a checkout, start it with `./laurel`")
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if not line.startswith("#"))


def collected() -> list[str]:
    """The acceptance tests that exist, as pytest names them. Raises: LaurelError when they cannot be read."""
    told = subprocess.run(COLLECT, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if told.returncode:
        raise LaurelError(f"pytest cannot collect {ACCEPTANCE}:\n{told.stdout}{told.stderr}")
    names = [line.partition("[")[0] for line in told.stdout.splitlines() if "::" in line]
    return list(dict.fromkeys(names))


def results(folder: Path) -> dict[str, bool]:
    """Test -> whether it passed, of those that ran; of one with parameters, whether all did."""
    passed: dict[str, bool] = {}
    for case in chain.from_iterable(ElementTree.parse(file).iter("testcase") for file in folder.glob("*.xml")):
        if case.find("skipped") is None:
            name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name', '').partition('[')[0]}"
            failed = case.find("failure") is not None or case.find("error") is not None
            passed[name] = passed.get(name, True) and not failed
    return passed


def requirements(texts: Mapping[str, str], tests: Iterable[str], passed: Mapping[str, bool]) -> list[Requirement]:
    """In the order of the list. Raises: LaurelError when a test names what the list does not have."""
    covering: dict[str, list[str]] = {identity: [] for identity in texts}
    for test in tests:
        named = NAMED.match(test.partition("::")[2])
        if named:
            identity = f"{named[1]}.{named[2]}"
            if identity not in covering:
                raise LaurelError(f"{test} names {identity}, which {LIST.name} does not have: correct one of them")
            covering[identity].append(test)
    return [
        Requirement(
            id=identity, text=texts[identity], tests=covering[identity], state=state(covering[identity], passed)
        )
        for identity in texts
    ]


def state(tests: list[str], passed: Mapping[str, bool]) -> State:
    if not tests:
        return "not yet"
    if any(passed.get(test) is False for test in tests):
        return "failed"
    return "passed" if all(test in passed for test in tests) else "not run"


def page(told: list[Requirement]) -> str:
    """The table as it is committed: which test holds what, and not how it ended."""
    held = sum(bool(each.tests) for each in told)
    lines = [
        "# Checklist",
        "",
        "What the five products ask for, and the test that holds it, from Kafka to what is told. Written by "
        "`laurel checklist --write docs/checklist.md`; `laurel checklist` says how the tests ended.",
        "",
        f"{held} of {len(told)} have a test of their own. The others ask for an HTTP API, pages and components, "
        "messages other than awards, boards, feeds and profiles, which are not there yet.",
    ]
    for product, title in PRODUCTS.items():
        lines += ["", f"## {product}: {title}", "", "| id | asks for | test |", "|---|---|---|"]
        lines += [row(each) for each in told if each.id.startswith(f"{product}.")]
    return "\n".join(lines) + "\n"


def row(requirement: Requirement) -> str:
    tests = ", ".join(f"`{test.partition('::')[2]}`" for test in requirement.tests)
    return f"| {requirement.id} | {requirement.text} | {tests or 'not yet'} |"


def print_requirements(console: Console, told: list[Requirement]) -> None:
    table = Table("id", "state", "test", "asks for", box=None, pad_edge=False)
    for each in told:
        colour = COLOURS[each.state]
        tests = ", ".join(test.partition("::")[2] for test in each.tests)
        table.add_row(each.id, f"[{colour}]{each.state}[/{colour}]", escape(tests), escape(each.text))
    console.print(table)
    counted = Counter(each.state for each in told)
    console.print(", ".join(f"{count} {name}" for name, count in counted.items()))
