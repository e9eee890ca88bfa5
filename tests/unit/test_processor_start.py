"""Starting a worker, as far as it needs no server."""

from __future__ import annotations

import time

import pytest

from cli.stack.ports import free_ports
from processor.kafka import pins
from processor.preflight import prepare
from processor.settings import ProcessorSettings, read_settings
from schemas.errors import LaurelError, Precondition
from schemas.topics import Names


def test_options_come_from_the_environment_and_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUREL_KAFKA", "one:9092,two:9092")
    monkeypatch.setenv("LAUREL_CHECKPOINT_MS", "250")

    settings = read_settings(namespace="stage", metrics_port=None)

    assert (settings.kafka, settings.checkpoint_ms, settings.namespace) == ("one:9092,two:9092", 250, "stage")
    assert settings.metrics_port == ProcessorSettings().metrics_port


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [("LAUREL_METRIC_PORT", "LAUREL_METRICS_PORT"), ("LAUREL_CHEKPOINT_MS", "LAUREL_CHECKPOINT_MS")],
)
def test_a_misspelt_option_is_an_error_with_a_hint(
    misspelt: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(misspelt, "1")

    with pytest.raises(LaurelError, match=f"{misspelt} is no option of the worker; did you mean {meant}"):
        read_settings()


def test_options_of_other_processes_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One environment file serves the whole deployment."""
    for name in ("LAUREL_POSTGRES", "LAUREL_PARTITIONS", "LAUREL_DATA_DIR"):
        monkeypatch.setenv(name, "1")

    read_settings()


@pytest.mark.parametrize(("name", "value"), [("LAUREL_METRICS_PORT", "http"), ("LAUREL_LOG_LEVEL", "loud")])
def test_a_value_that_cannot_be_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(LaurelError, match=f"{name} is '{value}'"):
        read_settings()


def test_another_version_of_what_is_overridden_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its insides may have moved: better no start than a wrong one."""
    monkeypatch.setattr(pins, "version", lambda package: "0.15.4")

    with pytest.raises(
        Precondition, match=r"faust-streaming 0.15.4 is installed.*pip install faust-streaming==0.15.3"
    ):
        pins.require_pinned_versions()


def test_the_versions_installed_here_are_the_pinned_ones() -> None:
    pins.require_pinned_versions()


async def test_a_broker_that_stays_away_is_waited_for_and_then_reported() -> None:
    (port,) = free_ports(1)
    began = time.monotonic()

    with pytest.raises(Precondition, match=f"no broker answers at 127.0.0.1:{port}"):
        await prepare(f"127.0.0.1:{port}", Names("nobody"), timeout_s=1.2)

    assert time.monotonic() - began > 0.5, "it was not waited for"
