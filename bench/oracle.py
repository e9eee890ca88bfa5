"""What a run must come to, by the reference, worked out once for a load and kept.

Users do not touch each other in these jobs, so the reference folds them in shards, one process a core. The
expectation is lines of text, one an award and one a user's metrics: easy to compare, easy to look at.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from zlib import crc32

from bench import reference
from bench.load import Load, events


def expected(job: Path, load: Load, cache: Path) -> list[str]:
    """The lines of a job over a load, in order; from the cache when this very question was answered before."""
    kept = cache / f"oracle-{_question(job, load)}.gz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_bytes(gzip.compress("\n".join(_fold(job, load)).encode(), 1))
        draft.rename(kept)
    return gzip.decompress(kept.read_bytes()).decode().splitlines()


def award_line(user: str, achievement: str, earned_at: datetime) -> str:
    return f"{user} earned {achievement} at {earned_at.isoformat()}"


def metrics_line(user: str, values: dict[str, int | None]) -> str:
    return f"{user} has {json.dumps(values, sort_keys=True)}"


def _question(job: Path, load: Load) -> str:
    """A hash of all that the answer depends on."""
    sources = [Path(reference.__file__), Path(__file__).with_name("load.py"), job]
    content = b"".join(source.read_bytes() for source in sources) + repr(load).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def _fold(job: Path, load: Load) -> list[str]:
    shards = os.cpu_count() or 1
    with ProcessPoolExecutor(shards) as pool:
        parts = pool.map(partial(_fold_shard, job.read_text(), load, shards), range(shards))
        return sorted(line for part in parts for line in part)


def _fold_shard(job: str, load: Load, shards: int, shard: int) -> list[str]:
    own = (event for event in events(load) if crc32(event["subject"].encode()) % shards == shard)
    result = reference.fold(own, [job])
    awards = [award_line(user, key, at) for (user, _, key, _), at in result.awards.items()]
    return awards + [metrics_line(user, values["bench"]) for user, values in result.metrics.items()]
