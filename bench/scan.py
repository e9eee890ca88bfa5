"""A scan of the benchmark's load for one of its five types: CPU of the process that scans, and whether it is right.

Run as a program it is that process: it scans the partitions one after the other and reads what it finds as events.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from bench.load import TOPIC, TYPES, Load, values
from bench.stage import Say, Stage, staged
from processor.replay.ports import Stretch
from processor.replay.scan import Progress, read
from processor.replay.wanted import Wanted
from schemas.errors import LaurelError
from schemas.events import EventReader
from schemas.program import EventSpec

WANTED = TYPES[0]
ABSENT = "song_withdrawn"  # a type that nobody sends yet: every batch is passed over
TIMEOUT_S = 600.0


def measure(load: Load, say: Say) -> list[dict[str, Any]]:
    """One type of five, and one that is not there. Raises: LaurelError."""
    with staged(load, say) as stage:
        return [_measured(stage, name, say) for name in (WANTED, ABSENT)]


def _measured(stage: Stage, name: str, say: Say) -> dict[str, Any]:
    say(f"scanning for {name}")
    cuts = [f"{partition}:{end}" for (_, partition), end in sorted(stage.ends.items())]
    child = stage.start(f"scan-{name}", [sys.executable, "-m", "bench.scan", stage.kafka, name, *cuts], {})
    if not child.wait(TIMEOUT_S) or child.exit_code():
        raise LaurelError(f"the scan for '{name}' did not end well:\n{child.last_lines()}")
    told = json.loads(stage.stack.log_of(child.name).read_text().splitlines()[-1])
    events = stage.load.events
    return {
        "type": name,
        "found": told["found"],
        "correct": (told["found"], told["digest"]) == naive(values(stage.load), name) and told["passed"] == events,
        "events_per_s_per_core": round(events / told["cpu_s"]),
        "cpu_s_per_million": round(told["cpu_s"] / events * 1e6, 3),
        "start_up_cpu_s": round(told["start_up_cpu_s"], 2),
        "wall_s": round(told["wall_s"], 2),
        "peak_rss_mb": told["peak_rss_mb"],
    }


def naive(records: Iterable[tuple[bytes, bytes]], name: str) -> tuple[int, str]:
    """How many records of a type there are, and what they come to in any order: each of them decoded."""
    found = [value for _, value in records if json.loads(value)["type"] == name]
    return len(found), digest(found)


def digest(found: Iterable[bytes]) -> str:
    """Shapes: the sum of the values' hashes, so that partitions may come in any order, repeats counting each."""
    return hex(sum(int.from_bytes(sha256(value).digest()[:8], "big") for value in found))


class Tally:
    """The events of one type, read as a fold reads them."""

    def __init__(self, name: str) -> None:
        self._decode = EventReader({("", name): EventSpec(type=name, topic=TOPIC, window=0)}).decode
        self._here = 0
        self.values: list[bytes] = []
        self.passed = 0

    async def scan(self, bootstrap: str, name: str, cuts: Iterable[tuple[int, int]]) -> None:
        for partition, cut in cuts:
            async for batch in read(bootstrap, Stretch(TOPIC, partition, 0, cut), Wanted([name]), self._told):
                found = [record.value or b"" for record in batch.records]
                for value in found:
                    self._decode(value)
                self.values += found
            self.passed += self._here

    def _told(self, progress: Progress) -> None:
        self._here = progress.records


def main(bootstrap: str, name: str, cuts: Sequence[str]) -> None:
    tally, began, start_up_cpu_s = Tally(name), time.perf_counter(), time.process_time()
    asyncio.run(tally.scan(bootstrap, name, [_place(cut) for cut in cuts]))
    told = {
        "cpu_s": time.process_time() - start_up_cpu_s,
        "start_up_cpu_s": start_up_cpu_s,
        "wall_s": time.perf_counter() - began,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "passed": tally.passed,
        "found": len(tally.values),
        "digest": digest(tally.values),
    }
    print(json.dumps(told))


def _place(cut: str) -> tuple[int, int]:
    partition, position = cut.split(":")
    return int(partition), int(position)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
