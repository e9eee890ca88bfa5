"""The launcher in a checkout of its own with nothing to install, so that no network is needed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUREL = Path(__file__).parents[2] / "laurel"
COMMAND = "import json, os, sys\nprint(json.dumps([sys.prefix, os.getcwd(), sys.argv[1:]]))\n"
DEADLINE_SECONDS = 180

# Root may write everywhere. What the launcher imports comes first, as this Python may lie where only root reads.
UNPRIVILEGED = """
import fcntl, hashlib, os, pathlib, pkgutil, runpy, sys
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.fixture
def checkout(open_folder: Path) -> Path:
    root = open_folder / "checkout"
    for folder in ("cli", "requirements"):
        (root / folder).mkdir(parents=True)
    for lock in ("runtime", "dev"):
        (root / "requirements" / f"{lock}.txt").write_text(f"# {lock}: nothing\n")
    (root / "cli" / "__init__.py").touch()
    (root / "cli" / "main.py").write_text(COMMAND)
    shutil.copy(LAUREL, root)
    return root


def launch(root: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return run([root / "laurel", *args], root, **environ)


def run(argv: list[str | Path], root: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *argv],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
        cwd=root.parent,
        env={**os.environ, "LAUREL_VENV": "", **environ},
    )


PRETENDER = """#!/bin/sh
case "$*" in
    *process_time*) echo "{seconds} $0" ;;
    *) exec {python} "$@" ;;
esac
"""


def pretend(folder: Path, seconds: float) -> Path:
    """Another build of this Python, which says that it takes so long."""
    python = folder / "python{}.{}".format(*sys.version_info)
    folder.mkdir()
    python.write_text(PRETENDER.format(seconds=seconds, python=sys.executable))
    python.chmod(0o755)
    return python


def test_the_environment_is_made_with_the_fastest_build_of_the_version_on_path(checkout: Path) -> None:
    slow, fast = pretend(checkout.parent / "slow", 100.0), pretend(checkout.parent / "fast", 0.000_001)
    folders = os.pathsep.join([str(slow.parent), str(fast.parent), os.environ["PATH"]])

    assert f" for {fast} (once)" in launch(checkout, "publish", "x", PATH=folders).stderr


def test_a_build_that_does_not_run_is_passed_over(checkout: Path) -> None:
    broken = pretend(checkout.parent / "broken", 0.0)
    broken.write_text("no program")
    folders = os.pathsep.join([str(broken.parent), os.environ["PATH"]])

    told = launch(checkout, "publish", "x", PATH=folders)

    assert (told.returncode, str(broken) in told.stderr) == (0, False)


def test_the_first_start_installs_and_the_next_ones_do_not(checkout: Path) -> None:
    first, second = launch(checkout, "publish", "x"), launch(checkout, "publish", "x")
    assert first.stdout == second.stdout == f'["{checkout}/.venv", "{checkout.parent}", ["publish", "x"]]\n'
    assert "Installing" in first.stderr
    assert second.stderr == ""


def test_a_folder_of_the_callers_that_is_named_like_ours_is_not_imported(checkout: Path) -> None:
    (checkout.parent / "cli").mkdir()
    (checkout.parent / "cli" / "main.py").write_text("print('the wrong one')")
    assert "wrong" not in launch(checkout).stdout


def test_a_changed_lock_is_installed_and_that_of_the_tests_only_for_the_tests(checkout: Path) -> None:
    launch(checkout)
    (checkout / "requirements" / "dev.txt").write_text("# still nothing\n")
    assert launch(checkout).stderr == ""
    assert "Installing" in launch(checkout, "test").stderr
    assert launch(checkout, "test").stderr == launch(checkout).stderr == ""
    (checkout / "requirements" / "runtime.txt").write_text("# nothing again\n")
    assert "Installing" in launch(checkout).stderr


def test_an_install_that_was_cut_off_is_done_anew(checkout: Path) -> None:
    launch(checkout)
    (checkout / ".venv" / "laurel.stamp").unlink()
    (checkout / ".venv" / "half-installed").touch()
    assert launch(checkout).returncode == 0
    assert not (checkout / ".venv" / "half-installed").exists()


def test_what_was_not_made_here_is_left_alone(checkout: Path) -> None:
    precious = checkout.parent / "thesis"
    precious.mkdir()
    (precious / "chapter.txt").touch()
    refused = launch(checkout, LAUREL_VENV=str(precious))
    assert refused.returncode == 1
    assert "was not made here: remove it, or set LAUREL_VENV" in refused.stderr
    assert (precious / "chapter.txt").exists()


def test_a_failing_install_says_what_to_do_and_the_next_start_mends_it(checkout: Path) -> None:
    """Neither uv, for want of a hash, nor pip, for want of ensurepip."""
    lock = checkout / "requirements" / "runtime.txt"
    lock.write_text("a-package-without-a-hash==1\n")
    broken = checkout.parent / "broken"
    broken.mkdir()
    (broken / "ensurepip.py").write_text("raise SystemExit('not on this system')")
    failed = launch(checkout, UV_OFFLINE="1", PYTHONPATH=str(broken))
    assert failed.returncode == 1
    assert "not on this system" in failed.stderr
    assert "install python3-venv" in failed.stderr
    lock.write_text("# nothing\n")
    assert launch(checkout).returncode == 0


def test_two_starts_at_once_install_once(checkout: Path) -> None:
    argv = [sys.executable, str(checkout / "laurel")]
    env = {**os.environ, "LAUREL_VENV": ""}
    starts = [subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=env) for _ in range(2)]
    told = [start.communicate(timeout=DEADLINE_SECONDS)[1] for start in starts]
    assert [start.returncode for start in starts] == [0, 0]
    assert sum("Installing" in each for each in told) == 1


def test_a_place_that_cannot_be_written_is_named_with_the_remedy(checkout: Path) -> None:
    checkout.chmod(0o555)
    refused = run(["-c", UNPRIVILEGED, checkout / "laurel"], checkout)
    assert refused.stderr == (
        f"laurel: cannot write {checkout}/.venv: set LAUREL_VENV to a folder that you may write\n"
    )
    assert refused.returncode == 1


def test_an_interrupted_install_ends_its_installer(checkout: Path) -> None:
    start = subprocess.Popen(
        [sys.executable, checkout / "laurel"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "LAUREL_VENV": ""},
    )
    assert start.stderr is not None
    assert "Installing" in start.stderr.readline()
    start.send_signal(signal.SIGINT)
    assert start.wait(DEADLINE_SECONDS) == 1
    assert "interrupted" in start.stderr.read()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while group_lives(start.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
