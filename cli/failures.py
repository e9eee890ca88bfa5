"""Why a check or tests failed, in the few lines with which `laurel test` ends: whoever sees only these knows it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

REASON_LINES_MAX = 2
SAID_LINES_MAX = 15
WIDTH_MAX = 200


def failures_of_tests(results: Path, code: int, said: str) -> list[str]:
    """What failed in the pytest that left this junit file, or how it ended without naming any test.

    Shapes: said is what it printed; empty when that was seen as it went.
    """
    named = [*failed_tests(results)] if results.is_file() else []
    return named or [f"pytest ended {way_of(code)} without the name of a test", *last_lines(said)]


def failed_tests(results: Path) -> Iterator[str]:
    for case in ElementTree.parse(results).iter("testcase"):
        for fate in chain(case.iter("failure"), case.iter("error")):
            yield name_of(case)
            yield from (f"  {line}" for line in reason(fate))


def name_of(case: ElementTree.Element) -> str:
    """As pytest takes it; what could not even be collected has a file's name for its own."""
    path = case.get("classname", "").replace(".", "/")
    return f"{path}.py::{case.get('name')}" if path else f"{case.get('name')}"


def reason(fate: ElementTree.Element) -> list[str]:
    """What it says, and where: the last line of pytest's account is the place."""
    told = full_lines(fate.get("message", ""))[:REASON_LINES_MAX]
    return [line[:WIDTH_MAX] for line in (*told, *full_lines(fate.text or "")[-1:])]


def way_of(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with {code}"


def last_lines(said: str) -> list[str]:
    return [f"  {line[:WIDTH_MAX]}" for line in full_lines(said)[-SAID_LINES_MAX:]]


def full_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
