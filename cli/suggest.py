"""`laurel suggest`: what a user is closest to."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bars import bar, conditions_told, day
from cli.output import print_told
from cli.settings import Settings
from cli.standings import CatalogOption, CountOption, JsonOption, LanguageOption, User, read_standings
from progress.pace import whole_days
from progress.suggestions import SUGGESTIONS, Suggestion, suggest


def command(
    user: User,
    count: CountOption = SUGGESTIONS,
    catalog: CatalogOption = None,
    language: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """The closest that is not earned yet, by the days it takes at the user's own pace; nothing secret."""
    told = {
        each.program.catalog: suggest(each, language, count) for each in read_standings(Settings(), user, catalog)
    }
    if as_json:
        print_told({"user": user, "suggestions": told})
        return
    console = Console(highlight=False)
    for name, suggestions in told.items():
        console.print(f"[bold]{name}[/bold]")
        console.print(table(suggestions) if suggestions else "everything that can be suggested is earned")


def table(suggestions: list[Suggestion]) -> Table:
    listed = Table(box=None, show_header=False, pad_edge=False)
    for suggestion in suggestions:
        listed.add_row(*row(suggestion))
    return listed


def row(suggestion: Suggestion) -> tuple[str, ...]:
    tier = f" ({suggestion.tier})" if suggestion.tier else ""
    return (
        suggestion.icon,
        escape(suggestion.name + tier),
        bar(suggestion.percent),
        f"{suggestion.percent:>3} %",
        days_told(suggestion),
        escape(conditions_told(suggestion.missing) or suggestion.description),
    )


def days_told(suggestion: Suggestion) -> str:
    """`4 days, 2026-06-16`; a pace that is not known tells nothing."""
    if suggestion.days_left is None:
        return ""
    count = whole_days(suggestion.days_left)
    return f"{count:,} {'day' if count == 1 else 'days'}, {day(suggestion.estimated_completion)}"
