"""Processes of ours as the tests start them: forked from one that has imported what they need.

Imports are most of what a process that lives for seconds costs. That each command starts by itself is shown by the
tests of the stack, of `demo`, of `dev` and of the faults, whose processes are started as anybody's.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from threading import Lock

REPOSITORY = Path(__file__).parents[1]
POLL_S = 0.02
FORKS = get_context("forkserver")
VERBS = ("worker", "projector", "replayer", "replays", "publish", "verify", "demonstration", "bench")
FORKS.set_forkserver_preload(["tests.processes", *(f"cli.{verb}" for verb in VERBS)])
# How a process ended can be read once, and whoever starts another one looks at all of them.
ENDS = Lock()


class Forked:
    """`python -m MODULE ARGUMENTS`, with what tests ask of a subprocess.Popen."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], out: Path, err: Path) -> None:
        self.args = argv
        for file in (out, err):
            file.write_bytes(b"")
        self._process = FORKS.Process(target=_run, args=([*argv], {**os.environ, **env}, f"{out}", f"{err}"))
        with ENDS:
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        with ENDS:
            return self._process.exitcode

    def wait(self, timeout: float = float("inf")) -> int:
        """Raises: subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(argv: list[str], environ: dict[str, str], out: str, err: str) -> None:
    """In the new process: what a shell would do before it, then the module."""
    os.setsid()
    os.chdir(REPOSITORY)
    os.environ.clear()
    os.environ.update(environ)
    writing = os.O_WRONLY | os.O_APPEND
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, writing), (2, err, writing)):
        os.dup2(os.open(path, flags), number)
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)
