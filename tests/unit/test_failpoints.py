"""What LAUREL_FAILPOINT may say, and when a point acts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from broker import failpoints
from broker.failpoints import VARIABLE, InjectedFault, arm_from_environment, disarm, reach
from schemas.errors import LaurelError


@pytest.fixture(autouse=True)
def _disarmed_in_the_end() -> Iterator[None]:
    yield
    disarm()


def armed(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv(VARIABLE, written)
    arm_from_environment()


def test_an_unarmed_point_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    arm_from_environment()
    reach("checkpoint.3")


def test_a_point_acts_at_the_time_that_is_told_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    armed(monkeypatch, "checkpoint.3=raise@2")
    reach("checkpoint.3")
    reach("checkpoint.4")
    with pytest.raises(InjectedFault, match=r"checkpoint\.3"):
        reach("checkpoint.3")
    reach("checkpoint.3")


def test_without_a_time_the_first_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    armed(monkeypatch, "projection.5=raise")
    with pytest.raises(InjectedFault):
        reach("projection.5")


def test_the_signals_are_those_that_the_words_say(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(failpoints.os, "kill", lambda pid, number: sent.append(number))
    for action in ("kill", "freeze"):
        armed(monkeypatch, f"checkpoint.1={action}")
        reach("checkpoint.1")
    assert sent == [failpoints.signal.SIGKILL, failpoints.signal.SIGSTOP]


@pytest.mark.parametrize(
    "written",
    [
        "checkpoint.3",
        "checkpoint.8=kill",
        "projection.0=kill",
        "restore.1=kill",
        "checkpoint.3=explode",
        "checkpoint.3=kill@0",
        "checkpoint.3=kill@",
        "=kill",
    ],
)
def test_anything_else_is_refused_with_what_may_be_written(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    with pytest.raises(LaurelError, match=r"write <point>=<kill\|freeze\|raise>"):
        armed(monkeypatch, written)
