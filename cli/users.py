"""`laurel user`: everything the read models know of one person, on a card."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer
from psycopg import Connection
from psycopg.rows import dict_row
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.awards import rfc3339
from cli.output import print_json
from cli.postgres import read_models
from cli.settings import Settings
from schemas.errors import LaurelError
from schemas.zones import find_zone

EPOCH = date(1970, 1, 1)

PROFILE = b"select * from user_profile where user_id = %s order by catalog"
PROGRESS = b"select metrics, streaks, zone from user_progress where user_id = %s"
AWARDS = b"""
select catalog, achievement, scope, name, icon, rarity, points, earned_at from user_award
where user_id = %s order by earned_at desc, catalog, achievement, scope
"""

app = typer.Typer(no_args_is_help=True, help="Look at one user.")


@app.command()
def show(
    user: Annotated[str, typer.Argument(help="The user id, as in the events' subject.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Awards, points, streaks and metrics of one user."""
    with read_models(Settings()) as connection:
        card = user_card(connection, user, datetime.now(UTC))
    if card is None:
        raise LaurelError(
            f"user '{user}' is not known: no event of theirs has reached the read models; is the projector behind?"
        )
    if as_json:
        print_json(card)
    else:
        print_card(card)


def user_card(connection: Connection, user: str, now: datetime) -> dict[str, Any] | None:
    """What is known of a user, None for somebody nobody has heard of.

    Shapes: catalogs is a list, one entry for each catalog that knows the user; a streak's `current` counts only
    while its last day is today or yesterday where the user lives.
    """
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        profiles = cursor.execute(PROFILE, [user]).fetchall()
        progress = cursor.execute(PROGRESS, [user]).fetchone() or {"metrics": {}, "streaks": {}, "zone": None}
        awards = cursor.execute(AWARDS, [user]).fetchall()
    if not profiles:
        return None
    entries = [_entry(profile, progress, awards, now) for profile in profiles]
    return {"user": user, "zone": progress["zone"], "catalogs": entries}


def _entry(
    profile: dict[str, Any], progress: dict[str, Any], awards: list[dict[str, Any]], now: datetime
) -> dict[str, Any]:
    catalog = profile["catalog"]
    today = local_date(now, profile["zone"])
    runs = progress["streaks"].get(catalog, {})
    return {
        "catalog": catalog,
        "points": profile["points"],
        "awards": [_award(award) for award in awards if award["catalog"] == catalog],
        "streaks": {metric: streak(run, today) for metric, run in runs.items()},
        "metrics": progress["metrics"].get(catalog, {}),
    }


def _award(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: row[name] for name in ("achievement", "scope", "name", "icon", "rarity", "points")}
    return {**told, "earned_at": rfc3339(row["earned_at"])}


def local_date(now: datetime, zone: str | None) -> date:
    return now.astimezone(find_zone(zone or "UTC") or UTC).date()


def streak(run: dict[str, int | None], today: date) -> dict[str, int]:
    """The run that tomorrow adds to, 0 once a day was missed, and the longest."""
    first, last, longest = (run[name] for name in ("first_day", "last_day", "longest"))
    if first is None or last is None or EPOCH + timedelta(last) < today - timedelta(1):
        return {"current": 0, "longest": longest or 0}
    return {"current": last - first + 1, "longest": longest or 0}


def print_card(card: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]{escape(card['user'])}[/bold]  {card['zone'] or ''}".rstrip())
    for entry in card["catalogs"]:
        console.print(
            f"\n[bold]{entry['catalog']}[/bold]: {entry['points']:,} points, {len(entry['awards'])} awards"
        )
        for metric, run in entry["streaks"].items():
            console.print(f"{metric}: {run['current']} days now, {run['longest']} at best")
        metrics = {key: value for key, value in entry["metrics"].items() if value and key not in entry["streaks"]}
        console.print(", ".join(f"{key} {value:,}" for key, value in metrics.items()))
        console.print(_awards_table(entry["awards"]))


def _awards_table(awards: list[dict[str, Any]]) -> Table:
    table = Table(box=None, show_header=False)
    for award in awards:
        scope = f" ({award['scope']})" if award["scope"] else ""
        name = escape(award["name"] or award["achievement"]) + escape(scope)
        table.add_row(award["icon"], name, award["rarity"], f"{award['points']}", award["earned_at"])
    return table
