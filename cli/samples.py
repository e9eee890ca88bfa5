"""The activity that comes with the bundled catalogs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from cli.events import read_lines
from cli.simulate import line
from cli.simulation.products import PRODUCTS

SAMPLES = resources.files("catalogs") / "samples"
USUAL = "trackflow"


def sampled(catalogs: Sequence[str]) -> list[str]:
    """The products whose sample is there for catalogs named by path or name; else TrackFlow's events are tried."""
    return [stem for stem in (Path(named).stem for named in catalogs) if file_of(stem).is_file()] or [USUAL]


def sample_lines(products: Sequence[str]) -> Iterator[bytes]:
    """Their events, one product after another; of several, each event says to which topic it belongs."""
    for product in products:
        lines = read_lines(str(file_of(product)))
        yield from lines if len(products) == 1 else with_topic(lines, PRODUCTS[product].topic)


def with_topic(lines: Iterator[bytes], topic: str) -> Iterator[bytes]:
    return (line({**json.loads(each), "topic": topic}) for each in lines)


def file_of(product: str) -> Path:
    return Path(str(SAMPLES / f"{product}.jsonl.gz"))
