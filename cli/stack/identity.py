"""Which process a pid meant when it was written down: a pid alone is reused."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
START_FIELD = 19  # of /proc/PID/stat, counted after the command's name in brackets


def started_at(pid: int) -> str | None:
    """When that process started, in a form that only compares; None if there is none (or only its zombie)."""
    return _from_proc(pid) if BOOT_ID.exists() else _from_ps(pid)


def _from_proc(pid: int) -> str | None:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if after_name[0] == "Z" else f"{BOOT_ID.read_text().strip()}:{after_name[START_FIELD]}"


def _from_ps(pid: int) -> str | None:
    told = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return None if not told or told.startswith("Z") else told.partition(" ")[2].strip()


def still_runs(pid: int, started: str | None) -> bool:
    """Whether the very process that was written down is there."""
    return started is not None and started_at(pid) == started


def ourselves() -> dict[str, str | int | None]:
    return {"pid": os.getpid(), "started": started_at(os.getpid())}
