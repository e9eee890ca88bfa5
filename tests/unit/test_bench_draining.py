"""What a process costs, while others come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import draining
from bench.draining import cpu_s_of, peak_mb_of


@pytest.fixture
def gone() -> str:
    """The pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return str(child.pid)


def test_processes_that_end_while_all_are_looked_at_are_left_out(
    gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining.os, "listdir", lambda _: [str(os.getpid()), gone, "meminfo"])

    assert cpu_s_of(os.getpid()) > 0
    assert peak_mb_of(os.getpid()) > 0
    assert (cpu_s_of(int(gone)), peak_mb_of(int(gone))) == (0, 0)


def test_a_process_may_end_between_its_listing_and_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """As reading of a file in /proc fails then; a pattern over /proc fails as a whole."""

    def vanish(_: Path) -> str:
        raise ProcessLookupError(3, "No such process")

    def vanish_all(_: Path, __: str) -> Iterator[Path]:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(Path, "read_text", vanish)
    monkeypatch.setattr(Path, "glob", vanish_all)

    assert (cpu_s_of(os.getpid()), peak_mb_of(os.getpid())) == (0, 0)
