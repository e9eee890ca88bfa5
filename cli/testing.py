"""`laurel test`: every check and every test, with one closing summary."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated, NamedTuple

import typer

from cli.stack.pipeline import CHECKOUT
from schemas.errors import Precondition

INTERRUPTED = 130
PYTEST_INTERRUPTED = 2
HANGING_SECONDS = 300
CHECKS = {
    "ruff check": ["ruff", "check", ".", "laurel"],
    "ruff format": ["ruff", "format", "--check", ".", "laurel"],
    "mypy": ["mypy"],
    "lint-imports": ["lint-imports"],
}
# A test that hangs says where, and ends the run, instead of hanging whoever waits for it.
PYTEST = [
    *(sys.executable, "-m", "pytest"),
    *("-o", f"faulthandler_timeout={HANGING_SECONDS}", "-o", "faulthandler_exit_on_timeout=true"),
]
# Without bytecode pytest parses and rewrites its plugins at every start, on which CPython before 3.11.8 dies now
# and then: "SystemError: AST constructor recursion depth mismatch", python/cpython#106905.
AGAINST_BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")

command_settings = {"allow_extra_args": True, "ignore_unknown_options": True}


class Result(NamedTuple):
    name: str
    code: int
    seconds: float


def command(
    context: typer.Context,
    fast: Annotated[bool, typer.Option("--fast", help="Only what needs no server and no minutes.")] = False,
) -> None:
    """Lint, types, imports, then all tests; those with a real Kafka and Postgres start their own.

    Whatever else is given goes to pytest: `laurel test --fast -k streak tests/unit`.
    """
    if find_spec("pytest") is None:
        raise Precondition("the test tools are not installed: start the tests with `./laurel test`")
    results = [check(name) for name in CHECKS]
    results.append(run_tests([*(["-m", "not server and not simulation"] if fast else []), *context.args]))
    raise typer.Exit(summarize(results))


def check(name: str) -> Result:
    """Run it silently; show what it says only when it fails."""
    began = time.monotonic()
    print(f"{name} … ", end="", flush=True)
    tool, *args = CHECKS[name]
    argv = [str(Path(sys.executable).with_name(tool)), *args]
    told = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    print(f"{'failed' if told.returncode else 'ok'}, {seconds:.1f} s", flush=True)
    if told.returncode:
        print(told.stdout + told.stderr, flush=True)
    return Result(name, told.returncode, seconds)


def run_tests(args: list[str]) -> Result:
    began = time.monotonic()
    code = run_undisturbed([*PYTEST, *args])
    return Result("pytest", INTERRUPTED if code == PYTEST_INTERRUPTED else code, time.monotonic() - began)


def run_undisturbed(argv: list[str]) -> int:
    """Wait for it whatever comes: it hears a Ctrl-C itself, and is told of other ends, to stop its servers."""
    env = {name: value for name, value in os.environ.items() if name not in AGAINST_BYTECODE}
    process = subprocess.Popen(argv, cwd=CHECKOUT, env=env)

    def hand_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summarize(results: list[Result]) -> int:
    """One line, and the exit code."""
    failed = [result.name for result in results if result.code]
    seconds = sum(result.seconds for result in results)
    print(f"laurel test: {'failed: ' + ', '.join(failed) if failed else 'all passed'}, {seconds:.0f} s", flush=True)
    if any(result.code == INTERRUPTED for result in results):
        return INTERRUPTED
    return 1 if failed else 0
