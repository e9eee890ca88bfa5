"""What a soak came to, for people: on the terminal, and in Markdown for the documentation."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from cli.faults.catalogue import FAULTS
from cli.faults.invariants import Verdict
from cli.faults.soak import Report

BEGIN, END = "<!-- soak: begin -->", "<!-- soak: end -->"
PARTS = 10  # of the time, in which memory is told


def told(report: Report) -> dict[str, Any]:
    """The object that `--json` prints."""
    return {
        "seed": report.seed,
        "minutes": report.minutes,
        "seconds": round(report.seconds, 1),
        "published": report.published,
        "faults": dict(report.faults),
        "kills": report.kills.total(),
        "killed": dict(report.kills),
        "claimers_died": report.claimers_died,
        "restarts": report.restarts,
        "replays": report.replays,
        "swept": report.swept,
        "stuck": report.stuck,
        "drained_s": report.drained_s and round(report.drained_s, 1),
        "worker_mb": [[round(at), round(size)] for at, size in peaks(report)],
        "invariants": {verdict.name: verdict.differences for verdict in report.verdicts},
        "holds": report.holds,
    }


def peaks(report: Report) -> list[tuple[float, float]]:
    """The peak of each tenth of the time: (seconds since the beginning, MB)."""
    if not report.memory:
        return []
    part_s = max(report.memory[-1].at / PARTS, 1.0)
    parts = groupby(report.memory, key=lambda sample: min(int(sample.at / part_s), PARTS - 1))
    return [((number + 1) * part_s, max(sample.worker_mb for sample in samples)) for number, samples in parts]


def markdown(report: Report) -> str:
    return "\n".join(
        [
            f"`laurel soak --minutes {report.minutes:g} --seed {report.seed}`, {datetime.now(UTC):%Y-%m-%d}, "
            f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}: "
            f"{report.published:,} records published, {report.faults.total()} faults, "
            f"{report.kills.total()} processes killed by kill -9 "
            f"({', '.join(f'{count} × {who}' for who, count in sorted(report.kills.items()))}), and "
            f"{report.claimers_died} claimers between claim and acknowledgement; {replayed(report)}. "
            f"{drained(report)}",
            "",
            "| invariant | verdict |",
            "|---|---|",
            *(f"| {verdict.name}: {verdict.promise} | {judged(verdict)} |" for verdict in report.verdicts),
            "",
            "| fault | times |",
            "|---|---|",
            *(f"| {fault.name} | {report.faults[fault.name]} |" for fault in FAULTS),
            "",
            "Resident memory of the largest worker, the peak of each tenth of the time: "
            + ", ".join(f"{size:.0f} MB" for _, size in peaks(report))
            + ".",
            "",
            *(f"Stuck: {standstill.splitlines()[0]}" for standstill in report.stuck),
        ]
    )


def drained(report: Report) -> str:
    if report.drained_s is None:
        return "The lag did not return to zero."
    return f"After the last fault the lag returned to zero within {report.drained_s:.0f} s."


def replayed(report: Report) -> str:
    return f"{report.replays} achievements that came meanwhile, with {report.swept:,} awards by replay"


def judged(verdict: Verdict) -> str:
    return "holds" if not verdict.differences else "BROKEN: " + "; ".join(verdict.differences)


def write(report: Report, file: Path) -> None:
    """Into its place in a document that has one, else as the whole file."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    body = markdown(report)
    whole = f"{before}{BEGIN}\n{body}\n{END}{after}" if begin and end else f"{body}\n"
    file.write_text(whole, encoding="utf-8")


def lines(report: Report) -> Iterator[str]:
    yield f"{report.published:,} records, {report.faults.total()} faults, {report.kills.total()} kills"
    yield f"kills: {dict(report.kills)}; {report.claimers_died} claimers died; {report.restarts} restarts"
    yield replayed(report)
    yield drained(report)
    yield "memory of the largest worker: " + ", ".join(f"{size:.0f}" for _, size in peaks(report)) + " MB"
    yield from (f"stuck: {line}" for line in report.stuck)
    for verdict in report.verdicts:
        yield f"{verdict.name} {'holds ' if not verdict.differences else 'BROKEN'}  {verdict.promise}"
        yield from (f"    {line}" for line in verdict.differences)
