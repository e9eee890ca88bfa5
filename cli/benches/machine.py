"""Where measurements run: a machine that allows them, jobs to choose from, a folder for what is kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from schemas.errors import LaurelError

JOBS = Path(__file__).parents[2] / "bench" / "jobs"
CORES_MIN = 2


def job_file(job: str) -> Path:
    """Raises: LaurelError."""
    path = JOBS / f"{job}.yaml"
    if not path.exists():
        raise LaurelError(f"there is no job '{job}': choose one of {', '.join(_jobs())}")
    return path


def _jobs() -> list[str]:
    return sorted(path.stem for path in JOBS.glob("*.yaml"))


def require_two_cores() -> None:
    """Raises: LaurelError."""
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < CORES_MIN:
        raise LaurelError("a measurement needs Linux and two cores, one for the broker and one for the worker")


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laurel" / "bench"


def say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)
