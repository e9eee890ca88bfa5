"""`laurel replay diff`: what a replay has changed. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from psycopg import Connection, errors

from cli.awards import rfc3339
from cli.kafka import run
from cli.output import print_json
from cli.postgres import read_models
from cli.replay.options import IdArgument, JsonOption
from cli.settings import Settings
from replays.comparing import Changed, Diff, Tally
from replays.comparing import diff as compare
from replays.contrasting import Contrast
from replays.registry import Replay, registry_of
from schemas.errors import Precondition

SampleOption = Annotated[int, typer.Option("--sample", metavar="N", min=0, help="So many of the users concerned.")]
NOT_YET = "nothing of it can be seen before it is decided"
BESIDE = "what its shadow holds, against what users hold now; nothing of it can be seen before it is promoted"


def diff(id: IdArgument, count: SampleOption = 5, as_json: JsonOption = False) -> None:
    """Show what a replay gave and took, what has another date, what users have more of it, and some of them.

    Of a full reprocessing that is not promoted: what its shadow holds, folded from the first event on by the new
    version, against what users hold now.
    """
    settings = Settings()
    replay = run(_found(settings, id))
    with read_models(settings) as connection:
        told = told_of(connection, replay, count)
    if as_json:
        print_json(as_told(told))
    else:
        print("\n".join(diff_told(told)))


def told_of(connection: Connection, replay: Replay, count: int) -> Diff:
    """Of a full one that is not promoted the shadow is compared. Raises: Precondition when it is gone."""
    if replay.kind != "full" or replay.status in ("activating", "done"):
        return compare(connection, replay, count)
    if replay.back_of is not None:
        raise Precondition(
            f"replay '{replay.id}' takes back what replay '{replay.back_of}' gave, and has no read models of its "
            f"own before it is done: `laurel replay diff {replay.back_of}`"
        )
    if replay.status == "cancelled":
        raise Precondition(
            f"replay '{replay.id}' was cancelled, and its shadow is gone: there is nothing to compare"
        )
    try:
        return Contrast(connection, replay).diff(count)
    except errors.UndefinedTable:
        raise Precondition(
            f"the shadow of replay '{replay.id}' is not there yet: a `laurel replayer` makes it, wait for it"
        ) from None


async def _found(settings: Settings, id: str) -> Replay:
    async with registry_of(settings.database) as registry:
        return await registry.get(id)


def as_told(told: Diff) -> dict[str, Any]:
    tallies = {name: [each._asdict() for each in getattr(told, name)] for name in ("gained", "lost", "shifted")}
    sample = {user: [each._asdict() for each in changed] for user, changed in told.sample.items()}
    return told._asdict() | tallies | {"sample": sample}


def diff_told(told: Diff) -> Iterator[str]:
    yield f"{told.replay}, version {told.version} of catalog '{told.catalog}': {told.status}"
    if told.status not in ("activating", "done"):
        yield NOT_YET if told.shadow is None else BESIDE
    yield from _tallies_told("gained", told.gained)
    yield from _tallies_told("lost", told.lost)
    yield from _tallies_told("of another date", told.shifted)
    yield f"unchanged: {told.unchanged:,} awards"
    share = f" ({told.inflation:+.1%})" if told.inflation is not None else ""
    yield f"points: {told.points_before:,} → {told.points_after:,}{share}"
    if told.users:
        yield f"{told.users:,} users; some of them:" if told.sample else f"{told.users:,} users"
    yield from (f"  {user}: {', '.join(map(_changed_told, changed))}" for user, changed in told.sample.items())


def _tallies_told(what: str, tallies: Sequence[Tally]) -> Iterator[str]:
    for each in tallies:
        awards = f", {each.awards:,} awards" if each.awards != each.users else ""
        yield f"{what}: {each.achievement} by {each.users:,} users{awards}"
    if not tallies:
        yield f"{what}: nothing"


def _changed_told(changed: Changed) -> str:
    scope = f" ({changed.scope})" if changed.scope else ""
    sign = "+" if changed.is_gained else "-"
    return f"{sign}{changed.achievement}{scope} {rfc3339(changed.earned_at)}"
