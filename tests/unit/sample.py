"""The bundled sample of TrackFlow's activity and what it comes to: read and folded once for all tests."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import catalogs
from bench import reference
from bench.reference import Result

CATALOGS = Path(catalogs.__path__[0])
SAMPLE = CATALOGS / "samples" / "trackflow.jsonl.gz"
TRACKFLOW = (CATALOGS / "trackflow.yaml").read_text(encoding="utf-8")


@cache
def sample() -> list[dict[str, Any]]:
    return [json.loads(each) for each in gzip.decompress(SAMPLE.read_bytes()).splitlines()]


@cache
def result() -> Result:
    return reference.fold(sample(), [TRACKFLOW])
