"""`laurel test` itself, as far as it can run inside of a test."""

from __future__ import annotations

import signal
import sys

import pytest

from cli.testing import Run, lanes_of, run_undisturbed

KEEPS_NONE = "import sys; sys.exit(sys.dont_write_bytecode or sys.pycache_prefix is not None)"


def test_the_tests_keep_their_bytecode_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it CPython before 3.11.8 dies now and then while pytest rewrites its plugins."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/nonexistent")

    assert run_undisturbed([Run([sys.executable, "-c", KEEPS_NONE])]) == [0]


def test_the_tests_hear_ctrl_c_also_when_they_were_started_in_the_background() -> None:
    deaf = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        hears = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
        assert run_undisturbed([Run([sys.executable, "-c", hears])]) == [0]
    finally:
        signal.signal(signal.SIGINT, deaf)


def test_each_of_two_that_run_side_by_side_has_its_own_end() -> None:
    ends = [Run([sys.executable, "-c", f"import sys; sys.exit({code})"]) for code in (0, 3)]
    assert run_undisturbed(ends) == [0, 3]


def test_what_is_asked_for_runs_alone_and_all_tests_in_two_lanes_that_leave_none_out() -> None:
    assert lanes_of(fast=False, args=["-k", "streak"]) == {"pytest": ["-k", "streak"]}
    assert [*lanes_of(fast=True, args=[])] == ["pytest"]
    first, second = lanes_of(fast=False, args=[]).values()
    assert first == ["-m", "faults or benchmark or not server"]
    assert second == ["-m", "server and not faults and not benchmark"]
