"""Figures into documentation: by the command that measured them, between markers, with date and machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from schemas.errors import LaurelError

CPU_MODEL = re.compile(r"^model name\s*: (.+)$", re.MULTILINE)


def write_between(document: Path, name: str, text: str) -> None:
    """Replace what stands between a document's markers of that name. Raises: LaurelError when there are none."""
    head, tail = around(document, name)
    document.write_text(f"{head}{text.strip()}\n{tail}")


def around(document: Path, name: str) -> tuple[str, str]:
    """What stands before and behind the place of that name, markers included. Raises: as `write_between`."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    head, found, rest = document.read_text().partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise LaurelError(f"{document} has no markers '{begin.strip()}' and '{end}': write them where it should go")
    return head + begin, end + tail


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def where_and_when(versions: str = "") -> str:
    """A line that says on what a figure was measured."""
    model = CPU_MODEL.search(Path("/proc/cpuinfo").read_text())
    cpu = model.group(1) if model else platform.machine()
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores of {cpu}, Linux {platform.release()}, "
        f"CPython {platform.python_version()}{', ' + versions if versions else ''}.\n"
    )
