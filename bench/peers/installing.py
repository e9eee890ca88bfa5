"""The peers' runtimes: on demand, in folders of their own, never in the project's environment."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from cli.stack import jars
from cli.stack.java import find_java
from schemas.errors import Precondition

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
STREAMS = jars.JarSet("kafka-streams-4.1.0", "Kafka Streams 4.1.0", 73, HERE / "kafka_streams_jars.json")
INSTALL_SECONDS = 600
COMPILE_SECONDS = 120
LINES_TOLD = 5


def streams_class_path() -> str:
    """Kafka Streams, and what it has in common with the broker. Raises: Precondition."""
    return f"{jars.class_path(STREAMS)}:{jars.class_path(jars.KAFKA)}"


def compiled(folder: Path) -> list[str]:
    """The command that runs Achievements.java, compiled. Raises: Precondition without a Java compiler."""
    java, classes = find_java(), streams_class_path()
    compiler = java.with_name("javac")
    found = str(compiler) if compiler.exists() else shutil.which("javac")
    if found is None:
        raise Precondition("there is no javac: install a JDK 17 or newer, or leave kafka-streams away with --only")
    _run(
        [found, "--release", "17", "-cp", classes, "-d", str(folder), str(PROGRAMS / "Achievements.java")],
        COMPILE_SECONDS,
    )
    return [str(java), "-cp", f"{folder}:{classes}", "Achievements"]


def locked_version(peer: str, package: str) -> str:
    found = re.search(rf"^{package}==(\S+)", _lock_of(peer).read_text(), re.MULTILINE)
    return found.group(1) if found else "of an unknown version"


def _lock_of(peer: str) -> Path:
    return HERE / f"requirements-{peer}.txt"


def environment(peer: str) -> Path:
    """A Python with a peer's locked packages, built once. Raises: Precondition when they cannot be installed."""
    lock = _lock_of(peer)
    folder = jars.cache_folder() / "bench" / f"{peer}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"installing {peer} into {folder} …", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        _run(
            [str(python), "-m", "pip", "install", "-q", "--no-input", "--require-hashes", "-r", str(lock)],
            INSTALL_SECONDS,
        )
        (folder / "complete").touch()
    return python


def _run(argv: list[str], seconds: float) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, text=True, timeout=seconds)
    except subprocess.CalledProcessError as failed:
        told = "\n".join((failed.stderr or failed.stdout).splitlines()[-LINES_TOLD:])
        raise Precondition(f"{Path(argv[0]).name} ended with exit code {failed.returncode}:\n{told}") from None
    except subprocess.TimeoutExpired:
        raise Precondition(f"{Path(argv[0]).name} took longer than {seconds:g} s: {' '.join(argv)}") from None
