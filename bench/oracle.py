"""What a run must come to, worked out once for a load and kept: by bench/straight.py.

Users do not touch each other in these jobs, so they are folded in shards, one process a core. The expectation is
lines of text, one an award and one a user's metrics: easy to compare, easy to look at.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any
from zlib import crc32

from bench import straight
from bench.load import Load, values


def expected(job: str, load: Load, cache: Path) -> list[str]:
    """The lines of a job over a load, in order; from the cache when this very question was answered before."""
    kept = cache / f"oracle-{_question(job, load)}.gz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_bytes(gzip.compress("\n".join(expected_of_first(job, load, load.events)).encode(), 1))
        draft.rename(kept)
    return gzip.decompress(kept.read_bytes()).decode().splitlines()


def award_line(user: str, achievement: str, earned_at: datetime) -> str:
    return f"{user} earned {achievement} at {earned_at.isoformat()}"


def metrics_line(user: str, metrics: dict[str, Any]) -> str:
    return f"{user} has {json.dumps(metrics, sort_keys=True)}"


def is_award(line: str) -> bool:
    return " earned " in line


def _question(job: str, load: Load) -> str:
    """A hash of all that the answer depends on."""
    sources = [Path(straight.__file__), Path(__file__), Path(__file__).with_name("load.py")]
    content = b"".join(source.read_bytes() for source in sources) + repr((job, load)).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def expected_of_first(job: str, load: Load, events: int) -> list[str]:
    """The same over the first events of a load: of one that was ended early."""
    shards = os.cpu_count() or 1
    with ProcessPoolExecutor(shards) as pool:
        folded = pool.map(partial(_fold_shard, job, load, events, shards), range(shards))
        return sorted(chain.from_iterable(folded))


def _fold_shard(job: str, load: Load, events: int, shards: int, shard: int) -> list[str]:
    own = (value for key, value in islice(values(load), events) if crc32(key) % shards == shard)
    return [*straight.fold(job, own, award_line, metrics_line)]
