"""An engine draining the load: its CPU, sampled beside how many events it has behind it."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from cli.stack.child import Child
from schemas.errors import LaurelError

DRAIN_TIMEOUT_S = 1800.0
LOOK_S = 0.2
SUSTAINED_FROM, STEADY_UNTIL = 0.2, 0.9
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PARENT = 1  # field of /proc/PID/stat, counted after the command's name
TICKS = (11, 12, 13, 14)  # user, system, and both of children that have ended
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)

Done = Callable[[], Awaitable[int]]


class Sample(NamedTuple):
    """Events that were durably dealt with, and what the engine had cost by then."""

    at: float
    done: int
    cpu_s: float


class Drained(NamedTuple):
    """Units: cpu_s from the start of the process to its last event; sustained_cpu_s from 20 % of the events on,
    steady_cpu_s from 20 to 90 %, both scaled to all of them; wall_s from the first sample with progress to the last
    event."""

    cpu_s: float
    sustained_cpu_s: float
    steady_cpu_s: float
    wall_s: float
    peak_rss_mb: int


async def drain(child: Child, done: Done, events: int) -> Drained:
    """Watch an engine until all events are behind it. Raises: LaurelError when it ends or takes too long."""
    deadline, samples = time.monotonic() + DRAIN_TIMEOUT_S, [Sample(time.monotonic(), 0, 0.0)]
    while samples[-1].done < events:
        if not child.alive or time.monotonic() > deadline:
            raise LaurelError(
                f"'{child.name}' stopped at {samples[-1].done:,} of {events:,} events, its log ends with\n"
                f"{child.last_lines()}"
            )
        await asyncio.sleep(LOOK_S)
        count = await done()
        samples.append(Sample(time.monotonic(), count, cpu_s_of(child.pid)))
    return _drained(samples, events, peak_mb_of(child.pid))


def _drained(samples: Sequence[Sample], events: int, peak_rss_mb: int) -> Drained:
    last = samples[-1]
    began = next(sample for sample in samples if sample.done)
    sustained_cpu_s = scaled_cpu_s(samples, events, SUSTAINED_FROM, 1.0)
    steady_cpu_s = scaled_cpu_s(samples, events, SUSTAINED_FROM, STEADY_UNTIL)
    return Drained(last.cpu_s, sustained_cpu_s, steady_cpu_s, last.at - began.at, peak_rss_mb)


def scaled_cpu_s(samples: Sequence[Sample], events: int, begin: float, end: float) -> float:
    """The CPU between two shares of the events, as if all of them had cost as much; at least a tick."""
    spent_s = cpu_at(samples, end * events) - cpu_at(samples, begin * events)
    return max(spent_s, 1 / TICKS_PER_S) / (end - begin)


def cpu_at(samples: Sequence[Sample], done: float) -> float:
    """The CPU spent when so many events were done, on a straight line between the samples around that moment."""
    for before, after in pairwise(samples):
        if before.done <= done < after.done:
            share = (done - before.done) / (after.done - before.done)
            return before.cpu_s + share * (after.cpu_s - before.cpu_s)
    return samples[-1].cpu_s


def cpu_s_of(root: int) -> float:
    """CPU of a process and all that come from it, those included that have ended: an engine may be several."""
    ticks = sum(int(stat[field]) for stat in _family(root).values() for field in TICKS)
    return ticks / TICKS_PER_S


def peak_mb_of(root: int) -> int:
    """The sum of what each process of a family had in memory at most."""
    peaks = [PEAK.search(_told(pid, "status")) for pid in _family(root)]
    return sum(int(peak.group(1)) for peak in peaks if peak) // 1024


def _family(root: int) -> dict[str, list[str]]:
    """Pid -> fields behind the command's name, of a process and its descendants. Postgres's leave its session."""
    told = {pid: _told(pid, "stat") for pid in os.listdir("/proc") if pid.isdecimal()}
    stats = {pid: stat.rpartition(")")[2].split() for pid, stat in told.items() if stat}
    family = {str(root)} & stats.keys()
    while born := {pid for pid, stat in stats.items() if stat[PARENT] in family} - family:
        family |= born
    return {pid: stats[pid] for pid in family}


def _told(pid: str, name: str) -> str:
    """A file of a process in /proc; empty if the process has gone."""
    try:
        return Path("/proc", pid, name).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
