"""What every command prints alike: results on stdout, progress on stderr.

Progress is for whoever waits: a moving line on a terminal, else a JSON line every few seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
from rich.console import Console

PROGRESS_SECONDS = 3.0
stderr = Console(stderr=True, highlight=False)
_encode_told = msgspec.json.Encoder(decimal_format="number").encode


def print_json(value: Any) -> None:
    """One line, for programs."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def print_told(value: Any) -> None:
    """As `print_json`, of structs; decimals are numbers."""
    print(_encode_told(value).decode(), flush=True)


class Progress(Protocol):
    def __call__(self, **figures: Any) -> None: ...


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A function that is told the present figures as often as the caller likes."""
    if not stderr.is_terminal:
        yield JsonLines(title)
        return
    with stderr.status(title) as status:

        def show(**figures: Any) -> None:
            status.update(f"{title}  " + "  ".join(f"{name} {value:,}" for name, value in figures.items()))

        yield show


class JsonLines:
    """A line on stderr whenever the last one is a few seconds old."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._due = time.monotonic() + PROGRESS_SECONDS

    def __call__(self, **figures: Any) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + PROGRESS_SECONDS
            print(json.dumps({"progress": self._title, **figures}), file=sys.stderr, flush=True)
