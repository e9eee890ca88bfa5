"""Achievements that come while a scene runs: each is given to whoever has earned it before, by a replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cli.stack.pipeline import CHECKOUT
from schemas.errors import LaurelError

LADDERS = "ladders:\n"  # achievements stand before them
CONDITIONS = ("plays >= {0}", "minutes >= {0}0", "{{all: [pieces >= {0}, ratings >= 2]}}")
START_S_MAX = 120.0


def later(catalog: str, version: int) -> str:
    """The next version, with an achievement over metrics that are there."""
    condition = CONDITIONS[version % len(CONDITIONS)].format(version + 1)
    achievement = f"  - {{key: swept_{version}, name: Swept {version}, when: {condition}}}\n"
    return catalog.replace(f"version: {version - 1}\n", f"version: {version}\n").replace(
        LADDERS, achievement + LADDERS
    )


def start(file: Path, env: Mapping[str, str]) -> str:
    """Nobody is told of what it gives. Returns the id of the replay. Raises: LaurelError when it is refused."""
    wanted = ["replay", "start", "--catalog", f"{file}", "--notify", "none", "--json"]
    said = subprocess.run(
        [sys.executable, "-P", "-m", "cli.main", *wanted],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **env},
        capture_output=True,
        text=True,
        timeout=START_S_MAX,
        check=False,
    )
    if said.returncode:
        raise LaurelError(f"the replay of {file} did not start: {said.stderr}")
    return str(json.loads(said.stdout)["id"])
