"""`laurel bench peers`: the small job by others, turn by turn with ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bench.contest import FULL, OTHERS, Contest, Standing, compete, full_over, ratio
from bench.document import markdown_table, where_and_when, write_between
from bench.load import Load
from bench.peers.engines import PEERS
from bench.run import Cost
from cli.benches.machine import cache_folder, require_two_cores, say
from cli.benches.processor import AsJson, Events, Users, Write
from cli.stack.jars import KAFKA_VERSION
from cli.stack.java import find_java, version
from schemas.errors import LaurelError

DEFAULT = f"kafka-streams,{FULL},quix,bytewax"
HEAD = (
    "engine", "told", "CPU-s per million", "sustained", "thousand events per core-second", "sustained",
    "memory MB", "ours / its CPU", "ours / its, sustained", "outputs equal the oracle's",
)  # fmt: skip
SETTINGS = {
    "laurel": "exactly-once, as shipped",
    FULL: "the full fold, exactly-once, as shipped",
    **{name: kind.settings for name, kind in PEERS.items()},
}


def peers(
    only: Annotated[str, typer.Option(help=f"Some of {', '.join(OTHERS)}.")] = DEFAULT,
    runs: Annotated[int, typer.Option(min=1, help="So many turns with each.")] = 3,
    events: Events = 5_000_000,
    users: Users = 50_000,
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """The small job by others beside ours: ours, one of them, ours, the next, on one topic, broker and core."""
    others = _chosen(only)
    require_two_cores()
    contest = compete(others, runs, Load(events, users, repeats=False), cache_folder(), say)
    text = _text(contest, events, users)
    if write:
        write_between(write, "laurel bench peers", text)
    print(json.dumps(_summary(contest)) if as_json else text)
    if not all(cost.correct for cost in _costs(contest)):
        raise typer.Exit(1)


def _chosen(only: str) -> list[str]:
    """Raises: LaurelError."""
    others = [name.strip() for name in only.split(",") if name.strip()]
    for name in others:
        if name not in OTHERS:
            raise LaurelError(f"'{name}' is none of {', '.join(OTHERS)}")
    return others


def _costs(contest: Contest) -> list[Cost]:
    return [cost for turns in contest.turns.values() for turn in turns for cost in turn]


def _text(contest: Contest, events: int, users: int) -> str:
    rows = [_row("laurel", contest.ours, "", "")] if contest.ours else []
    for name, turns in contest.turns.items():
        total, sustained = ratio(turns, _total), ratio(turns, _sustained)
        rows.append(_row(name, [turn.other for turn in turns], str(total), str(sustained)))
    notes = [f"{name} did not take part: {why}" for name, why in contest.absent.items()] + _full_lines(contest)
    java = version(find_java())
    when = where_and_when(f"Apache Kafka {KAFKA_VERSION}, Java {java}")
    load = f"{events:,} events, {users:,} users drawn alike, no repeats; median (least–most) of the runs.\n"
    return "\n".join([when + load, markdown_table(HEAD, rows), *(f"{note}\n" for note in notes)])


def _full_lines(contest: Contest) -> list[str]:
    """The full fold against each peer's small job."""
    held = [
        (name, full_over(contest.turns, name, _total), full_over(contest.turns, name, _sustained))
        for name in contest.turns
        if name in PEERS
    ]
    return [
        f"{FULL} divided by {name}: {total} of its CPU, {sustained} sustained."
        for name, total, sustained in held
        if total and sustained
    ]


def _row(name: str, costs: Sequence[Cost], total: str, sustained: str) -> list[str]:
    spent, later = Standing.of(map(_total, costs)), Standing.of(map(_sustained, costs))
    return [
        name,
        SETTINGS[name],
        str(spent),
        str(later),
        f"{1000 / spent.middle:.0f}",
        f"{1000 / later.middle:.0f}",
        f"{Standing.of(cost.peak_rss_mb for cost in costs).middle:.0f}",
        total,
        sustained,
        "yes" if all(cost.correct for cost in costs) else "; ".join(costs[0].faults) or "not in every run",
    ]


def _summary(contest: Contest) -> dict[str, Any]:
    ratios = {
        name: {figure: ratio(turns, of)._asdict() for figure, of in FIGURES.items()}
        for name, turns in contest.turns.items()
    }
    full = {name: full_over(contest.turns, name, _sustained) for name in contest.turns if name in PEERS}
    return {
        "ours_over": ratios,
        "full_over_sustained": {name: held._asdict() for name, held in full.items() if held},
        "correct": all(cost.correct for cost in _costs(contest)),
        "absent": contest.absent,
        "runs": [cost._asdict() for cost in _costs(contest)],
    }


def _total(cost: Cost) -> float:
    return cost.cpu_s_per_million


def _sustained(cost: Cost) -> float:
    return cost.sustained_cpu_s_per_million


def _steady(cost: Cost) -> float:
    return cost.steady_cpu_s_per_million


FIGURES = {"total": _total, "sustained": _sustained, "steady": _steady}
