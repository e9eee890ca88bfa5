"""The command line's table of verbs, and what its errors look like."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import aiokafka.errors
import psycopg
import pydantic
import pydantic_settings
import pytest
import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cli import main
from schemas.errors import LaurelError, Precondition

REPOSITORY = Path(__file__).parents[2]
FORBIDDEN_FOR_HELP = ("aiokafka", "faust", "psycopg", "pydantic")


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def command() -> None:
        raise error

    def load(name: str) -> object:
        single = typer.Typer(add_completion=False)
        single.command(name)(command)
        return get_command(single)

    monkeypatch.setattr(main, "load", load)
    monkeypatch.setattr(sys, "argv", ["laurel", "dev"])


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cli.main import root\n"
        "try: root()(['--help'])\n"
        f"except SystemExit: print([name for name in {FORBIDDEN_FOR_HELP} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "[]"
    assert all(verb.name in told for verb in main.VERBS)


@pytest.mark.parametrize("verb", main.VERBS, ids=lambda verb: verb.name)
def test_every_verb_of_the_table_can_be_called(verb: main.Verb) -> None:
    assert isinstance(main.load(verb.name), TyperCommand | TyperGroup)


def test_a_group_with_one_verb_is_still_a_group() -> None:
    assert list(main.load("awards").commands) == ["export"]


@pytest.mark.parametrize(("error", "code"), [(LaurelError("a is b: do c"), 1), (Precondition("a is b: do c"), 4)])
def test_our_errors_are_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: LaurelError, code: int
) -> None:
    failing(monkeypatch, error)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == "laurel: a is b: do c\n"


def test_an_interruption_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 130


INTERRUPTED_IN_COMPILED_TEXT = """
import sys, types
from cli import main

def command():
    exec("raise KeyboardInterrupt")

sys.modules["interrupted"] = types.SimpleNamespace(command=command)
main.VERBS = [main.Verb("demo", "interrupted", main.START, "")]
sys.argv[1:] = ["demo"]
main.main()
"""


def test_an_interruption_is_130_also_while_a_class_is_made_from_text(tmp_path: Path) -> None:
    """As dataclasses and named tuples are: CPython would end by the signal although we gave a code."""
    (tmp_path / "interrupted_main.py").write_text(INTERRUPTED_IN_COMPILED_TEXT)
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    argv = [sys.executable, "-P", "-m", "interrupted_main"]
    assert subprocess.run(argv, env={**os.environ, "PYTHONPATH": path}, check=False).returncode == 130


def test_our_own_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        main.main()


class FancySettings(pydantic_settings.BaseSettings):
    partitions: int = pydantic.Field(default=8, ge=1)


def wrong_settings() -> Exception:
    try:
        FancySettings(partitions=0)
    except pydantic.ValidationError as error:
        return error
    raise AssertionError("0 partitions were accepted")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (aiokafka.errors.KafkaConnectionError("Unable to bootstrap"), "set LAUREL_KAFKA|check LAUREL_KAFKA"),
        (psycopg.OperationalError("refused"), "check LAUREL_POSTGRES"),
        (wrong_settings(), "LAUREL_PARTITIONS=0: .*greater than or equal to 1"),
    ],
    ids=["kafka", "postgres", "settings"],
)
def test_a_librarys_error_is_said_in_our_words(error: Exception, said: str) -> None:
    with pytest.raises(LaurelError, match=said):
        raise main.said_plainly(error) or error
