"""`laurel stats`: a user in numbers, or how well the catalogs do."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bars import bar, day
from cli.output import print_told
from cli.postgres import read_models
from cli.progress import level_line
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption, LanguageOption, chosen_programs, read_standings
from progress.categories import CategoryProgress
from progress.queries import read_holders, read_success
from progress.rarity import Rarity, rarities
from progress.statistics import Statistics, statistics
from progress.success import DayRate, Earned, Success

DAYS_SHOWN = 14


def command(
    user: Annotated[str | None, typer.Argument(metavar="USER", help="Of this user; else of everybody.")] = None,
    catalog: CatalogOption = None,
    language: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """A user in numbers. Without one: how many earn something, how much, what most, how soon, how often."""
    if user is None:
        _show_catalogs(catalog, as_json)
    else:
        _show_user(user, catalog, language, as_json)


def _show_user(user: str, catalog: str | None, language: str | None, as_json: bool) -> None:
    standings = read_standings(Settings(), user, catalog)
    told = {each.program.catalog: statistics(each, language) for each in standings}
    if as_json:
        print_told({"user": user, "statistics": told})
        return
    console = Console(highlight=False)
    for name, each in told.items():
        console.print(f"[bold]{escape(user)}[/bold] in [bold]{name}[/bold]")
        print_statistics(console, each)


def print_statistics(console: Console, told: Statistics) -> None:
    console.print(f"{told.total_earned} earned, {told.points:,} points, {told.total_badge_xp:,} XP of awards")
    if told.level:
        console.print(level_line(told.level))
    if told.highest_tier_earned:
        console.print(f"highest tier: {told.highest_tier_earned}")
    for streak in told.streaks:
        console.print(f"{streak.metric}: {streak.current} days now, {streak.longest} at best")
    console.print(category_table(told.categories))
    for milestone in told.milestones:
        by = f" by {milestone.key}" if milestone.key else ""
        console.print(f"{day(milestone.at)}  {milestone.kind} {milestone.reached}{by}")


def category_table(categories: list[CategoryProgress]) -> Table:
    listed = Table(box=None, show_header=False, pad_edge=False)
    for each in categories:
        listed.add_row(escape(each.title), bar(each.percent), f"{each.earned} of {each.total}")
    return listed


def _show_catalogs(catalog: str | None, as_json: bool) -> None:
    with read_models(Settings()) as connection:
        programs = chosen_programs(connection, catalog)
        told = [
            (read_success(connection, each), rarities(each, read_holders(connection, each.catalog)))
            for each in programs
        ]
    if as_json:
        print_told({"catalogs": [{"success": success, "rarity": measured} for success, measured in told]})
        return
    console = Console(highlight=False)
    for success, measured in told:
        print_success(console, success)
        console.print(rarity_table(measured))


def print_success(console: Console, told: Success) -> None:
    console.print(f"[bold]{told.catalog}[/bold]: {told.users:,} users")
    console.print(f"with an award: {told.users_with_award:,} ({_or_dash(told.users_with_award_percent)} %)")
    console.print(f"awards: {told.awards:,}, {_or_dash(told.awards_per_user)} a user")
    console.print(
        f"to the first award: {_span(told.median_time_to_first)} median, {_span(told.mean_time_to_first)} mean"
    )
    console.print(f"most earned: {_earned(told.most_earned)}")
    console.print(f"least earned: {_earned(told.least_earned)}")
    console.print(f"last days: {_rate(told.unlock_rate[-DAYS_SHOWN:])}")


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def _span(span: timedelta | None) -> str:
    return "–" if span is None else str(timedelta(seconds=round(span.total_seconds())))


def _earned(earned: list[Earned]) -> str:
    return ", ".join(f"{each.achievement} {each.holders:,}" for each in earned)


def _rate(days: list[DayRate]) -> str:
    return ", ".join(f"{day(each.day)} {each.awards:,}" for each in days)


def rarity_table(measured: list[Rarity]) -> Table:
    listed = Table("achievement", "declared", box=None, pad_edge=False)
    for title in ("holders", "% of users"):
        listed.add_column(title, justify="right")
    for each in measured:
        name = f"{each.achievement}/{each.tier}" if each.tier else each.achievement
        listed.add_row(
            name,
            each.declared,
            f"{each.holders:,}",
            f"{_or_dash(each.percent)} %" if each.percent is not None else "–",
        )
    return listed
