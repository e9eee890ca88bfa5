"""`laurel test`: every check and every test, with one closing summary."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import IO, Annotated, NamedTuple

import typer

from cli.failures import failures_of_tests, last_lines
from cli.stack.pipeline import CHECKOUT
from schemas.errors import Precondition

INTERRUPTED = 130
PYTEST_INTERRUPTED = 2
HANGING_SECONDS = 400  # more than the 300 that Hypothesis takes at most to make a failing example small
CHECKS = {
    "ruff check": ["ruff", "check", ".", "laurel"],
    "ruff format": ["ruff", "format", "--check", ".", "laurel"],
    "mypy": ["mypy"],
    "lint-imports": ["lint-imports"],
}
RESULTS = CHECKOUT / "build" / "tests"  # a junit file for each lane of the last run; `laurel checklist` reads them
# A test that hangs says where, and ends the run, instead of hanging whoever waits for it.
PYTEST = [
    *(sys.executable, "-m", "pytest"),
    *("-o", f"faulthandler_timeout={HANGING_SECONDS}", "-o", "faulthandler_exit_on_timeout=true"),
]
WITHOUT_SERVERS = "tests without servers"
GIVING_WAY = ("nice", "-n", "5")  # they compute all the while, and whoever waits for a server has a deadline
# Without bytecode pytest parses and rewrites its plugins at every start, on which CPython before 3.11.8 dies now
# and then: "SystemError: AST constructor recursion depth mismatch", python/cpython#106905.
AGAINST_BYTECODE = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")

command_settings = {"allow_extra_args": True, "ignore_unknown_options": True}


class Result(NamedTuple):
    """Shapes: why has some lines when it failed."""

    name: str
    code: int
    why: list[str]


class Run(NamedTuple):
    """Shapes: output is a file, or None for our own."""

    argv: list[str]
    output: IO[str] | None = None


def command(
    context: typer.Context,
    fast: Annotated[bool, typer.Option("--fast", help="Only what needs no server and no minutes.")] = False,
) -> None:
    """Lint, types, imports, then all tests; those with a real Kafka and Postgres start their own.

    Whatever else is given goes to pytest: `laurel test --fast -k streak tests/unit`.
    """
    if find_spec("pytest") is None:
        raise Precondition("the test tools are not installed: start the tests with `./laurel test`")
    began = time.monotonic()
    results = [check(name) for name in CHECKS]
    results += run_tests(lanes_of(fast, context.args))
    raise typer.Exit(summarize(results, time.monotonic() - began))


def lanes_of(fast: bool, args: list[str]) -> dict[str, list[str]]:
    """Name -> pytest's arguments of what runs side by side, since tests with servers mostly wait."""
    if fast or args:
        return {"pytest": [*(["-m", "not server and not simulation"] if fast else []), *args]}
    return {
        WITHOUT_SERVERS: ["-m", "not server"],
        "tests with servers, one half": ["-m", "server", "--share=1/2"],
        "tests with servers, the other half": ["-m", "server", "--share=2/2"],
    }


def check(name: str) -> Result:
    """Run it silently; show what it says only when it fails."""
    began = time.monotonic()
    print(f"{name} … ", end="", flush=True)
    tool, *args = CHECKS[name]
    argv = [str(Path(sys.executable).with_name(tool)), *args]
    told = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    print(f"{'failed' if told.returncode else 'ok'}, {time.monotonic() - began:.1f} s", flush=True)
    if told.returncode:
        print(told.stdout + told.stderr, flush=True)
    return Result(name, told.returncode, last_lines(told.stdout + told.stderr) if told.returncode else [])


def run_tests(lanes: Mapping[str, list[str]]) -> list[Result]:
    """All lanes at once. The last one is seen as it goes, what the others say when all have ended."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    with ExitStack() as files:
        quiet = {name: files.enter_context(tempfile.TemporaryFile("w+")) for name in [*lanes][:-1]}
        codes = run_undisturbed([Run(argv_of(name, args), quiet.get(name)) for name, args in lanes.items()])
        said = {name: read_again(file) for name, file in quiet.items()}
    results = [result_of(name, code, said.get(name, "")) for name, code in zip(lanes, codes, strict=True)]
    print_said(results, said)
    return results


def argv_of(lane: str, args: Iterable[str]) -> list[str]:
    return [*(GIVING_WAY if lane == WITHOUT_SERVERS else ()), *PYTEST, f"--junit-xml={junit(lane)}", *args]


def junit(lane: str) -> Path:
    return RESULTS / f"{lane.replace(' ', '-')}.xml"


def read_again(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def result_of(lane: str, code: int, said: str) -> Result:
    ended = INTERRUPTED if code == PYTEST_INTERRUPTED else code
    return Result(lane, ended, failures_of_tests(junit(lane), code, said) if code else [])


def print_said(results: Iterable[Result], said: Mapping[str, str]) -> None:
    """Of lanes that passed the last line, of those that failed everything, and that after it."""
    for result in sorted(results, key=lambda result: bool(result.code)):
        if told := said.get(result.name):
            print(f"\n{result.name}:\n{told if result.code else told.splitlines()[-1]}", flush=True)


def run_undisturbed(runs: Sequence[Run]) -> list[int]:
    """Wait for all. They hear a Ctrl-C themselves, and are told of other ends, to stop their servers."""
    env = {name: value for name, value in os.environ.items() if name not in AGAINST_BYTECODE}
    # A shell starts what it puts into the background deaf to Ctrl-C, and the tests send it to what they start.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    processes = [
        subprocess.Popen(run.argv, cwd=CHECKOUT, env=env, stdout=run.output, stderr=run.output) for run in runs
    ]

    def hand_on(number: int, frame: FrameType | None) -> None:
        for process in processes:
            process.send_signal(signal.SIGINT)

    before |= {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return [process.wait() for process in processes]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def summarize(results: list[Result], seconds: float) -> int:
    """What failed and why, one line, and the exit code."""
    failed = [result for result in results if result.code]
    for result in failed:
        print("\n  ".join([f"\n{result.name} failed:", *result.why]))
    told = f"failed: {', '.join(result.name for result in failed)}" if failed else "all passed"
    print(f"laurel test: {told}, {seconds:.0f} s", flush=True)
    if any(result.code == INTERRUPTED for result in results):
        return INTERRUPTED
    return 1 if failed else 0
