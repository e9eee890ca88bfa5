"""`laurel test` itself, as far as it can run inside of a test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli import testing
from cli.stack.pipeline import CHECKOUT
from cli.testing import Run, lanes_of, run_tests, run_undisturbed, summarize

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


def test_what_is_asked_for_runs_alone_and_all_tests_in_three_lanes_that_leave_none_out() -> None:
    assert lanes_of(fast=False, args=["-k", "streak"]) == {"pytest": ["-k", "streak"]}
    assert [*lanes_of(fast=True, args=[])] == ["pytest"]
    without, half, other = lanes_of(fast=False, args=[]).values()
    assert without == ["-m", "not server"]
    assert (half, other) == (["-m", "server", "--share=1/2"], ["-m", "server", "--share=2/2"])


def test_shares_are_whole_files_and_leave_none_out(tmp_path: Path) -> None:
    """Files share what takes long to set up."""
    shutil.copy(CHECKOUT / "tests" / "conftest.py", tmp_path)
    for name in "abc":
        (tmp_path / f"test_{name}.py").write_text("def test_one(): ...\ndef test_two(): ...")
    alone = ["-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path)]

    def collected(share: str) -> list[str]:
        argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", f"--share={share}", *alone]
        told = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=True)
        return [line for line in told.stdout.splitlines() if "::" in line]

    assert collected("1/2") == [f"test_{name}.py::test_{test}" for name in "ac" for test in ("one", "two")]
    assert collected("2/2") == ["test_b.py::test_one", "test_b.py::test_two"]


BROKEN = """
import pytest

@pytest.fixture
def nothing():
    raise LookupError("no such sheep")

@pytest.mark.parametrize("sheep", [7, 8])
def test_counting(sheep):
    assert sheep == 8, "a sheep is missing\\nfrom the flock\\nof five"

def test_asking(nothing): ...
"""


def test_all_ends_with_what_failed_and_why_whichever_lane_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Somebody may see the last lines only, and a lane that passes says hundreds."""
    monkeypatch.setattr(testing, "RESULTS", tmp_path / "results")
    (tmp_path / "test_sheep.py").write_text(BROKEN)
    (tmp_path / "test_fine.py").write_text("def test_fine(): ...")
    alone = ["--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-c", "/dev/null"]
    lanes = {name: [*alone, str(tmp_path / f"test_{name}.py")] for name in ("sheep", "fine")}

    assert summarize(run_tests(lanes), seconds=7) == 1

    *_, details, last = capfd.readouterr().out.partition("\nsheep failed:\n")
    assert "short test summary" not in details
    relative = os.path.relpath(tmp_path, CHECKOUT)  # pytest names files by the shorter of the two
    assert [line.replace(relative, str(tmp_path)) for line in last.splitlines()] == [
        "  test_sheep.py::test_counting[7]",
        "    AssertionError: a sheep is missing",
        "      from the flock",
        f"    {tmp_path}/test_sheep.py:10: AssertionError",
        "  test_sheep.py::test_asking",
        '    failed on setup with "LookupError: no such sheep"',
        f"    {tmp_path}/test_sheep.py:6: LookupError",
        "laurel test: failed: sheep, 7 s",
    ]


def test_a_lane_that_passes_unseen_says_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(testing, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(testing, "PYTEST", [sys.executable, "-c", "print('many lines\\n2 passed')"])

    assert summarize(run_tests({"quiet": [], "seen": []}), seconds=7) == 0

    assert capfd.readouterr().out.endswith("\nquiet:\n2 passed\nlaurel test: all passed, 7 s\n")


def test_a_lane_that_dies_without_a_word_about_a_test_says_how_and_what_came_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(testing, "RESULTS", tmp_path / "results")
    dies = "import os; print('tests/faults ..', flush=True); os.kill(os.getpid(), 9)"
    monkeypatch.setattr(testing, "PYTEST", [sys.executable, "-c", dies])

    assert summarize(run_tests({"quiet": [], "seen": []})[:1], seconds=7) == 1

    told = capfd.readouterr().out.partition("\nquiet failed:\n")[2].splitlines()
    assert told[:2] == ["  pytest ended by SIGKILL without the name of a test", "    tests/faults .."]


def test_a_check_that_fails_says_so_at_the_end_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Checks come first, and two lanes of tests after them."""
    monkeypatch.setitem(
        testing.CHECKS, "style", ["python", "-c", "import sys; sys.exit('x.py:1: E501 Line too long')"]
    )

    failed = testing.check("style")
    capfd.readouterr()

    assert summarize([failed], seconds=7) == 1
    assert capfd.readouterr().out.splitlines() == [
        "",
        "style failed:",
        "    x.py:1: E501 Line too long",
        "laurel test: failed: style, 7 s",
    ]
