"""What a soak of replays came to, for people: on the terminal, and in Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.document import markdown_table, where_and_when
from cli.faults.replay_soak import Report
from cli.faults.report import judged


def told(report: Report) -> dict[str, Any]:
    """The object that `--json` prints."""
    return {
        **report.shape._asdict(),
        "seconds": round(report.seconds, 1),
        "events": report.events,
        "events_per_s": round(report.flowed),
        "publisher_late_ms": round(report.late_ms),
        "behind": [each._asdict() for each in report.behind],
        "kills": dict(report.kills),
        "replays": [each._asdict() for each in report.replays],
        "drained_s": round(report.drained_s, 1),
        "invariants": {verdict.name: verdict.differences for verdict in report.verdicts},
        "holds": report.holds,
    }


def lines(report: Report) -> Iterator[str]:
    yield summary(report)
    yield from (f"{each.id}: {each.status}, {each.kind}, notices {each.notify}" for each in report.replays)
    for verdict in report.verdicts:
        yield f"{verdict.name} {'holds ' if not verdict.differences else 'BROKEN'}  {verdict.promise}"
        yield from (f"    {line}" for line in verdict.differences)


def summary(report: Report) -> str:
    killed = ", ".join(f"{count} × {who}" for who, count in sorted(report.kills.items()))
    return (
        f"{report.events:,} events in {report.seconds / 60:.0f} minutes, {report.flowed:,.0f} a second of the "
        f"{report.shape.rate:,} that were to come (the publisher was late by {report.late_ms:,.0f} ms at p99). "
        f"Killed by kill -9: {killed}. {kept_up(report)} "
        f"After the load nothing was left to do within {report.drained_s:.0f} s."
    )


def kept_up(report: Report) -> str:
    if not report.behind:
        return "The processor was never more than a second behind."
    seconds = [each.seconds for each in report.behind]
    return (
        f"The processor was more than a second behind {len(seconds)} times, for {max(seconds):.0f} s at most and "
        f"{sum(seconds):.0f} s in all, by {max(each.records for each in report.behind):,} events at most."
    )


def markdown(report: Report) -> str:
    verdicts = [[f"{verdict.name}: {verdict.promise}", judged(verdict)] for verdict in report.verdicts]
    replays = [[each.id, each.kind.replace("_", " "), each.notify, each.status] for each in report.replays]
    return "\n".join(
        [
            f"{where_and_when()}{summary(report)}\n",
            markdown_table(("replay", "how", "notices", "ended"), replays),
            markdown_table(("invariant", "verdict"), verdicts),
        ]
    )
