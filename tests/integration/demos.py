"""What the tests of `demo` and `publish` share: the command as a process, a catalog on its own topic."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cli.simulation.year import simulate
from tests.processes import Forked
from tests.servers import Servers

REPOSITORY = Path(__file__).parents[2]
WAIT_S = 240.0
POLL_S = 0.05


def environment(servers: Servers, namespace: str) -> dict[str, str]:
    return {
        "LAUREL_KAFKA": servers.kafka,
        "LAUREL_POSTGRES": servers.postgres,
        "LAUREL_NAMESPACE": namespace,
        "LAUREL_PARTITIONS": "4",
        "LAUREL_SESSION_TIMEOUT_S": "6",
    }


def catalog_on_own_topic(namespace: str, folder: Path, name: str = "trackflow") -> Path:
    """A bundled catalog whose source topic no other test has."""
    text = (REPOSITORY / "catalogs" / f"{name}.yaml").read_text(encoding="utf-8")
    file = folder / f"{name}.yaml"
    file.write_text(text.replace(f"{name}.activity", f"{namespace}.activity"), encoding="utf-8")
    return file


def some_events(users: int = 12, days: int = 60, seed: int = 7) -> list[bytes]:
    return [json.dumps(event).encode() for event in simulate(users, days, seed)]


def write_lines(file: Path, lines: Iterable[bytes]) -> Path:
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


class Laurel:
    """A `laurel` process with what it says."""

    def __init__(self, arguments: list[str], env: Mapping[str, str], folder: Path, *, fed: bool = False) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.process = self._fed(arguments, env) if fed else self._forked(arguments, env)

    def _forked(self, arguments: list[str], env: Mapping[str, str]) -> Forked:
        return Forked(["cli.main", *arguments], env, self._out, self._err)

    def _fed(self, arguments: list[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._out.open("wb") as out, self._err.open("wb") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "cli.main", *arguments],
                cwd=REPOSITORY,
                env={**os.environ, **env},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self._err.read_text(errors="replace")

    def children(self, command: str = "") -> list[int]:
        """Pids of its children, of those that run this command."""
        return [pid for pid, parent in parents() if parent == self.process.pid and command in command_line(pid)]

    def feed(self, lines: Iterable[bytes]) -> None:
        """Write lines to its stdin, which stays open: it cannot end before `starve`."""
        self._stdin.write(b"".join(line + b"\n" for line in lines))
        self._stdin.flush()

    def starve(self) -> None:
        self._stdin.close()

    @property
    def _stdin(self) -> IO[bytes]:
        assert isinstance(self.process, subprocess.Popen)
        assert self.process.stdin is not None
        return self.process.stdin

    def wait_until(self, true: Callable[[], object], what: str) -> None:
        def seen() -> object:
            assert self.process.poll() is None, f"it ended before {what}:\n{self.said}"
            return true()

        wait_until(seen, what)

    def end(self) -> int:
        code = self.process.wait(WAIT_S)
        print(self.said)  # pytest shows it when a test fails
        return code

    @property
    def out(self) -> str:
        return self._out.read_text()

    def answer(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


def wait_until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"not {what} after {WAIT_S:.0f} s"
        time.sleep(POLL_S)


@contextmanager
def laurel(arguments: list[str], env: Mapping[str, str], folder: Path, *, fed: bool = False) -> Iterator[Laurel]:
    """Ends with the test, whatever happens in it."""
    started = Laurel(arguments, env, folder, fed=fed)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.send_signal(signal.SIGINT)
            started.process.wait(WAIT_S)


def parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
