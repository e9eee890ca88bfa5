"""The model of replay: TLC finds nothing in it, and finds every mistake that is put into it."""

from __future__ import annotations

import pytest

from cli import model
from schemas.errors import Precondition

QUICK = "one_replay"
MISTAKES = [name for name in model.configurations() if name.startswith("mutations/")]


def test_a_replay_under_a_crash_is_exact_and_ends() -> None:
    checked = model.check(QUICK)

    assert checked.as_expected, checked.printed


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_model_finds(mistake: str) -> None:
    """Each by the promise that it breaks, named in the configuration."""
    checked = model.check(mistake)

    assert "No error" not in checked.expected
    assert checked.as_expected, checked.printed


def test_a_configuration_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(Precondition, match=r"no configuration 'sweep': choose from .*one_replay"):
        model.check("sweep")


def test_a_configuration_that_ends_otherwise_is_not_as_expected() -> None:
    checked = model.Checked("one_replay", "No error has been found", "Error: Invariant EachAwardOnce is violated.")

    assert not checked.as_expected
    assert "NOT AS EXPECTED" in checked.line()
