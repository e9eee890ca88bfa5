"""`laurel model`: the model of replay, checked by TLC, and its mutations, which must be found."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from cli.stack.jars import JarSet, class_path
from cli.stack.java import find_java
from schemas.errors import Precondition

MODEL = Path(__file__).parent.parent / "processor" / "replay" / "model"
MODULE = "Scenes.tla"
TLC = JarSet("tlc-2.18", "TLC 2.18, the model checker of TLA+", 3, MODEL / "tlc_jars.json")
DIFFERENCES = 5
EXPECTED = re.compile(r"\\\* Expected: (.+)")
STATES = re.compile(r"^(\d+) states generated, (\d+) distinct states found", re.MULTILINE)
DEPTH = re.compile(r"search is (\d+)\.")

app = typer.Typer(no_args_is_help=True, help="Check the model of replay.")


class Checked(NamedTuple):
    """Units: states are distinct ones."""

    name: str
    expected: str
    printed: str

    @property
    def as_expected(self) -> bool:
        return self.expected in self.printed

    def line(self) -> str:
        verdict = self.expected if self.as_expected else f"NOT AS EXPECTED ({self.expected})"
        return f"{self.name:28} {self._found(STATES, 2):>9} states  depth {self._found(DEPTH, 1):>3}  {verdict}"

    def _found(self, pattern: re.Pattern[str], group: int) -> str:
        found = pattern.findall(self.printed)
        return "?" if not found else found[-1] if isinstance(found[-1], str) else found[-1][group - 1]


@app.callback()
def group() -> None:
    """Keeps `check` a word of its own while it is the only verb."""


@app.command("check")
def check_command(
    names: Annotated[list[str] | None, typer.Argument(help="Configurations, all by default.")] = None,
    workers: Annotated[int, typer.Option(help="Threads of TLC.")] = 1,
) -> None:
    """Check every configuration. Exit code 5 if one does not end as it says."""
    differing = 0
    for name in names or configurations():
        checked = check(name, workers)
        print(checked.line(), flush=True)
        if not checked.as_expected:
            print(checked.printed)
            differing += 1
    raise typer.Exit(DIFFERENCES if differing else 0)


def configurations() -> list[str]:
    return sorted(str(path.relative_to(MODEL).with_suffix("")) for path in MODEL.rglob("*.cfg"))


def check(name: str, workers: int = 1) -> Checked:
    """Raises: Precondition without the configuration, Java, or a way to the checker."""
    configuration = MODEL / f"{name}.cfg"
    if not configuration.exists():
        raise Precondition(f"the model has no configuration {name!r}: choose from {', '.join(configurations())}")
    expected = EXPECTED.search(configuration.read_text())
    if expected is None:
        raise Precondition(f"{configuration} does not say how it ends: give it a line `\\* Expected: …`")
    return Checked(name, expected.group(1), _printed(configuration, workers))


def _printed(configuration: Path, workers: int) -> str:
    """The small heap and the quick compiler suit thousands of states; liveness is looked at once, at the end."""
    with tempfile.TemporaryDirectory(prefix="laurel-model-") as scratch:
        command = [str(find_java()), "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={scratch}"]
        command += ["-cp", class_path(TLC), "tlc2.TLC", "-workers", str(workers), "-lncheck", "final"]
        command += ["-metadir", scratch, "-config", str(configuration), MODULE]
        ended = subprocess.run(command, cwd=MODEL, capture_output=True, text=True)
    return ended.stdout + ended.stderr
