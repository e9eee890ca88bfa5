"""`laurel history`: what happened to a user, newest first, or month by month."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bars import LEGACY
from cli.output import print_told
from cli.settings import Settings
from cli.standings import CatalogOption, CountOption, JsonOption, LanguageOption, User, read_standings
from progress.history import Happening, Month, history, timeline

SHOWN = 50


def command(
    user: User,
    count: CountOption = SHOWN,
    catalog: CatalogOption = None,
    language: LanguageOption = None,
    months: Annotated[bool, typer.Option("--months", help="Added up month by month instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Awards, revocations, levels and challenges."""
    standings = read_standings(Settings(), user, catalog)
    happened = {each.program.catalog: history(each, language)[:count] for each in standings}
    added_up = {each.program.catalog: timeline(each) for each in standings}
    if as_json:
        print_told({"user": user, "history": happened, "timeline": added_up})
        return
    console = Console(highlight=False)
    for name in happened:
        console.print(f"[bold]{name}[/bold]")
        console.print(shown(happened[name], added_up[name], months))


def shown(happened: list[Happening], added_up: list[Month], months: bool) -> Table | str:
    if not (added_up if months else happened):
        return "nothing has happened yet"
    return month_table(added_up) if months else table(happened)


def table(happened: list[Happening]) -> Table:
    listed = Table(box=None, show_header=False, pad_edge=False)
    for each in happened:
        listed.add_row(f"{each.at:%Y-%m-%d %H:%M}", each.what, each.icon, escape(_named(each)), _worth(each))
    return listed


def _named(each: Happening) -> str:
    more = ", ".join(part for part in (each.tier, each.scope) if part)
    return (f"{each.name} ({more})" if more else each.name) + (LEGACY if each.is_legacy else "")


def _worth(each: Happening) -> str:
    parts = [f"{each.points:+,} points" if each.points else "", f"{each.xp:+,} XP" if each.xp else ""]
    return ", ".join(filter(None, parts))


def month_table(months: list[Month]) -> Table:
    listed = Table("month", box=None, pad_edge=False)
    for title in ("awards", "points", "XP", "awards in all", "points in all"):
        listed.add_column(title, justify="right")
    for each in months:
        numbers = (each.awards, each.points, each.xp, each.total_awards, each.total_points)
        listed.add_row(each.month, *(f"{number:,}" for number in numbers))
    return listed
