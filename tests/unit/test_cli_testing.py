"""`laurel test` itself, as far as it can run inside of a test."""

from __future__ import annotations

import sys

import pytest

from cli.testing import run_undisturbed

KEEPS_NONE = "import sys; sys.exit(sys.dont_write_bytecode or sys.pycache_prefix is not None)"


def test_the_tests_keep_their_bytecode_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it CPython before 3.11.8 dies now and then while pytest rewrites its plugins."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", "/nonexistent")

    assert run_undisturbed([sys.executable, "-c", KEEPS_NONE]) == 0
