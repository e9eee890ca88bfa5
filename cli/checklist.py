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
WAITING = CHECKOUT / ACCEPTANCE / "waiting.txt"
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
    """Shapes: tests as pytest names them, without parameters; `not yet` has no test, `not run` no result.

    waits_for says what has to be there first, where there is no test.
    """

    id: str
    text: str
    tests: list[str]
    state: State
    waits_for: str | None


def command(
    as_json: JsonOption = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the table as Markdown, without results.")
    ] = None,
) -> None:
    """What the five products ask for, which test holds it, and how that ended in the last `laurel test`."""
    told = requirements(listed(LIST), collected(), results(RESULTS), listed(WAITING))
    if write is not None:
        write.write_text(page(told), encoding="utf-8")
    elif as_json:
        print_told(told)
    else:
        print_requirements(Console(highlight=False), told)


def listed(file: Path) -> dict[str, str]:
    """id -> what is said of it, in a line."""
    if not file.is_file():
        raise Precondition(f"there is no {file}: `laurel checklist` needs a checkout, start it with `./laurel`")
    lines = file.read_text(encoding="utf-8").splitlines()
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


def requirements(
    texts: Mapping[str, str], tests: Iterable[str], passed: Mapping[str, bool], waiting: Mapping[str, str]
) -> list[Requirement]:
    """In the order of the list. Raises: LaurelError when the lists and the tests do not fit together."""
    covering = covered(texts, tests)
    check_waiting(covering, waiting)
    return [
        Requirement(
            id=identity,
            text=text,
            tests=covering[identity],
            state=state(covering[identity], passed),
            waits_for=waiting.get(identity),
        )
        for identity, text in texts.items()
    ]


def covered(texts: Iterable[str], tests: Iterable[str]) -> dict[str, list[str]]:
    """Id -> the tests that name it. Raises: LaurelError when a test names what the list does not have."""
    covering: dict[str, list[str]] = {identity: [] for identity in texts}
    for test in tests:
        named = NAMED.match(test.partition("::")[2])
        if named:
            identity = f"{named[1]}.{named[2]}"
            if identity not in covering:
                raise LaurelError(f"{test} names {identity}, which {LIST.name} does not have: correct one of them")
            covering[identity].append(test)
    return covering


def check_waiting(covering: Mapping[str, list[str]], waiting: Mapping[str, str]) -> None:
    """Raises: LaurelError unless each requirement has either a test or something that it waits for."""
    if strange := waiting.keys() - covering.keys():
        raise LaurelError(f"{WAITING.name} has {told_ids(strange)}, which {LIST.name} does not have: take it out")
    held = {identity for identity, tests in covering.items() if tests}
    if done := held & waiting.keys():
        raise LaurelError(f"{WAITING.name} still has {told_ids(done)}, which has a test by now: take it out")
    if silent := covering.keys() - held - waiting.keys():
        raise LaurelError(f"{told_ids(silent)} has no test: write one, or say in {WAITING.name} what it waits for")


def told_ids(ids: Iterable[str]) -> str:
    return ", ".join(sorted(ids))


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
        f"{held} of {len(told)} have a test of their own. The others wait for what is not there yet:",
        "",
        *(f"- {what}: {count}" for what, count in waits(told).most_common()),
    ]
    for product, title in PRODUCTS.items():
        lines += ["", f"## {product}: {title}", "", "| id | asks for | test |", "|---|---|---|"]
        lines += [row(each) for each in told if each.id.startswith(f"{product}.")]
    return "\n".join(lines) + "\n"


def row(requirement: Requirement) -> str:
    tests = ", ".join(f"`{test.partition('::')[2]}`" for test in requirement.tests)
    return f"| {requirement.id} | {requirement.text} | {tests or f'not yet: {requirement.waits_for}'} |"


def waits(told: Iterable[Requirement]) -> Counter[str]:
    """What is waited for -> by how many."""
    return Counter(each.waits_for for each in told if each.waits_for)


def print_requirements(console: Console, told: list[Requirement]) -> None:
    table = Table("id", "state", "test", "asks for", box=None, pad_edge=False)
    for each in told:
        colour = COLOURS[each.state]
        tests = ", ".join(test.partition("::")[2] for test in each.tests) or f"waits for {each.waits_for}"
        table.add_row(each.id, f"[{colour}]{each.state}[/{colour}]", escape(tests), escape(each.text))
    console.print(table)
    counted = Counter(each.state for each in told)
    console.print(", ".join(f"{count} {name}" for name, count in counted.items()))
