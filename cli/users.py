"""`laurel user`: everything the read models know of one person, on a card."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.awards import rfc3339
from cli.bars import ABOUT, LEGACY
from cli.output import print_told
from cli.settings import Settings
from cli.standings import JsonOption, User, read_standings
from progress.rows import Award
from progress.standing import Standing, unscaled
from progress.streaks import tell_streaks
from schemas.program import HIDDEN_MARK

TOLD = ("achievement", "tier", "scope", "name", "icon", "rarity", "points", "is_legacy", "dates")

app = typer.Typer(no_args_is_help=True, help="Look at one user.")


@app.command()
def show(user: User, as_json: JsonOption = False) -> None:
    """Awards, points, streaks and metrics of one user."""
    card = user_card(user, read_standings(Settings(), user))
    if as_json:
        print_told(card)
    else:
        print_card(card)


def user_card(user: str, standings: list[Standing]) -> dict[str, Any]:
    """Shapes: catalogs is a list, one entry for each catalog that knows the user; awards are newest first."""
    zone = next((each.person.zone for each in standings), None)
    return {"user": user, "zone": zone, "catalogs": [entry_of(each) for each in standings]}


def entry_of(standing: Standing) -> dict[str, Any]:
    person = standing.person
    held = [award for award in person.awards if award.revocation is None]
    streaks = tell_streaks(standing.program, person.streaks, standing.today)
    return {
        "catalog": standing.program.catalog,
        "points": sum(award.points for award in held),
        "awards": [_award(award) for award in held],
        "streaks": {each.metric: {"current": each.current, "longest": each.longest} for each in streaks},
        "metrics": {key: _told(standing, key) for key in person.metrics if HIDDEN_MARK not in key},
    }


def _told(standing: Standing, key: str) -> Any:
    """In its author's unit; a metric that an older version had, as it is kept."""
    metric, value = standing.metrics.get(key), standing.person.metrics[key]
    return unscaled(metric, value) if metric and isinstance(value, int) else value


def _award(award: Award) -> dict[str, Any]:
    return {**{name: getattr(award, name) for name in TOLD}, "earned_at": rfc3339(award.earned_at)}


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
        more = ", ".join(part for part in (award["tier"], award["scope"]) if part)
        name = award["name"] + (f" ({more})" if more else "") + (LEGACY if award["is_legacy"] else "")
        earned = ABOUT[award["dates"]] + award["earned_at"]
        table.add_row(award["icon"], escape(name), award["rarity"], f"{award['points']}", earned)
    return table
