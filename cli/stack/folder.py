"""The stack's data folder: one supervisor at a time, and nothing left over from one that was killed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from cli.stack.child import Child
from cli.stack.identity import ourselves, started_at, still_runs
from schemas.errors import LaurelError, Precondition

TEMPORARY_PREFIX = "laurel-stack-"
LEFTOVER_SECONDS = 10.0
POLL_SECONDS = 0.05


class DataFolder:
    """Locked from `open` to `close`. A temporary one is removed at the end.

    A temporary folder whose supervisor was killed outright stays behind; the next one removes it.
    """

    def __init__(self, path: Path | None) -> None:
        self.temporary = path is None
        self.path = (path or Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))).resolve()
        self._run_file = self.path / "run.json"
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Raises: Precondition when another supervisor holds it or it cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)  # the database's user must pass through
            self._lock = _lock(self.path)
        except PermissionError as failure:
            raise Precondition(
                f"cannot write the data folder {self.path} ({failure.strerror}): choose another with --data-dir"
            ) from failure
        if self._lock is None:
            raise Precondition(self._taken())
        end_leftovers(self._run_file)
        self.remember([])
        if self.temporary:
            sweep(self.path.parent)

    def _taken(self) -> str:
        pid = _read(self._run_file).get("supervisor", {}).get("pid", "unknown")
        return (
            f"the data folder {self.path} is in use by process {pid}: stop that one, or choose another folder "
            "with --data-dir or --ephemeral"
        )

    def remember(self, children: Iterable[Child]) -> None:
        """Write down who runs, for the next supervisor should this one be killed."""
        running = [
            {"name": child.name, "pid": child.pid, "started": started_at(child.pid)}
            for child in children
            if child.alive
        ]
        draft = self._run_file.with_suffix(".draft")
        draft.write_text(json.dumps({"supervisor": ourselves(), "children": running}))
        draft.replace(self._run_file)

    def close(self) -> None:
        if self._lock is None:
            return
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self._run_file.unlink(missing_ok=True)
        self._lock.close()


def _lock(folder: Path) -> IO[str] | None:
    """The open lock file, or None while another process holds it."""
    lock = (folder / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _read(run_file: Path) -> dict[str, Any]:
    try:
        told = json.loads(run_file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def end_leftovers(run_file: Path) -> None:
    """Kill what a killed supervisor left running. Raises: LaurelError when one does not end."""
    written = [(child["pid"], child["started"]) for child in _read(run_file).get("children", [])]
    leftovers = [each for each in written if still_runs(*each)]
    for pid, _ in leftovers:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + LEFTOVER_SECONDS
    while any(still_runs(*each) for each in leftovers):
        if time.monotonic() > deadline:
            raise LaurelError(f"processes {[pid for pid, _ in leftovers]} of the last run do not end: kill them")
        time.sleep(POLL_SECONDS)


def sweep(parent: Path) -> None:
    """Remove temporary folders of ours whose supervisor is gone.

    Only with a run file: a folder without one may be just in the making.
    """
    for run_file in parent.glob(f"{TEMPORARY_PREFIX}*/run.json"):
        if run_file.stat().st_uid != os.geteuid():
            continue
        lock = _lock(run_file.parent)
        if lock is not None:
            end_leftovers(run_file)
            shutil.rmtree(run_file.parent, ignore_errors=True)
            lock.close()
