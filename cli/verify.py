"""`laurel verify`: whether what is shown of users is what the log comes to."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from psycopg import Connection

from broker.positions import Positions
from cli.kafka import run
from cli.output import print_told, progress
from cli.postgres import read_models
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption
from cli.visibility import wait_until_visible
from replays.recomputation import Award
from replays.uncounted import uncounted_in
from replays.verifying import LeftOut, Verdict, Verification, replayed, rules_of_partitions, sample
from schemas.errors import Precondition

DIFFERENT = 5
TOLD_MAX = 20

SampleOption = Annotated[int, typer.Option("--sample", metavar="N", min=1, help="So many users, chosen by chance.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="S", help="Which ones: the same seed, the same users.")]
UsersOption = Annotated[
    Path | None, typer.Option("--users", metavar="FILE", help="These users instead, an id a line.")
]


def command(
    count: SampleOption = 100,
    seed: SeedOption = 1,
    users: UsersOption = None,
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fold users anew from the log, by the catalogs that run, and compare awards and metrics with what is shown.

    Changes nothing. Exit code 0 when all is equal, 5 with what differs. Events may flow meanwhile.
    """
    chosen = users_in(users) if users else None
    with read_models(Settings()) as connection:
        verdict = run(verified(Settings(), connection, chosen or sample(connection, count, seed), catalog))
    if as_json:
        print_told(summary(verdict))
    else:
        print("\n".join(told(verdict)))
    if verdict.differences:
        raise typer.Exit(DIFFERENT)


def users_in(file: Path) -> list[str]:
    """One id a line. Raises: Precondition when there is no such file, or nobody in it."""
    try:
        named = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise Precondition(f"{file} cannot be read as users, an id a line: {error}") from None
    users = sorted({user for user in named if user})
    if not users:
        raise Precondition(f"{file} names no user: write an id a line, as in the events' subject")
    return users


async def verified(settings: Settings, connection: Connection, users: list[str], catalog: str | None) -> Verdict:
    if not users:
        raise Precondition("the read models know no user yet: is a projector running, and were events published?")
    rules = await rules_of_partitions(settings.kafka, settings.names, replayed(connection), catalog)
    with progress("waiting until all of it is shown") as show:

        async def visible(positions: Positions) -> None:
            await wait_until_visible(settings, positions, show)

        uncounted = await uncounted_in(settings.kafka, settings.names)
        return await Verification(settings.kafka, connection, rules, users, uncounted).verdict(visible)


def told(verdict: Verdict) -> list[str]:
    lines = [
        f"{verdict.users:,} users, {verdict.records:,} records of theirs: "
        f"{verdict.awards:,} awards and {verdict.metrics:,} metrics compared, {_outcome(verdict)}"
    ]
    lines += [str(each) for each in verdict.differences[:TOLD_MAX]]
    if len(verdict.differences) > TOLD_MAX:
        lines.append(f"… and {len(verdict.differences) - TOLD_MAX} more: --json has them all")
    if verdict.due:
        lines += [*due_told(verdict.due[:TOLD_MAX]), f"due in all: {len(verdict.due):,} awards; {REMEDY}"]
    if verdict.unsettled:
        lines.append(f"new events at every look, so not judged: {', '.join(verdict.unsettled)}")
    return lines + list(left_out_told(verdict.left_out))


def due_told(due: list[Award]) -> list[str]:
    return [f"{user}: {catalog}/{key}{f' ({scope})' if scope else ''} is due" for user, catalog, key, scope in due]


def _outcome(verdict: Verdict) -> str:
    return f"{len(verdict.differences):,} differ" if verdict.differences else "all equal"


def left_out_told(left_out: list[LeftOut]) -> list[str]:
    """By reason, so that eighty achievements over one metric are one line."""
    by_reason = sorted(left_out, key=lambda each: (each.what, each.catalog, each.why))
    return [
        f"{SAID_OF[what]} {', '.join(f'{catalog}/{each.key}' for each in group)}: {why}"
        for (what, catalog, why), group in groupby(by_reason, key=lambda each: (each.what, each.catalog, each.why))
    ]


REMEDY = "their rule came later, and `laurel award_retroactive_achievements` gives them"
SAID_OF = {
    "metric": "not compared:",
    "achievement": "not compared:",
    "date": "compared without dates:",
    "record": "left out:",
}


def summary(verdict: Verdict) -> dict[str, object]:
    return {
        "equal": not verdict.differences,
        **verdict._asdict(),
        "differences": [each._asdict() for each in verdict.differences],
        "left_out": [each._asdict() for each in verdict.left_out],
    }
