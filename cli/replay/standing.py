"""Where a replay stands, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from replays.registry import LEVEL, PartitionProgress, Registry, Replay, Word

STILL_S = 30.0
UNDER_WAY = ("running", "promoting", "activating", "cancelling")


class Standing(NamedTuple):
    """Shapes: paused, who paused it, and when, while it is paused; is_still, nobody was at work for a while."""

    replay: Replay
    partitions: Sequence[PartitionProgress]
    paused: Word | None
    is_still: bool = False

    @property
    def rate(self) -> float | None:
        """Units: records a second, of all partitions under way."""
        rates = [each.rate for each in self.partitions if each.rate and each.position < each.of]
        return sum(rates) if rates else None

    @property
    def seconds_left(self) -> float | None:
        """Of the present phase; None while nobody works on it, or before it is known."""
        if self.rate is None or self.replay.status == "paused":
            return None
        return sum(max(0, each.of - each.position) for each in self.partitions) / self.rate

    @property
    def is_level(self) -> bool:
        """Whether the shadow of a full one is where live is."""
        phases = {each.phase for each in self.partitions}
        return self.replay.kind == "full" and self.replay.status == "running" and phases == {LEVEL}

    @property
    def figures(self) -> dict[str, Any]:
        """For a line of progress."""
        phases = sorted({each.phase for each in self.partitions})
        records, of = (sum(getattr(each, name) for each in self.partitions) for name in ("position", "of"))
        return {"status": self.replay.status, "phases": phases, "records": records, "of": of}

    def told(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            **asdict(self.replay),
            "partition_progress": [each._asdict() for each in self.partitions],
            "rate": self.rate and round(self.rate),
            "seconds_left": self.seconds_left and round(self.seconds_left, 1),
            "is_still": self.is_still,
            "is_level": self.is_level,
            "paused_by": self.paused and self.paused.who,
            "paused_at": self.paused and self.paused.at,
        }


async def standing_of(registry: Registry, id: str) -> Standing:
    """Raises: Precondition when there is no such replay."""
    replay = await registry.get(id)
    paused = await registry.last_word(id, "pause") if replay.status == "paused" else None
    is_still = replay.status in UNDER_WAY and await registry.still_s(id) > STILL_S
    return Standing(replay, await registry.progress(id), paused, is_still)


def page(standing: Standing) -> Group:
    """All there is to say of one replay."""
    lines = [Text(line) for line in _lines(standing)]
    table = _users if standing.replay.status == "done" else _partitions
    return Group(*lines, *([table(standing.partitions)] if standing.partitions else []))


def _lines(standing: Standing) -> list[str]:
    replay = standing.replay
    kind = replay.kind.replace("_", " ")
    return [
        f"{replay.id}: {_status(standing)}",
        f"{kind} for version {replay.version} of catalog '{replay.catalog}', hash {replay.sha256[:12]}",
        _what(replay),
        f"notify {replay.notify}, policy {replay.policy}, dates {replay.dates}; "
        f"by {replay.who}, {replay.created_at:%Y-%m-%d %H:%M:%S} UTC",
        *_next_step(standing),
    ]


def _what(replay: Replay) -> str:
    if replay.shadow is not None:
        gone = f", gone since {replay.dropped_at:%Y-%m-%d %H:%M} UTC" if replay.dropped_at else ""
        what = f"the way back of '{replay.back_of}'" if replay.back_of else "everything folded anew"
        return f"{what} in namespace '{replay.shadow}'{gone}"
    return f"new metrics {_names(replay.filling)}; new awards {_names(replay.muted)}"


def _next_step(standing: Standing) -> list[str]:
    """Of a full one, which goes on only when it is told to."""
    replay, id = standing.replay, standing.replay.id
    if replay.kind != "full":
        return []
    given_up = [f"not promoted: {replay.failure}"] if replay.failure and replay.status == "running" else []
    if standing.is_level:
        look = "" if replay.back_of else f"`laurel replay diff {id}`, then "
        return [*given_up, f"ready: {look}`laurel replay promote {id}`"]
    if replay.status == "done" and replay.dropped_at is None:
        return [
            f"its shadow has kept what was before: `laurel replay promote {id} --back` leads back to it, "
            f"`laurel replay drop {id}` takes it away"
        ]
    return given_up


def _status(standing: Standing) -> str:
    replay, rate, left = standing.replay, standing.rate, standing.seconds_left
    halted = _why_halted(standing)
    if halted or replay.has_ended:
        return replay.status + halted
    pace = f", {rate:,.0f} records/s" if rate else ""
    return replay.status + pace + (f", {left:,.0f} s left" if left else "")


def _why_halted(standing: Standing) -> str:
    if standing.paused is not None:
        return f" by {standing.paused.who} at {standing.paused.at:%H:%M:%S} UTC"
    if standing.is_still:
        return (
            f", but nothing was heard of it for {STILL_S:.0f} s: does a `laurel replayer` run? It waits for "
            "workers, and rests while they are behind: see `laurel doctor`"
        )
    return f": {standing.replay.failure}" if standing.replay.status == "failed" else ""


def _names(named: Sequence[tuple[str, str]]) -> str:
    return ", ".join(name for _, name in named) or "none"


def _partitions(partitions: Sequence[PartitionProgress]) -> Table:
    table = Table("partition", "phase", "records", "of", "users", "records/s", box=None, pad_edge=False)
    for each in partitions:
        rate = f"{each.rate:,.0f}" if each.rate else ""
        table.add_row(
            f"{each.partition}", each.phase, f"{each.position:,}", f"{each.of:,}", f"{each.users:,}", rate
        )
    return table


def _users(partitions: Sequence[PartitionProgress]) -> Table:
    """Of one that is done: the records are those of its last phase, which had but little left to read."""
    table = Table("partition", "users", box=None, pad_edge=False)
    for each in partitions:
        table.add_row(f"{each.partition}", f"{each.users:,}")
    return table


def overview(replays: Sequence[Replay]) -> Table:
    table = Table("replay", "status", "catalog", "kind", "started", "by", box=None, pad_edge=False)
    for each in replays:
        catalog = f"{each.catalog} {each.version}"
        table.add_row(
            each.id,
            each.status,
            catalog,
            each.kind.replace("_", " "),
            f"{each.created_at:%Y-%m-%d %H:%M}",
            each.who,
        )
    return table
